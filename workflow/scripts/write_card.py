import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.pretrained import write_card

    models = dict(zip(snakemake.params.names, map(Path, snakemake.input), strict=True))
    write_card(models, snakemake.params.title, Path(snakemake.output[0]))
