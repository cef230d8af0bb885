import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import index_dataset

    index_dataset(
        snakemake.params.dataset,
        snakemake.params.resources,
        next(map(Path, snakemake.input.converted), None),
        Path(snakemake.output.cases),
        Path(snakemake.output.excluded),
        snakemake.threads,
    )
