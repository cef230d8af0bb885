import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_training

    plot_training(snakemake.params.histories, snakemake.params.select, snakemake.output)
