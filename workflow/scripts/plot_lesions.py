import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_lesions

    plot_lesions(snakemake.input[0], snakemake.params.display, snakemake.output)
