"""The training loop. One loop for every trained method, from top to bottom: resume, step, validate, save.

It stops and continues at any step with the same result: batches depend on (seed, step) alone, torch's generator is
seeded from them at every step, and the resume file holds the weights, the optimisers, the running sums and the best
weights so far.
"""

import copy
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.common.devices import select_device, select_precision
from interslice.common.errors import InputError
from interslice.common.interruption import Interrupted
from interslice.common.similarity import psnr, ssim
from interslice.data.volumes import output_size
from interslice.methods import build_method
from interslice.methods.shared.autoencoder import TrainedMethod
from interslice.training.triplets import check_volumes, draw_batch
from interslice.training.volume_patches import check_pairs, draw_pairs


@dataclass(frozen=True)
class Run:
    """What identifies a training: a resume file of another run is refused. `label` is for people only.

    subjects: those that it trains on; validation: those that pick the step.
    """

    label: str
    settings: Mapping[str, Any]
    seed: int
    factor: int
    digest: str
    subjects: Sequence[str]
    validation: Sequence[str] = ()

    def identity(self) -> dict[str, Any]:
        """The record that a checkpoint carries."""
        return {
            "settings": dict(self.settings),
            "seed": self.seed,
            "K": self.factor,
            "digest": self.digest,
            "subjects": list(self.subjects),
            "validation_subjects": list(self.validation),
        }


@dataclass(frozen=True)
class Pair:
    """A validation volume: low (slices, rows, columns) and its reference ((slices - 1) K + 1, rows, columns)."""

    low: np.ndarray
    reference: np.ndarray


