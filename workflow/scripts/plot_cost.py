import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.cost import plot_cost

    plot_cost(
        snakemake.input.scores,
        snakemake.input.costs,
        snakemake.input.trainings,
        snakemake.params.display,
        table=Path(snakemake.output.table),
        shown=Path(snakemake.output.shown),
        figures=[path for path in snakemake.output if path.endswith((".pdf", ".png"))],
    )
