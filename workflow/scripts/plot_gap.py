import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.gaps import plot_gap

    params, where = snakemake.params, snakemake.wildcards
    plot_gap(
        snakemake.input.normalised,
        snakemake.input.low,
        {where.method: snakemake.input[where.method]},
        subject=params.subject,
        dataset=params.dataset,
        factor=int(where.K),
        in_mm=params.in_mm,
        labels=params.labels,
        with_reference=False,
        figures=snakemake.output.figures,
        animations=snakemake.output.animations,
    )
