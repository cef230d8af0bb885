import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_boxes, plot_ranks

    given, params, output = snakemake.input, snakemake.params, snakemake.output
    labels, datasets = params.display["labels"], params.datasets
    plot_boxes(given.means, given.statistics, given.budgets, params.display, datasets, output.boxes)
    ranked = given.ranks, given.significance, given.budgets
    plot_ranks(*ranked, params.metric, labels, datasets, output.ranks)
