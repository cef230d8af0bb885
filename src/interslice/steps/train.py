"""Training step: normalised and low-resolution folders in, checkpoint, history and provenance out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import torch

from interslice.common.checkpoints import write_checkpoint
from interslice.common.devices import select_device, select_precision
from interslice.common.errors import InputError
from interslice.common.files import remove_abandoned, write_csv, write_json
from interslice.common.interruption import budget_of, interruptions
from interslice.common.provenance import environment_record
from interslice.common.seeds import seed_for
from interslice.data.parts import check_same_reference
from interslice.data.volumes import open_volume, reference_slices
from interslice.methods import method_class
from interslice.steps.data import volumes_of
from interslice.training.loop import Run, train
from interslice.training.lpips import load_lpips
from interslice.training.validation import Pair

NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked")


def train_method(
    low: Sequence[Path],
    normalised: Sequence[Path],
    validation_low: Sequence[Path],
    validation_normalised: Sequence[Path],
    *,
    dataset: str,
    factor: int,
    repetition: int,
    settings: Mapping[str, Any],
    validation_frames: Sequence[int] | None,
    digest: str,
    backbone: Path | None,
    resume: Path,
    threads: int,
    minutes: float | None,
    model: Path,
    history: Path,
    provenance: Path,
    progress: TextIO | None = None,
) -> None:
    """Train on the low-resolution volumes of the train split; validate against the validation split's references.

    All four are folders of shards; the high-resolution volumes of the train split, `normalised`, are given to
    supervised methods alone. settings: what matters of the method's, so without its label. minutes: after which a
    scheduler kills the job; None where none does. Raises Interrupted before that, or after SIGTERM.
    """
    torch.set_num_threads(threads)
    check_same_reference([*low, *normalised])
    check_same_reference([*validation_low, *validation_normalised])
    training_files, validation_files = volumes_of(low), volumes_of(validation_low)
    seed = seed_for(dataset, factor, repetition)
    label = f"{settings['method']}, {dataset}, K={factor}, seed {repetition}"
    run = Run(label, settings, seed, factor, digest, list(training_files), list(validation_files))
    volumes = [open_volume(path) for path in training_files.values()]
    sharp = references_of(training_files, volumes_of(normalised), factor)
    with interruptions(budget_of(minutes) if minutes else None) as interrupted:
        state = train(
            run,
            [volume.data for volume in volumes],
            validation_pairs(volumes_of(validation_normalised), validation_files, factor, validation_frames),
            resume=resume,
            gaps=[round(volume.spacing[0] / np.mean(volume.spacing[1:])) for volume in volumes],
            references=list(sharp) if method_class(settings["method"]).supervised else None,
            perceptual=load_lpips(settings["synthesis"]["backbone"], backbone) if backbone else None,
            progress=progress,
            interrupted=interrupted,
        )
    write_checkpoint(state, model)
    write_csv(pd.DataFrame(state["history"]), history)
    write_json({**facts_of(run, state), "digest": digest, "environment": environment_record()}, provenance)
    resume.unlink(missing_ok=True)
    remove_abandoned(resume)


def facts_of(run: Run, state: Mapping[str, Any]) -> dict[str, Any]:
    """What a training was and what it took."""
    device = select_device(run.settings["training"]["device"])
    trained = (weight for name, weight in state["weights"].items() if not name.endswith(NOT_TRAINED))
    return {
        "seed": run.seed,
        "train_subjects": run.subjects,
        "validation_subjects": run.validation,
        **{key: state[key] for key in ("best_step", "updates", "seconds", "compute_seconds", "ended")},
        "steps_per_second": state["updates"] / state["seconds"],
        "device": str(device),
        "precision": select_precision(run.settings["training"]["precision"], device),
        "parameters": sum(weight.numel() for weight in trained),
        "settings": dict(run.settings),
    }


def references_of(
    subjects: Iterable[str], normalised: Mapping[str, Path], factor: int
) -> Iterator[np.ndarray]:
    """The high-resolution slices of subjects that scores at K are about, memory-mapped."""
    return (reference_slices(open_volume(normalised[name]).data, factor) for name in subjects)


def validation_pairs(
    references: Mapping[str, Path], lows: Mapping[str, Path], factor: int, frames: Sequence[int] | None
) -> list[Pair]:
    """The frames of every validation volume that it has of `frames`, or all, memory-mapped; InputError if there is none."""
    pairs = []
    for path, reference in zip(lows.values(), references_of(lows, references, factor), strict=True):
        low = open_volume(path).data
        chosen = [frame for frame in range(len(low)) if frames is None or frame in frames]
        pairs += [Pair(low[frame], reference[frame]) for frame in chosen]
    if frames is not None and not pairs:
        raise InputError(
            f"validation_frames: found {list(frames)}, no validation volume has that many frames"
        )
    return pairs
