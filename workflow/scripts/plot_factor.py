import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_factor

    given = snakemake.input
    plot_factor(given.scores, given.budgets, snakemake.params.display, snakemake.output)
