import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.scores import compare_methods

    compare_methods(
        snakemake.input[0],
        snakemake.params.pairs,
        snakemake.params.statistics,
        snakemake.output[0],
    )
