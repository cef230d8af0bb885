import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.gpus import use_gpus
from interslice.common.provenance import logged

use_gpus(snakemake.resources)
with logged(snakemake.log[0]) as progress:
    import os
    from pathlib import Path

    from interslice.steps.train import train_method

    train_method(
        snakemake.input.normalised,
        snakemake.input.low,
        dataset=snakemake.wildcards.dataset,
        factor=int(snakemake.wildcards.K),
        repetition=int(snakemake.wildcards.seed),
        settings=snakemake.params.settings,
        validation_frames=snakemake.params.validation_frames,
        digest=snakemake.params.code,
        backbone=next(map(Path, snakemake.input.backbone), None),
        resume=Path(snakemake.params.resume),
        threads=snakemake.threads,
        # On one machine nobody ends a job that takes longer than was thought.
        minutes=snakemake.resources.runtime if "SLURM_JOB_ID" in os.environ else None,
        progress=progress,
        **{name: Path(path) for name, path in snakemake.output.items()},
    )
