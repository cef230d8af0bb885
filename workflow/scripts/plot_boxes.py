import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_boxes

    display = {**snakemake.params.display, "region": snakemake.wildcards.region}
    files = snakemake.input.scores, snakemake.input.statistics
    plot_boxes(*files, snakemake.wildcards.metric, display, snakemake.output)
