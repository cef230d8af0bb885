"""Training step: normalised and low-resolution folders in, checkpoint, history and provenance out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import torch

from interslice.checkpoints import write_checkpoint
from interslice.files import replacing
from interslice.perceptual import load_lpips
from interslice.provenance import environment_record, seed_for
from interslice.steps.data import volumes_of
from interslice.training import Pair, Run, select_device, train
from interslice.volumes import open_volume, reference_slices


def train_method(
    normalised: Sequence[Path],
    low: Sequence[Path],
    *,
    dataset: str,
    factor: int,
    repetition: int,
    settings: Mapping[str, Any],
    digest: str,
    backbone: Path | None,
    resume: Path,
    threads: int,
    model: Path,
    history: Path,
    provenance: Path,
    progress: TextIO | None = None,
) -> None:
    """Train on the low-resolution volumes of the train split; validate against the validation split's references."""
    torch.set_num_threads(threads)
    training_files = volumes_of(low, "train")
    seed = seed_for(dataset, factor, repetition)
    label = f"{settings['label']}, {dataset}, K={factor}, seed {repetition}"
    run = Run(label, settings, seed, factor, digest, list(training_files))
    state = train(
        run,
        [open_volume(path).data for path in training_files.values()],
        validation_pairs(volumes_of(normalised, "validation"), volumes_of(low, "validation"), factor),
        resume=resume,
        perceptual=load_lpips(settings["synthesis"]["backbone"], backbone) if backbone else None,
        progress=progress,
    )
    write_checkpoint(state, model)
    with replacing(history) as temporary:
        pd.DataFrame(state["history"]).to_csv(temporary, index=False)
    steps = settings["training"]["steps"]
    facts = {
        "seed": seed,
        "train_subjects": run.subjects,
        "best_step": state["best_step"],
        "seconds": state["seconds"],
    }
    facts |= {
        "steps_per_second": steps / state["seconds"],
        "device": str(select_device(settings["training"]["device"])),
    }
    facts |= {
        "parameters": sum(weight.numel() for name, weight in state["weights"].items() if _trainable(name))
    }
    write_json(
        facts | {"settings": dict(settings), "digest": digest, "environment": environment_record()},
        provenance,
    )
    resume.unlink(missing_ok=True)


def _trainable(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def validation_pairs(references: Mapping[str, Path], lows: Mapping[str, Path], factor: int) -> list[Pair]:
    """Every frame of every validation volume, memory-mapped."""
    pairs = []
    for subject, path in lows.items():
        low, reference = (
            open_volume(path).data,
            reference_slices(open_volume(references[subject]).data, factor),
        )
        pairs += [Pair(low[frame], reference[frame]) for frame in range(low.shape[0])]
    return pairs


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")
