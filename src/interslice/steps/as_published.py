"""Scoring step of the audit: interpolate and score one shard of the test subjects as the released evaluation does."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.as_published import evaluate_as_published
from interslice.evaluation import TestCase
from interslice.longtable import write_scores
from interslice.methods import load_method
from interslice.steps.data import volumes_of


def score_as_published(
    normalised: Path,
    low: Path,
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    score_px: int | None,
    threads: int,
    output: Path,
) -> None:
    """Write the long table of a shard under the protocols of `as_published.SCORED`. keys: dataset, method, K, seed."""
    method = load_method(settings, checkpoint)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    references, lows = volumes_of([normalised], "test"), volumes_of([low], "test")
    cases = [TestCase(subject, references[subject], path) for subject, path in lows.items()]
    table = evaluate_as_published(
        method,
        cases,
        keys["K"],
        metrics=evaluation["metrics"],
        gap_step=evaluation["gap_step"],
        score_px=score_px,
    )
    write_scores(table.assign(**keys), output)
