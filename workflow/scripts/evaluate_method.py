import sys

sys.path.insert(0, snakemake.scriptdir + "/../../src")

from interslice.common.provenance import logged

with logged(snakemake.log[0]):
    from pathlib import Path

    from interslice.steps.evaluate import evaluate_method

    where = snakemake.wildcards
    evaluate_method(
        Path(snakemake.input.normalised),
        Path(snakemake.input.low),
        next(map(Path, snakemake.input.checkpoint), None),
        keys={"dataset": where.dataset, "method": where.method, "K": int(where.K), "seed": int(where.seed)},
        settings=snakemake.params.settings,
        evaluation=snakemake.params.evaluation,
        backbone=next(map(Path, snakemake.input.backbone), None),
        slice_profile=snakemake.params.slice_profile,
        score_px=snakemake.params.score_px,
        origin=snakemake.params.origin,
        keep=snakemake.params.keep,
        threads=snakemake.threads,
        digest=snakemake.params.code,
        resume=Path(snakemake.params.resume),
        scores=Path(snakemake.output.scores),
        volumes=Path(snakemake.output.volumes),
    )
