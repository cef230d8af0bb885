import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_robustness

    params = snakemake.params
    plot_robustness(snakemake.input[0], params.metric, params.perturbations, params.display, snakemake.output)
