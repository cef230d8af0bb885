"""Scoring step of the audit: interpolate and score one shard of the test subjects as the released evaluation does."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.files import sha256_of
from interslice.common.parallel import set_threads
from interslice.methods import load_method
from interslice.scoring.evaluation import TestCase
from interslice.scoring.longtable import COLUMNS, read_scores, write_scores
from interslice.scoring.released_protocol import evaluate_as_published
from interslice.steps.subjects import TABLE, score_subjects


def score_as_published(
    normalised: Path,
    low: Path,
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    score_px: int | None,
    separate_scaling: bool,
    threads: int,
    digest: str,
    resume: Path,
    output: Path,
) -> None:
    """Write the long table of a shard under the protocols of `as_published.SCORED`.

    keys: dataset, method, K, seed; digest, resume: as in `evaluate.evaluate_method`.
    """
    method = load_method(settings, checkpoint)
    set_threads(threads)

    def score(case: TestCase, folder: Path) -> pd.DataFrame:
        return evaluate_as_published(
            method,
            case,
            keys["K"],
            metrics=evaluation["metrics"],
            gap_step=evaluation["gap_step"],
            score_px=score_px,
            separate_scaling=separate_scaling,
        ).assign(**keys)

    run = [
        digest,
        keys,
        settings,
        evaluation,
        score_px,
        separate_scaling,
        *([sha256_of(checkpoint)] if checkpoint else []),
    ]
    folders = [folder for _, folder in score_subjects(normalised, low, score, resume=resume, run=run)]
    tables = [read_scores(folder / TABLE) for folder in folders] or [pd.DataFrame(columns=COLUMNS)]
    write_scores(pd.concat(tables, ignore_index=True), output)
    shutil.rmtree(resume)
