import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.data import check_splits

    check_splits(snakemake.input, snakemake.wildcards.dataset, Path(snakemake.output[0]))
