"""Scoring step: the interpolated test subjects of a shard as rows of the long table."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.files import replacing, sha256_of, write_json
from interslice.common.parallel import set_threads
from interslice.data.interpolated import ENDING
from interslice.data.parts import check_same_reference
from interslice.scoring.evaluation import TestCase, evaluate
from interslice.scoring.longtable import COLUMNS, frame_means, read_scores, write_scores
from interslice.steps.data import volumes_of
from interslice.steps.subjects import TABLE, done_subjects
from interslice.training.lpips import load_lpips


def score_method(
    normalised: Path,
    low: Path,
    interpolated: Path,
    with_lesions: Path | None,
    *,
    keys: Mapping[str, Any],
    metrics: Sequence[str],
    gap_step: int,
    lpips: str,
    backbone: Path | None,
    slice_profile: str,
    score_px: int | None,
    threads: int,
    digest: str,
    resume: Path,
    scores: Path,
    means: Path,
    places: Path,
) -> None:
    """Write the long table of a shard, the means of its frames, and as JSON where the volumes lie that were scored.

    keys: dataset, method, K, seed of the rows; with_lesions: the shard interpolated with lesions, for metrics that need
    it. What is done is kept in the folder `resume`, as in `interpolate.interpolate_volumes`.
    """
    check_same_reference([normalised, low, interpolated, *([with_lesions] if with_lesions else [])])
    network = load_lpips(lpips, backbone) if backbone else None
    set_threads(threads)
    cases = shard_cases(normalised, low, interpolated, with_lesions)

    def work(subject: str, folder: Path) -> None:
        table = evaluate(
            cases[subject],
            keys["K"],
            metrics=metrics,
            gap_step=gap_step,
            slice_profile=slice_profile,
            score_px=score_px,
            lpips_network=network,
        )
        write_scores(table.assign(**keys, protocol="strict"), folder / TABLE)

    run = [digest, keys, metrics, gap_step, lpips, slice_profile, score_px]
    run += [sha256_of(backbone)] if backbone else []
    files = {subject: case.files for subject, case in cases.items()}
    write_tables([folder for _, folder in done_subjects(files, work, resume=resume, run=run)], scores)
    with replacing(means) as temporary:
        frame_means(read_scores(scores)).to_parquet(temporary, index=False)
    write_json({"normalised": normalised, "low": low, "interpolated": interpolated}, places)
    shutil.rmtree(resume)


def shard_cases(
    normalised: Path, low: Path, interpolated: Path, with_lesions: Path | None = None
) -> dict[str, TestCase]:
    """Subject to the files of a shard."""
    references, results = volumes_of([normalised]), volumes_of([interpolated], ENDING)
    lesions = volumes_of([with_lesions], ENDING) if with_lesions else {}
    return {
        subject: TestCase(subject, references[subject], path, results[subject], lesions.get(subject))
        for subject, path in volumes_of([low]).items()
    }


def write_tables(folders: Sequence[Path], output: Path) -> None:
    """One long table of those in folders; of none, as in a shard without a test subject, a table without rows."""
    tables = [read_scores(folder / TABLE) for folder in folders] or [pd.DataFrame(columns=COLUMNS)]
    write_scores(pd.concat(tables, ignore_index=True), output)
