import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.gpus import use_gpus
from interslice.common.provenance import logged

use_gpus(snakemake.resources)
with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.as_published import score_as_published

    where, given, params = snakemake.wildcards, snakemake.input, snakemake.params
    score_as_published(
        *map(Path, (given.normalised, given.low, given.interpolated)),
        next(map(Path, given.checkpoint), None),
        keys={"dataset": where.dataset, "method": where.method, "K": int(where.K), "seed": int(where.seed)},
        **{
            name: params[name] for name in ("settings", "metrics", "gap_step", "score_px", "separate_scaling")
        },
        threads=snakemake.threads,
        digest=params.code,
        resume=Path(params.resume),
        output=Path(snakemake.output[0]),
    )
