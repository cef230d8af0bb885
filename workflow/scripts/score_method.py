import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.gpus import use_gpus
from interslice.common.provenance import logged

use_gpus(snakemake.resources)
with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.evaluate import score_method

    where, given, params = snakemake.wildcards, snakemake.input, snakemake.params
    score_method(
        *map(Path, (given.normalised, given.low, given.interpolated)),
        next(map(Path, given.with_lesions), None),
        keys={"dataset": where.dataset, "method": where.method, "K": int(where.K), "seed": int(where.seed)},
        **params.evaluation,
        backbone=next(map(Path, given.backbone), None),
        slice_profile=params.slice_profile,
        score_px=params.score_px,
        threads=snakemake.threads,
        digest=params.code,
        resume=Path(params.resume),
        **{name: Path(path) for name, path in snakemake.output.items()},
    )
