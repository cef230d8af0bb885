import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.audit import plot_audit

    given, where = snakemake.input, snakemake.wildcards
    plot_audit(
        given.table,
        given.budgets,
        where.dataset,
        where.method,
        snakemake.params.labels,
        snakemake.output,
    )
