import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import convert_dataset

    dataset, resources = snakemake.params.dataset, snakemake.params.resources
    convert_dataset(dataset, resources, Path(snakemake.output[0]), snakemake.threads)
