import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]) as terminal:
    from interslice.steps.check import check_data

    check_data(snakemake.params.datasets, snakemake.params.resources, snakemake.threads, terminal)
