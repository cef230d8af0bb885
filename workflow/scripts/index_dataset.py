import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import index_split

    params, output = snakemake.params, {name: Path(path) for name, path in snakemake.output.items()}
    dataset, converted = params.dataset | params.texts, next(map(Path, snakemake.input.converted), None)
    index_split(
        dataset, snakemake.wildcards.split, params.resources, converted, workers=snakemake.threads, **output
    )
