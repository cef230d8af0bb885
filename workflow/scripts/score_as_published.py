import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.as_published import score_as_published

    where = snakemake.wildcards
    score_as_published(
        Path(snakemake.input.normalised),
        Path(snakemake.input.low),
        next(map(Path, snakemake.input.checkpoint), None),
        keys={"dataset": where.dataset, "method": where.method, "K": int(where.K), "seed": int(where.seed)},
        settings=snakemake.params.settings,
        evaluation=snakemake.params.evaluation,
        score_px=snakemake.params.score_px,
        separate_scaling=snakemake.params.separate_scaling,
        threads=snakemake.threads,
        digest=snakemake.params.code,
        resume=Path(snakemake.params.resume),
        output=Path(snakemake.output[0]),
    )
