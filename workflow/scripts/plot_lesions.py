import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_lesions

    given, params = snakemake.input, snakemake.params
    plot_lesions(given.means, given.budgets, params.display, params.datasets, snakemake.output)
