import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from interslice.steps.ablation import plot_ablation

    plot_ablation(
        snakemake.input[0],
        dataset=snakemake.wildcards.dataset,
        factor=int(snakemake.wildcards.K),
        region=snakemake.wildcards.region,
        datasets=snakemake.params.datasets,
        outputs=snakemake.output,
    )
