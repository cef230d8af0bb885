import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]) as terminal:
    from pathlib import Path

    from interslice.steps.check import check_data

    params = snakemake.params
    check_data(params.datasets, params.resources, snakemake.threads, terminal, Path(params.last))
