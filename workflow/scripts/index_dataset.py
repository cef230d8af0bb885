import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.data import index_dataset

    index_dataset(snakemake.params.files, snakemake.params.dataset, snakemake.output[0], snakemake.threads)
