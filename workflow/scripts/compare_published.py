import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.audit import compare_published

    given = snakemake.input
    compare_published(
        given.numbers, given.strict, given.rescored, snakemake.params.study, snakemake.output[0]
    )
