import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.gpus import use_gpus
from interslice.common.provenance import logged

use_gpus(snakemake.resources)
with logged(snakemake.log[0]) as progress:
    import os
    from pathlib import Path

    from interslice.steps.train import train_method

    where, given, params = snakemake.wildcards, snakemake.input, snakemake.params
    train_method(
        *(given[name] for name in ("low", "normalised", "validation_low", "validation_normalised")),
        dataset=where.dataset,
        factor=int(where.K),
        **{name: params[name] for name in ("repetition", "settings", "validation_frames")},
        digest=params.code,
        backbone=next(map(Path, given.backbone), None),
        resume=Path(params.resume),
        threads=snakemake.threads,
        # On one machine nobody ends a job that takes longer than was thought.
        minutes=snakemake.resources.runtime if "SLURM_JOB_ID" in os.environ else None,
        progress=progress,
        **{name: Path(path) for name, path in snakemake.output.items()},
    )