@dataclass
class State:
    """How far a training is: all that changes while it runs besides the weights and the optimisers."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -math.inf
    best_step: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def train(
    run: Run,
    volumes: Sequence[np.ndarray],
    validation: Sequence[Pair],
    *,
    resume: Path,
    gaps: Sequence[int] | None = None,
    references: Sequence[np.ndarray] | None = None,
    perceptual: nn.Module | None = None,
    progress: TextIO | None = None,
    stop: Callable[[State], bool] | None = None,
    interrupted: Callable[[], str | None] | None = None,
) -> dict[str, Any]:
    """Train `run.settings["method"]` on low-resolution volumes (frames, slices, rows, columns) float32 in [0, 1].

    gaps: slice spacing of each volume in pixels, rounded, for windows across the plane; K where it is not given.
    references: the high-resolution volumes of `volumes`, which supervised methods alone are given.
    Returns the finished checkpoint's state: the run's identity, the weights of the step with the best validation score,
    the history and the seconds taken. `perceptual` is the LPIPS module, for settings that use it; `resume` is written
    every `checkpoint_every` steps and read first if it exists. `stop`, asked after every step, ends the training early; the
    step at which it does is validated like the last one. `interrupted`, asked after every step, gives a reason to save and
    raise Interrupted: the next call goes on from there. Raises InputError for volumes without triplets, a resume file of
    another run, or a loss that is not finite (naming the step).
    """
    training = run.settings["training"]
    device = select_device(training["device"])
    training = {**training, "precision": select_precision(training["precision"], device)}
    torch.manual_seed(run.seed)
    method: TrainedMethod = build_method(run.settings)  # type: ignore[assignment]
    gaps = gaps or [run.factor] * len(volumes)
    labels = None
    if method.supervised:
        check_pairs(volumes, references, training)
        labels = method.labels(references or [])
    else:
        check_volumes(volumes, training, gaps, method.neighbours)
    method.network.to(device).train()
    method.perceptual = perceptual.to(device) if perceptual is not None else None
    if training["compile"]:
        method.network.compile()
    optimisers = {
        name: torch.optim.Adam(parameters, betas=method.betas) for name, parameters in method.groups().items()
    }
    state = restore(resume, run, method, optimisers)
    if state.step:
        print(f"{run.label}: goes on after step {state.step} of {training['steps']} from {resume}")
    slabs = [
        slab
        for pair in validation
        for slab in validation_slabs(pair, run.factor, method.neighbours, training)
    ]

    started = time.monotonic() - state.seconds
    stopped = False
    stream = sys.stderr if progress is None else progress
    seconds = 1 if stream.isatty() else 30  # in a job's log, a line a second is noise
    with tqdm(
        total=training["steps"], initial=state.step, desc=run.label, file=stream, mininterval=seconds
    ) as bar:
        while state.step < training["steps"] and not stopped:
            draw = (training, run.seed, state.step)
            if method.supervised and references is not None:
                batch = draw_pairs(volumes, references, *draw, run.factor, labels)
            else:
                batch = draw_batch(volumes, *draw, method.neighbours, gaps)
            torch.manual_seed(run.seed * 1_000_003 + state.step)
            terms = take_step(method, optimisers, batch, training, state.step)
            state.sums = {name: state.sums.get(name, 0.0) + value for name, value in terms.items()}
            state.step += 1
            bar.update()
            bar.set_postfix(loss=f"{terms['loss']:.4f}", refresh=False)
            stopped = stop is not None and stop(state)
            if state.step % training["validate_every"] == 0 or state.step == training["steps"] or stopped:
                record(state, method, validate(method, slabs, run.factor), training["select"])
            reason = interrupted() if interrupted and state.step < training["steps"] and not stopped else None
            if state.step % training["checkpoint_every"] == 0 or reason:
                state.seconds = time.monotonic() - started
                save(resume, run, method, optimisers, state)
            if reason:
                raise Interrupted(
                    f"{run.label}: stopped after step {state.step} of {training['steps']} ({reason}); "
                    f"saved as {resume}, the next attempt goes on from it"
                )
    return run.identity() | {
        "weights": state.best_weights,
        "best_step": state.best_step,
        "history": state.history,
        "seconds": time.monotonic() - started,
    }


def take_step(
    method: TrainedMethod,
    optimisers: Mapping[str, torch.optim.Optimizer],
    batch: tuple[np.ndarray, np.ndarray],
    training: Mapping[str, Any],
    step: int,
) -> dict[str, float]:
    """One update of the parameter groups with the windows and alphas of `draw_batch`; returns the terms of the loss.

    Each loss reaches its own group only, and one without a gradient none.
    """
    method.step = step
    windows, alphas = (torch.from_numpy(array).to(method.device) for array in batch)
    bfloat16 = training["precision"] == "bfloat16"
    with torch.autocast(windows.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        losses, terms = method.losses(windows, alphas)
    values = {
        name: float(loss.detach())
        for name, loss in {"loss": sum(losses.values(), torch.tensor(0.0)), **terms}.items()
    }
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(
                f"training {method.settings['method']}: {name} is {value} at step {step}; try a lower learning_rate"
            )
    groups = method.groups()
    due = [name for name, loss in losses.items() if loss.requires_grad]
    for name in due:
        optimisers[name].zero_grad(set_to_none=True)
        losses[name].backward(inputs=groups[name], retain_graph=name != due[-1])
    for name in due:
        for group in optimisers[name].param_groups:
            group["lr"] = learning_rate(training, step)
        optimisers[name].step()
    return values


def learning_rate(training: Mapping[str, Any], step: int) -> float:
    """The rate at a step: linear warm-up, then constant, or a cosine to zero at `steps`."""
    peak, warmup = training["learning_rate"], training["warmup_steps"]
    if step < warmup:
        return peak * (step + 1) / warmup
    if training["schedule"] == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, training["steps"] - warmup)))


def validation_slabs(pair: Pair, factor: int, neighbours: int, training: Mapping[str, Any]) -> list[Pair]:
    """`validation_slabs` short stacks of `neighbours` input slices, spread evenly over a volume, with their reference."""
    size = min(neighbours, pair.low.shape[0])
    starts = np.linspace(0, pair.low.shape[0] - size, training["validation_slabs"] + 2)[1:-1]
    stop = output_size(size, factor)
    return [
        Pair(
            np.array(pair.low[first : first + size]),
            np.array(pair.reference[first * factor : first * factor + stop]),
        )
        for first in sorted({round(start) for start in starts})
    ]


def validate(method: TrainedMethod, slabs: Sequence[Pair], factor: int) -> dict[str, float]:
    """Mean SSIM and PSNR (data range 1) of the synthesised slices in the middle gap of every slab."""
    method.network.eval()
    scores = []
    for slab in slabs:
        result = np.clip(method.interpolate(slab.low, factor), 0, 1)
        middle = (slab.low.shape[0] // 2 - 1) * factor
        for index in range(middle + 1, middle + factor):
            pair = result[index], slab.reference[index]
            scores.append((ssim(*pair, data_range=1.0), psnr(*pair, data_range=1.0)))
    method.network.train()
    means = np.mean(scores, axis=0)
    return {"ssim": float(means[0]), "psnr": float(means[1])}


def record(state: State, method: TrainedMethod, scores: Mapping[str, float], select: str) -> None:
    """Add a row to the history (means of the terms since the last row) and keep the weights if they are the best."""
    steps = state.step - (int(state.history[-1]["step"]) if state.history else 0)
    means = {name: total / steps for name, total in state.sums.items()}
    state.history.append(
        {"step": state.step, **means, **{f"validation_{name}": v for name, v in scores.items()}}
    )
    state.sums = {}
    if scores[select] > state.best_score:
        state.best_score, state.best_step = scores[select], state.step
        state.best_weights = {
            name: w.detach().cpu().clone() for name, w in method.network.state_dict().items()
        }


def save(
    resume: Path,
    run: Run,
    method: TrainedMethod,
    optimisers: Mapping[str, torch.optim.Optimizer],
    state: State,
) -> None:
    """Write the resume file."""
    moments = {name: optimiser.state_dict() for name, optimiser in optimisers.items()}
    write_checkpoint(
        {
            "run": run.identity(),
            "network": method.network.state_dict(),
            "optimisers": moments,
            "state": vars(state),
        },
        resume,
    )


def restore(
    resume: Path, run: Run, method: TrainedMethod, optimisers: Mapping[str, torch.optim.Optimizer]
) -> State:
    """The state of `resume` if it exists, its weights and moments put back in place; else a fresh state."""
    if not resume.exists():
        return State()
    saved = read_checkpoint(resume)
    differing = [key for key, value in run.identity().items() if saved["run"].get(key) != value]
    if differing:
        raise InputError(
            f"{resume}: belongs to another run ({', '.join(differing)} differ); delete it to start anew"
        )
    method.network.load_state_dict(saved["network"])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(copy.deepcopy(saved["optimisers"][name]))
    return State(**saved["state"])
