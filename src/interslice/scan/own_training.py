"""Training on the very scan that is to be interpolated: the paper's method needs no other data.

A few slices, spread over the stack and never next to each other, are held out: no training triplet contains
them. Each is predicted from its two neighbours, and that score picks the weights and ends the training early.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from interslice.common.errors import InputError
from interslice.common.extras import require
from interslice.common.memory import check_memory
from interslice.methods.shipped import read_settings
from interslice.scan.models import TRAINED_HERE, Model, load_model
from interslice.scan.scans import Scan, without_nan
from interslice.scan.trust import spread_over
from interslice.scan.upsampling import limits_of

if TYPE_CHECKING:
    from torch import nn

    from interslice.training.schedule import State
    from interslice.training.validation import Pair

# On top of the study's settings: a schedule for minutes, not hours, and no windows across the slices, which need more of them
# than a scan of one's own may have between two held-out ones.
HERE = {
    "steps": 0, "until": "steps", "schedule": "cosine", "batch": 8, "validate_every": 25, "validation_slabs": 1,
    "checkpoint_every": 10**9,
}  # fmt: skip
LEFT_OUT = ("in_plane",)
METHODS_HERE = ("cae", "cae_residual")
LOSSES = {
    "mse": {"lpips": 0.0, "mse": 1.0},
    "lpips": {"lpips": 0.05, "mse": 0.0},
}  # lpips: Eq. 3 of the paper
MOST_STEPS = 20_000  # a scan of one's own holds no more than this
VALIDATIONS, PATIENCE = 40, 10  # of a training; without a better score in a row
SLICES_PER_HELD_OUT = 8
FRAMES_SCORED = 3
TIMED_STEPS = 3
SMALLEST_CROP, LONGEST_MINUTES = 16, 24 * 60


@dataclass(frozen=True)
class HeldOut:
    """Slice indices that no training triplet contains: for choosing the weights, and for --check."""

    select: tuple[int, ...]
    check: tuple[int, ...]

    @property
    def both(self) -> set[int]:
        return {*self.select, *self.check}


@dataclass(frozen=True)
class Trained:
    """A model that was trained here, the slices that it never saw, and a line about the training."""

    model: Model
    held_out: HeldOut
    summary: str


def hold_out(slices: int, with_check: bool, name: str = "scan") -> HeldOut:
    """Spread the held-out slices evenly: one in eight, with --check one in six; InputError for few slices.

    Both ends stay in the training: a held-out slice needs two neighbours.
    """
    shares = 1 + with_check
    count = max(shares, slices // (SLICES_PER_HELD_OUT - 2 * with_check))
    chosen = [round(place) for place in np.linspace(0, slices - 1, count + 2)[1:-1]]
    held = HeldOut(tuple(chosen[::shares]), tuple(chosen[1::shares]) if with_check else ())
    if min(np.diff([-1, *chosen, slices])) < 2 or not any(size >= 3 for size in piece_sizes(slices, held)):
        raise InputError(f"{name}: found {slices} slices, training on it needs at least {6 + 3 * with_check}")
    return held


def piece_sizes(slices: int, held: HeldOut) -> list[int]:
    """Slices in a row between the held-out ones."""
    edges = [-1, *sorted(held.both), slices]
    return [stop - start - 1 for start, stop in pairwise(edges)]


def training_volume(scan: Scan) -> np.ndarray:
    """(frames, slices, rows, columns) float32 in [0, 1], each frame scaled as the method will see it."""
    check_memory(4 * scan.stored.size, scan.name)
    volume = np.empty((scan.frames, *scan.stored_frame(0).shape), dtype=np.float32)
    for index in range(scan.frames):
        frame = without_nan(scan.frame(index))
        low, high = limits_of(frame, trained=True)
        volume[index] = np.clip((frame - low) / (high - low), 0, 1) if high > low else 0
    return volume


def training_pieces(volume: np.ndarray, held: HeldOut) -> list[np.ndarray]:
    """The stacks of at least 3 slices between the held-out slices of (frames, slices, rows, columns)."""
    edges = [-1, *sorted(held.both), volume.shape[1]]
    stacks = [volume[:, start + 1 : stop] for start, stop in pairwise(edges)]
    return [stack for stack in stacks if stack.shape[1] >= 3]


def validation_pairs(volume: np.ndarray, held: HeldOut) -> "list[Pair]":
    """Every held-out slice with its two neighbours, in up to three frames, as a volume of factor 2."""
    from interslice.training.validation import Pair

    frames = spread_over(len(volume), FRAMES_SCORED)
    triplets = [volume[frame, index - 1 : index + 2] for frame in frames for index in held.select]
    return [Pair(triplet[::2], triplet) for triplet in triplets]


def check_training(scans: Sequence[Scan], minutes: float, method: str, loss: str, with_check: bool) -> None:
    """Refuse what `train_here` cannot do, before any of it is done."""
    require("torch", "model", "--train-here")
    if loss == "lpips":
        require("lpips", "study", "--loss lpips")
    if method not in METHODS_HERE:
        raise InputError(f"--train-here: found method {method}, allowed are {', '.join(METHODS_HERE)}")
    if not 0 < minutes <= LONGEST_MINUTES:
        raise InputError(f"minutes: found {minutes:g}, allowed are numbers above 0 up to {LONGEST_MINUTES}")
    if loss not in LOSSES:
        raise InputError(f"loss: found {loss!r}, allowed are {', '.join(LOSSES)}")
    hold_out(scans[0].stored_frame(0).shape[0], with_check, scans[0].name)
    for scan in scans:
        slices, *sides = scan.stored_frame(0).shape
        if slices < 3:
            raise InputError(f"{scan.name}: found {slices} slices, training needs at least 3")
        if min(sides) < SMALLEST_CROP:
            raise InputError(
                f"{scan.name}: found slices {min(sides)} pixels wide, training needs at least {SMALLEST_CROP}"
            )


def train_here(
    scans: Sequence[Scan],
    minutes: float,
    *,
    method: str = "cae",
    loss: str = "mse",
    seed: int = 0,
    with_check: bool = False,
    save_to: Path | None = None,
    progress: TextIO | None = None,
) -> Trained:
    """Train on scans[0] and the others for at most `minutes`; slices are held out of scans[0] only.

    loss: "mse" or "lpips", the synthesis term. `save_to`: keep the checkpoint, for --model. A progress bar
    goes to `progress` (default: sys.stderr). Raises InputError for an unknown method or loss, minutes
    that are not positive, or scans that are too small.
    """
    from interslice.common.checkpoints import write_checkpoint
    from interslice.training.loop import Run, train

    check_training(scans, minutes, method, loss, with_check)
    started = time.monotonic()
    held = hold_out(scans[0].stored_frame(0).shape[0], with_check, scans[0].name)
    own = training_volume(scans[0])
    volumes = [*training_pieces(own, held), *(training_volume(scan) for scan in scans[1:])]
    perceptual = load_perceptual(loss)
    settings = fitted_settings(method, loss, volumes)
    budget = 60 * minutes - (time.monotonic() - started)
    settings["training"].update(schedule_for(settings, volumes, perceptual, budget))
    run = Run("training", settings, seed, 2, "own scan", [Path(scan.name).name for scan in scans])
    deadline = started + 60 * minutes
    always = settings["training"]["steps"] // 2  # scores rise as the learning rate falls

    def stop(state: "State") -> str | None:
        waited = sum(row["step"] > max(state.best_step, always) for row in state.history)
        return "plateau" if waited >= PATIENCE else "budget" if time.monotonic() > deadline else None

    pairs = validation_pairs(own, held)
    with tempfile.TemporaryDirectory() as folder:
        resume = Path(folder) / "resume.pt"
        state = train(run, volumes, pairs, resume=resume, perceptual=perceptual, progress=progress, stop=stop)
        path = save_to or Path(folder) / f"{method}-trained-here.pt"
        write_checkpoint(state, path)
        return Trained(load_model(path), held, summary_of(state, len(held.select)))


def summary_of(state: Mapping[str, Any], slices: int) -> str:
    """How long the training took and what the chosen weights score on the held-out slices."""
    best = next(row for row in state["history"] if row["step"] == state["best_step"])
    scores = f"alone SSIM {best['validation_ssim']:.4f}, PSNR {best['validation_psnr']:.2f} dB"
    steps = f"{state['history'][-1]['step']} steps in {state['seconds']:.0f} s"
    return f"training: {steps}; took step {state['best_step']} ({scores} on {slices} held-out slice(s))"


def settings_here(method: str) -> dict[str, Any]:
    """The study's settings of a method, with a schedule for one scan."""
    settings = read_settings(method)
    training = {key: value for key, value in settings["training"].items() if key not in LEFT_OUT}
    return settings | {"label": settings["label"] + TRAINED_HERE, "training": training | HERE}


