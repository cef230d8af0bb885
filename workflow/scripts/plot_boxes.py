import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_boxes

    given = snakemake.input
    plot_boxes(given.scores, given.statistics, given.budgets, snakemake.params.display, snakemake.output)
