import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.audit import write_audit_page

    write_audit_page(
        snakemake.input.table,
        snakemake.input.published,
        snakemake.input.budgets,
        snakemake.params.figures,
        labels=snakemake.params.labels,
        datasets=snakemake.params.datasets,
        own=snakemake.params.own,
        study=snakemake.params.study,
        page=snakemake.output.page,
        prose=snakemake.output.prose,
    )
