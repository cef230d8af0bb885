import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]):
    from interslice.perceptual import prepare_backbone

    prepare_backbone(snakemake.input[0], snakemake.wildcards.backbone, snakemake.output[0])
