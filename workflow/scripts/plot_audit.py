import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.audit import plot_audit

    where = snakemake.wildcards
    plot_audit(snakemake.input[0], where.dataset, where.method, snakemake.params.labels, snakemake.output)