def fitted_settings(method: str, loss: str, volumes: Sequence[np.ndarray]) -> dict[str, Any]:
    """The settings with the crop that fits the smallest slice."""
    settings = settings_here(method)
    side = min(min(volume.shape[2:]) for volume in volumes)
    settings["training"]["crop"] = min(settings["training"]["crop"], side // 4 * 4)
    settings["synthesis"].update(LOSSES[loss])
    return settings


def schedule_for(
    settings: Mapping[str, Any], volumes: Sequence[np.ndarray], perceptual: "nn.Module | None", seconds: float
) -> dict[str, int]:
    """The steps that fit into `seconds`, as measured here, so that the learning rate ends near zero."""
    from interslice.common.devices import select_device
    from interslice.methods import build_method
    from interslice.methods.parts.autoencoder import TrainedMethod
    from interslice.training.loop import take_step
    from interslice.training.optimisers import build_optimisers
    from interslice.training.triplets import check_volumes, draw_batch

    training = settings["training"] | {"steps": MOST_STEPS}
    device = select_device(training["device"])
    method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
    check_volumes(volumes, training, [2] * len(volumes), method.neighbours)
    method.network.to(device).train()
    method.perceptual = perceptual.to(device) if perceptual is not None else None
    optimisers = build_optimisers(method, training)
    taken = []
    for step in range(TIMED_STEPS):
        began = time.monotonic()
        batch = draw_batch(volumes, training, 0, step, method.neighbours)
        take_step(method, optimisers, batch, training, step)
        taken.append(time.monotonic() - began)
    steps = int(np.clip(0.9 * seconds / sorted(taken)[1], 1, MOST_STEPS))  # a tenth is for the validations
    return {
        "steps": steps,
        "warmup_steps": min(settings["training"]["warmup_steps"], steps // 10),
        "validate_every": max(1, steps // VALIDATIONS),
    }


def load_perceptual(loss: str) -> "nn.Module | None":
    """The LPIPS network for the loss that needs it, its weights fetched once into the user's cache."""
    if loss != "lpips":
        return None
    from interslice.training.backbone import prepare_backbone
    from interslice.training.lpips import load_lpips

    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "interslice"
    weights = cache / "lpips-alex.pt"
    if not weights.is_file():
        prepare_backbone("alex", weights, sys.stderr)
    return load_lpips("alex", weights)
