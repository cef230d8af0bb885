import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.page import write_study_page

    write_study_page(
        snakemake.input.means,
        snakemake.input.statistics,
        snakemake.input.budgets,
        snakemake.input.ranks,
        snakemake.input.agreement,
        snakemake.input.recheck,
        excluded=snakemake.input.excluded,
        figures=snakemake.params.figures,
        curves=snakemake.params.curves,
        trainings=snakemake.params.trainings,
        benchmarks=[Path(folder) for folder in snakemake.params.benchmarks],
        stacks=snakemake.input.stacks,
        study=snakemake.params.study,
        display=snakemake.params.display,
        datasets=snakemake.params.datasets,
        own=snakemake.params.own,
        output=Path(snakemake.output[0]),
    )
