"""Evaluation step: interpolate and score one shard of the test subjects with one method."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.evaluation import TestCase, evaluate
from interslice.files import replacing
from interslice.longtable import write_scores
from interslice.methods import load_method
from interslice.perceptual import load_lpips
from interslice.steps.data import volumes_of


def evaluate_method(
    normalised: Path,
    low: Path,
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    backbone: Path | None,
    keep: str | None,
    threads: int,
    scores: Path,
    volumes: Path,
) -> None:
    """Write the long table of a shard, and the interpolated volume of one subject for the figures.

    That is `keep` if it is in the shard, or with None the shard's first subject.

    keys: dataset, method, K, seed of the rows.
    """
    method = load_method(settings, checkpoint)
    lpips_network = load_lpips(evaluation["lpips"], backbone) if backbone else None
    if (
        "torch" in sys.modules
    ):  # conventional methods without LPIPS do without: its import takes seconds a job
        sys.modules["torch"].set_num_threads(threads)
    references, lows = volumes_of([normalised], "test"), volumes_of([low], "test")
    cases = [TestCase(subject, references[subject], path) for subject, path in lows.items()]
    shown = keep or next(iter(lows), None)
    with replacing(volumes) as folder:
        folder.mkdir(parents=True)
        table = evaluate(
            method,
            cases,
            keys["K"],
            evaluation=evaluation,
            lpips_network=lpips_network,
            keep={shown: folder / f"{shown}.nii"} if shown else None,
        )
        write_scores(table.assign(**keys, protocol="strict"), scores)
