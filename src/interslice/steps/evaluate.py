"""Evaluation step: interpolate and score one shard of the test subjects with one method."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.errors import InputError
from interslice.common.files import replacing, sha256_of
from interslice.common.parallel import set_threads
from interslice.methods import load_method
from interslice.scoring.evaluation import TestCase, evaluate
from interslice.scoring.longtable import COLUMNS, read_scores, write_scores
from interslice.steps.data import volumes_of
from interslice.steps.subjects import TABLE, score_subjects
from interslice.training.lpips import load_lpips


def evaluate_method(
    normalised: Path,
    low: Path,
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    backbone: Path | None,
    slice_profile: str,
    score_px: int | None,
    origin: str,
    keep: str | None,
    threads: int,
    digest: str,
    resume: Path,
    scores: Path,
    volumes: Path,
) -> None:
    """Write the long table of a shard, and interpolated volumes for figures, viewer and readers.

    evaluation["keep"]: "all" subjects, or "one": `keep` if it is in the shard, or with None the shard's first.

    keys: dataset, method, K, seed of the rows; origin: the dataset whose subjects these are, for a copy its base. What is
    done is kept in the folder `resume`, subject by subject, and not done again after a stop, unless the files it is made
    from, the settings or the code (`digest`) are others.
    """
    method = load_method(settings, checkpoint)
    lpips_network = load_lpips(evaluation["lpips"], backbone) if backbone else None
    set_threads(threads)
    subjects = list(volumes_of([low], "test"))
    if settings.get("checkpoint"):
        refuse_seen(checkpoint, origin, subjects)
    shown = subjects if evaluation["keep"] == "all" else [keep] if keep else subjects[:1]
    files = [sha256_of(path) for path in (checkpoint, backbone) if path]
    run = [digest, keys, settings, evaluation, slice_profile, score_px, shown, *files]

    def score(case: TestCase, folder: Path) -> pd.DataFrame:
        return evaluate(
            method,
            case,
            keys["K"],
            evaluation=evaluation,
            slice_profile=slice_profile,
            score_px=score_px,
            lpips_network=lpips_network,
            keep=folder / f"{case.subject}.nii" if case.subject in shown else None,
        ).assign(**keys, protocol="strict")

    # A shard without a test subject has a table without rows.
    tables = [] if subjects else [pd.DataFrame(columns=COLUMNS)]
    with replacing(volumes) as to:
        to.mkdir(parents=True)
        for subject, folder in score_subjects(normalised, low, score, resume=resume, run=run):
            tables.append(read_scores(folder / TABLE))
            if subject in shown:
                shutil.copyfile(folder / f"{subject}.nii", to / f"{subject}.nii")
        write_scores(pd.concat(tables, ignore_index=True), scores)
    shutil.rmtree(resume)


def refuse_seen(checkpoint: Path | None, dataset: str, subjects: Collection[str]) -> None:
    """InputError where a finished model was trained on a test subject that it is to be scored on, or its step picked by one."""
    from interslice.common.checkpoints import read_checkpoint

    assert checkpoint is not None
    state = read_checkpoint(checkpoint)
    # A model file that does not say its dataset is taken to be of this one.
    if state.get("dataset", dataset) != dataset:
        return
    for use, key in (("trained", "subjects"), ("selected", "validation_subjects")):
        if key not in state:
            raise InputError(
                f"{checkpoint}: found no {key}, needed to know that the model saw no test subject"
            )
        seen = sorted(set(subjects) & set(state[key]))
        if seen:
            raise InputError(
                f"{checkpoint}: was {use} on {', '.join(seen)}, which the test split of {dataset} holds; "
                "allowed are models that saw no test subject"
            )
