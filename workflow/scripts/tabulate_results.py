import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.tables import tabulate_results

    tabulate_results(
        snakemake.input.means,
        snakemake.input.statistics,
        snakemake.input.budgets,
        display=snakemake.params.display,
        datasets=snakemake.params.datasets,
        own=snakemake.params.own,
        study=snakemake.params.study,
        folder=Path(snakemake.output.folder),
        summary=Path(snakemake.output.summary),
    )
