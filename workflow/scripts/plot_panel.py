import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.figures import plot_panel

    plot_panel(
        snakemake.input.normalised,
        snakemake.input.low,
        {method: snakemake.input[method] for method in snakemake.params.methods},
        subject=snakemake.params.subject,
        factor=int(snakemake.wildcards.K),
        labels=snakemake.params.labels,
        outputs=snakemake.output,
    )
