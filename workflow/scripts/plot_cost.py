import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.cost import plot_cost

    params, output = snakemake.params, snakemake.output
    plot_cost(
        snakemake.input.means,
        snakemake.input.budgets,
        params.runs,
        params.display,
        params.datasets,
        table=Path(output.table),
        shown=Path(output.shown),
        figures=output.figures,
    )
