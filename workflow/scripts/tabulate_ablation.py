import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.ablation import tabulate_ablation

    tabulate_ablation(
        snakemake.input.means,
        snakemake.params.trainings,
        base=snakemake.params.base,
        variants=snakemake.params.variants,
        labels=snakemake.params.labels,
        datasets=snakemake.params.datasets,
        confidence=snakemake.params.confidence,
        folder=Path(snakemake.output[0]),
    )
