import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_boxes

    plot_boxes(snakemake.input.scores, snakemake.input.statistics, snakemake.params.display, snakemake.output)
