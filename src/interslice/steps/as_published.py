"""Scoring step of the audit: score one shard of the test subjects as the released evaluation does."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interslice.common.files import sha256_of
from interslice.common.parallel import set_threads
from interslice.data.parts import check_same_reference
from interslice.methods import load_method
from interslice.scoring.longtable import write_scores
from interslice.scoring.released_protocol import evaluate_as_published
from interslice.steps.evaluate import shard_cases, write_tables
from interslice.steps.subjects import TABLE, done_subjects


def score_as_published(
    normalised: Path,
    low: Path,
    interpolated: Path,
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    metrics: Sequence[str],
    gap_step: int,
    score_px: int | None,
    separate_scaling: bool,
    threads: int,
    digest: str,
    resume: Path,
    output: Path,
) -> None:
    """Write the long table of a shard under the protocols of `released_protocol.SCORED`.

    keys: dataset, method, K, seed; digest, resume: as in `evaluate.score_method`. The method is needed for volumes that the
    released evaluation scales apart.
    """
    check_same_reference([normalised, low, interpolated])
    method = load_method(settings, checkpoint)
    set_threads(threads)
    cases = shard_cases(normalised, low, interpolated)

    def work(subject: str, folder: Path) -> None:
        table = evaluate_as_published(
            method,
            cases[subject],
            keys["K"],
            metrics=metrics,
            gap_step=gap_step,
            score_px=score_px,
            separate_scaling=separate_scaling,
        )
        write_scores(table.assign(**keys), folder / TABLE)

    run = [digest, keys, settings, metrics, gap_step, score_px, separate_scaling]
    run += [sha256_of(checkpoint)] if checkpoint else []
    files = {subject: case.files for subject, case in cases.items()}
    write_tables([folder for _, folder in done_subjects(files, work, resume=resume, run=run)], output)
    shutil.rmtree(resume)
