import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_factor

    display = {**snakemake.params.display, "region": snakemake.wildcards.region}
    plot_factor(snakemake.input[0], snakemake.wildcards.metric, display, snakemake.output)
