"""Training on the very scan that is to be interpolated: the finished model goes on with it, or the paper's method begins there.

A few slices, spread over the stack and never next to each other, are held out: no training window contains
them. Each is predicted from its neighbours, and that score picks the weights and ends the training early. The weights of
the finished model are among those that it picks from.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from interslice.common.errors import InputError
from interslice.common.extras import require
from interslice.common.memory import check_memory
from interslice.methods.shipped import PRETRAINED, read_settings
from interslice.scan.held_out import (
    HeldOut,
    hold_out,
    masked,
    own_windows,
    training_pieces,
    validation_pairs,
)
from interslice.scan.models import TRAINED_HERE, Model, load_model
from interslice.scan.scans import Scan, without_nan
from interslice.scan.upsampling import limits_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from interslice.training.prefetch import Batch
    from interslice.training.schedule import State

# On top of the study's settings: a schedule for minutes, not hours, and no windows across the slices, which need more of them
# than a scan of one's own may have between two held-out ones.
HERE = {
    "steps": 0, "until": "steps", "schedule": "cosine", "batch": 8, "validate_every": 25, "validation_slabs": 1,
    "checkpoint_every": 10**9,
}  # fmt: skip
LEFT_OUT = ("in_plane",)
CONTINUED = "motion_spline"  # goes on from its finished model; the others begin anew
METHODS_HERE = (CONTINUED, "cae", "cae_residual")
# The finished model knows what scans have in common. What is left to learn is of this scan: no other contrasts or noise.
GOING_ON = {"learning_rate": 3e-4, "contrast": 0.0, "noise": 0.0, "moved": 0.0, "warmup_steps": 20}
LOSSES = {
    "mse": {"lpips": 0.0, "mse": 1.0},
    "lpips": {"lpips": 0.05, "mse": 0.0},
}  # lpips: Eq. 3 of the paper
MOST_STEPS = 20_000  # a scan of one's own holds no more than this
VALIDATIONS, PATIENCE = 40, 10  # of a training; without a better score in a row
# One that goes on was best after some 25 to 50 updates, and then learnt the few slices by heart: more time is of no use. It is
# validated less often: its whole slices take longer, and of many scores the best is a matter of luck.
ENOUGH_STEPS, FEW_VALIDATIONS, FOR_VALIDATIONS = 200, 8, 0.25  # and the share of the time that they take
LEAST_GAIN = 0.05  # dB on held-out slices, below which the finished model is taken as it came
TIMED_STEPS = 3
SMALLEST_CROP, LONGEST_MINUTES = 16, 24 * 60
CROP_STEP = 16  # pixels that the networks of CONTINUED shrink to one; it needs two of these


@dataclass(frozen=True)
class Trained:
    """A model that was trained here, the slices that it never saw, a line about the training, and the finished model that it
    went on from, if any."""

    model: Model
    held_out: HeldOut
    summary: str
    before: Model | None = None


def training_volume(scan: Scan) -> np.ndarray:
    """(frames, slices, rows, columns) float32 in [0, 1], each frame scaled as the method will see it."""
    check_memory(4 * scan.stored.size, scan.name)
    volume = np.empty((scan.frames, *scan.stored_frame(0).shape), dtype=np.float32)
    for index in range(scan.frames):
        frame = without_nan(scan.frame(index))
        low, high = limits_of(frame, trained=True)
        volume[index] = np.clip((frame - low) / (high - low), 0, 1) if high > low else 0
    return volume


def check_training(scans: Sequence[Scan], minutes: float, method: str, loss: str, with_check: bool) -> None:
    """Refuse what `train_here` cannot do, before any of it is done."""
    require("torch", "model", "--train-here")
    if loss == "lpips":
        require("lpips", "study", "--loss lpips")
    if method not in METHODS_HERE:
        raise InputError(f"--train-here: found method {method}, allowed are {', '.join(METHODS_HERE)}")
    if not 0 < minutes <= LONGEST_MINUTES:
        raise InputError(f"minutes: found {minutes:g}, allowed are numbers above 0 up to {LONGEST_MINUTES}")
    if method == CONTINUED and loss != "mse":
        raise InputError(f"loss: found {loss} with {method}, which has its own; it is for the autoencoders")
    if loss not in LOSSES:
        raise InputError(f"loss: found {loss!r}, allowed are {', '.join(LOSSES)}")
    hold_out(scans[0].stored_frame(0).shape[0], with_check, scans[0].name)
    for scan in scans:
        slices, *sides = scan.stored_frame(0).shape
        if slices < 3:
            raise InputError(f"{scan.name}: found {slices} slices, training needs at least 3")
        smallest = 2 * CROP_STEP if method == CONTINUED else SMALLEST_CROP
        if min(sides) < smallest:
            raise InputError(
                f"{scan.name}: found slices {min(sides)} pixels wide, training needs at least {smallest}"
            )


def train_here(
    scans: Sequence[Scan],
    minutes: float,
    *,
    method: str = CONTINUED,
    loss: str = "mse",
    seed: int = 0,
    with_check: bool = False,
    save_to: Path | None = None,
    progress: TextIO | None = None,
) -> Trained:
    """Train on scans[0] and the others for at most `minutes`; slices are held out of scans[0] only.

    loss: "mse" or "lpips", the synthesis term of the autoencoders. `save_to`: keep the checkpoint, for --model. A progress bar
    goes to `progress` (default: sys.stderr). Raises InputError for an unknown method or loss, minutes
    that are not positive, or scans that are too small.
    """
    from interslice.common.checkpoints import write_checkpoint
    from interslice.training.loop import Run, train

    check_training(scans, minutes, method, loss, with_check)
    started = time.monotonic()
    held = hold_out(scans[0].stored_frame(0).shape[0], with_check, scans[0].name)
    own, others = training_volume(scans[0]), [training_volume(scan) for scan in scans[1:]]
    volumes = [*training_pieces(own, held), *others]
    perceptual = load_perceptual(loss)
    settings = fitted_settings(method, loss, volumes)
    start = draw = None
    if method == CONTINUED:
        start = finished_weights()
        gaps = [max(1, round(scan.gap_px)) for scan in scans]
        draw = own_windows(volumes, [masked(own, held), *others], gaps, settings["training"], seed)
    budget = 60 * minutes - (time.monotonic() - started)
    settings["training"].update(schedule_for(settings, volumes, perceptual, draw, budget))
    run = Run("training", settings, seed, 2, "own scan", [Path(scan.name).name for scan in scans])
    deadline = started + 60 * minutes
    always = settings["training"]["steps"] // 2  # scores rise as the learning rate falls

    def stop(state: "State") -> str | None:
        waited = sum(row["step"] > max(state.best_step, always) for row in state.history)
        return "plateau" if waited >= PATIENCE else "budget" if time.monotonic() > deadline else None

    pairs = validation_pairs(own, held, scans[0].gap_px)
    with tempfile.TemporaryDirectory() as folder:
        resume = Path(folder) / "resume.pt"
        state = train(
            run, volumes, pairs, resume=resume, perceptual=perceptual, start=start, draw=draw, progress=progress, stop=stop
        )  # fmt: skip
        before = load_model(CONTINUED) if start is not None else None
        if start is not None and gain_of(state) < LEAST_GAIN:
            state |= {"weights": start, "best_step": 0}
        path = save_to or Path(folder) / f"{method}-trained-here.pt"
        write_checkpoint(state, path)
        model = before if before is not None and state["best_step"] == 0 else load_model(path)
        return Trained(model, held, summary_of(state, len(held.select)), before)


def finished_weights() -> "dict[str, Tensor]":
    """Those of the finished model that the training goes on from."""
    from interslice.common.checkpoints import read_checkpoint

    weights: dict[str, Tensor] = read_checkpoint(PRETRAINED / f"{CONTINUED}.pt")["weights"]
    return weights


def gain_of(state: Mapping[str, Any]) -> float:
    """How much better in dB the best weights of a training are on the held-out slices than those that it went on from."""
    scores = [row["validation_psnr"] for row in state["history"]]
    return float(max(scores) - scores[0])


def summary_of(state: Mapping[str, Any], slices: int) -> str:
    """How long the training took and what the chosen weights score on the held-out slices."""
    best = next(row for row in state["history"] if row["step"] == state["best_step"])
    scores = f"alone SSIM {best['validation_ssim']:.4f}, PSNR {best['validation_psnr']:.2f} dB"
    steps = f"{state['history'][-1]['step']} steps in {state['seconds']:.0f} s"
    first = state["history"][0]
    if first["step"]:
        return f"training: {steps}; took step {state['best_step']} ({scores} on {slices} held-out slice(s))"
    before = f"SSIM {first['validation_ssim']:.4f}, PSNR {first['validation_psnr']:.2f} dB"
    if state["best_step"] == 0:
        return (
            f"training: {steps}, none better by {LEAST_GAIN} dB on {slices} held-out slice(s) than the finished model "
            f"({before}): it is taken as it came"
        )
    return (
        f"training: {steps}; took step {state['best_step']} ({scores} on {slices} held-out slice(s); "
        f"the finished model has {before})"
    )


def settings_here(method: str) -> dict[str, Any]:
    """The study's settings of a method, with a schedule for one scan."""
    settings = read_settings(method)
    training = settings["training"] | HERE
    if method == CONTINUED:
        training |= GOING_ON
    else:
        training = {key: value for key, value in training.items() if key not in LEFT_OUT}
    return settings | {"label": settings["label"] + TRAINED_HERE, "training": training}


