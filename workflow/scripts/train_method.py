import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.provenance import logged

with logged(snakemake.log[0]) as progress:
    from pathlib import Path

    from interslice.steps.train import train_method

    train_method(
        snakemake.input.normalised,
        snakemake.input.low,
        dataset=snakemake.wildcards.dataset,
        factor=int(snakemake.wildcards.K),
        repetition=int(snakemake.wildcards.seed),
        settings=snakemake.params.settings,
        digest=snakemake.params.code,
        backbone=next(map(Path, snakemake.input.backbone), None),
        resume=Path(snakemake.params.resume),
        threads=snakemake.threads,
        progress=progress,
        **{name: Path(path) for name, path in snakemake.output.items()},
    )
