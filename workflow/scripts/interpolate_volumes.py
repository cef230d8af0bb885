import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.gpus import use_gpus
from interslice.common.provenance import logged

use_gpus(snakemake.resources)
with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.interpolate import interpolate_volumes

    given, params = snakemake.input, snakemake.params
    interpolate_volumes(
        *map(Path, (given.normalised, given.low)),
        next(map(Path, given.checkpoint), None),
        factor=int(snakemake.wildcards.K),
        **{name: params[name] for name in ("settings", "told", "lesions", "unseen_of")},
        threads=snakemake.threads,
        digest=params.code,
        resume=Path(params.resume),
        output=Path(snakemake.output[0]),
    )