def fitted_settings(method: str, loss: str, volumes: Sequence[np.ndarray]) -> dict[str, Any]:
    """The settings with the crop that fits the smallest slice."""
    settings = settings_here(method)
    side = min(min(volume.shape[2:]) for volume in volumes)
    step = CROP_STEP if method == CONTINUED else 4
    settings["training"]["crop"] = min(settings["training"]["crop"], side // step * step)
    if method != CONTINUED:
        settings["synthesis"].update(LOSSES[loss])
    return settings


def schedule_for(
    settings: Mapping[str, Any],
    volumes: Sequence[np.ndarray],
    perceptual: "nn.Module | None",
    draw: "Callable[[int], Batch] | None",
    seconds: float,
) -> dict[str, int]:
    """The steps that fit into `seconds`, as measured here, so that the learning rate ends near zero."""
    from interslice.common.devices import select_device
    from interslice.methods import build_method
    from interslice.methods.parts.autoencoder import TrainedMethod
    from interslice.training.loop import Run, batches_of, take_step
    from interslice.training.optimisers import build_optimisers

    training = settings["training"] | {"steps": MOST_STEPS}
    device = select_device(training["device"])
    method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
    run = Run("timing", {**settings, "training": training}, 0, 2, "", [])
    draw = draw or batches_of(run, method, volumes, None, None)
    method.network.to(device).train()
    method.perceptual = perceptual.to(device) if perceptual is not None else None
    optimisers = build_optimisers(method, training)
    taken = []
    for step in range(TIMED_STEPS):
        began = time.monotonic()
        take_step(method, optimisers, draw(step), training, step)
        taken.append(time.monotonic() - began)
    validations, share, most = VALIDATIONS, 0.1, MOST_STEPS
    if method.any_gap:
        validations, share, most = FEW_VALIDATIONS, FOR_VALIDATIONS, min(ENOUGH_STEPS, MOST_STEPS)
    steps = int(np.clip((1 - share) * seconds / sorted(taken)[1], 1, most))
    return {
        "steps": steps,
        "warmup_steps": min(settings["training"]["warmup_steps"], steps // 10),
        "validate_every": max(1, steps // validations),
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
