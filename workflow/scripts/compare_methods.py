import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.scores import compare_methods

    params = snakemake.params
    compare_methods(
        snakemake.input[0],
        params.pairs,
        params.statistics,
        controls=params.controls,
        metric=params.metric,
        outputs=dict(snakemake.output.items()),
    )
