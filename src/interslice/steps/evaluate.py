"""Evaluation step: interpolate and score one shard of the test subjects with one method."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from interslice.errors import InputError
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
    slice_profile: str,
    score_px: int | None,
    origin: str,
    keep: str | None,
    threads: int,
    scores: Path,
    volumes: Path,
) -> None:
    """Write the long table of a shard, and interpolated volumes for figures, viewer and readers.

    evaluation["keep"]: "all" subjects, or "one": `keep` if it is in the shard, or with None the shard's first.

    keys: dataset, method, K, seed of the rows; origin: the dataset whose subjects these are, for a copy its base.
    """
    method = load_method(settings, checkpoint)
    lpips_network = load_lpips(evaluation["lpips"], backbone) if backbone else None
    if (
        "torch" in sys.modules
    ):  # conventional methods without LPIPS do without: its import takes seconds a job
        sys.modules["torch"].set_num_threads(threads)
    references, lows = volumes_of([normalised], "test"), volumes_of([low], "test")
    if settings.get("checkpoint"):
        refuse_seen(checkpoint, origin, lows)
    cases = [TestCase(subject, references[subject], path) for subject, path in lows.items()]
    shown = list(lows) if evaluation["keep"] == "all" else [keep] if keep else list(lows)[:1]
    with replacing(volumes) as folder:
        folder.mkdir(parents=True)
        table = evaluate(
            method,
            cases,
            keys["K"],
            evaluation=evaluation,
            slice_profile=slice_profile,
            score_px=score_px,
            lpips_network=lpips_network,
            keep={subject: folder / f"{subject}.nii" for subject in shown},
        )
        write_scores(table.assign(**keys, protocol="strict"), scores)


def refuse_seen(checkpoint: Path | None, dataset: str, subjects: Collection[str]) -> None:
    """InputError where a finished model was trained on a test subject that it is to be scored on, or its step picked by one."""
    from interslice.checkpoints import read_checkpoint

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
