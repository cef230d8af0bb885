import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]) as progress:
    from pathlib import Path

    from interslice.training.backbone import prepare_backbone

    prepare_backbone(snakemake.wildcards.backbone, Path(snakemake.output[0]), progress)
