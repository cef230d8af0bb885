import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import convert_split

    params, output = snakemake.params, Path(snakemake.output[0])
    dataset = params.dataset | params.texts
    convert_split(dataset, snakemake.wildcards.split, params.resources, output, snakemake.threads)
