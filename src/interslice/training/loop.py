"""The training loop. One loop for every trained method, from top to bottom: resume, step, validate, save.

It stops and continues at any step with the same result: batches depend on (seed, step) alone, torch's generator is
seeded from them at every step, and the resume file holds the weights, the optimisers, the running sums and averages and
the best weights so far. With a budget of seconds the step at which a training ends is the machine's; all up to it is not.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from interslice.common.devices import select_device, select_precision
from interslice.common.errors import InputError
from interslice.common.interruption import Interrupted
from interslice.methods import build_method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.average import averaged, update_average
from interslice.training.optimisers import Optimisers, build_optimisers
from interslice.training.prefetch import Batch, drawn_ahead
from interslice.training.resume import Run, restore, save
from interslice.training.schedule import Clock, State, advance, rate_share
from interslice.training.triplets import check_in_plane, check_volumes, draw_batch
from interslice.training.validation import Pair, validate, validation_slabs
from interslice.training.volume_patches import check_pairs, draw_pairs
from interslice.training.windows import draw_windows

DRAWING_THREADS = 4  # while a GPU computes; on a CPU they would take its time


def train(
    run: Run,
    volumes: Sequence[np.ndarray],
    validation: Sequence[Pair],
    *,
    resume: Path,
    gaps: Sequence[int] | None = None,
    references: Sequence[np.ndarray] | None = None,
    perceptual: nn.Module | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    draw: Callable[[int], Batch] | None = None,
    progress: TextIO | None = None,
    stop: Callable[[State], str | None] | None = None,
    interrupted: Callable[[], str | None] | None = None,
) -> dict[str, Any]:
    """Train `run.settings["method"]` on low-resolution volumes (frames, slices, rows, columns) float32 in [0, 1].

    gaps: slice spacing of each volume in pixels, rounded, for windows across the plane; K where it is not given.
    references: the high-resolution volumes of `volumes`, which supervised methods alone are given. start: weights to begin
    with, which are validated as step 0 and kept where no later ones are better. draw: the batch of a step, in place of those
    that are drawn from the volumes alike.
    Returns the finished checkpoint's state: the run's identity, the weights of the step with the best validation score,
    the history, the updates and seconds taken, and whether it ended at a "plateau" or at its "budget". `perceptual` is the
    LPIPS module, for settings that use it; `resume` is written every `checkpoint_every` steps and read first if it exists.
    `stop`, asked after every step, ends the training early by saying which of the two that is; the step at which it does is
    validated like the last one. `interrupted`, asked after every step, gives a reason to save and raise Interrupted: the next
    call goes on from there. Raises InputError for volumes without triplets or a loss that is not finite (naming the step).
    """
    device = select_device(run.settings["training"]["device"])
    training = dict(run.settings["training"])
    training["precision"] = select_precision(training["precision"], device)
    method = prepared_method(run, training, device, start, perceptual)
    batch_of = draw or batches_of(run, method, volumes, references, gaps)
    optimisers = build_optimisers(method, training)
    state = restore(resume, run, method, optimisers)
    clock = Clock(state, device)
    slabs = [
        one for pair in validation for one in validation_slabs(pair, run.factor, method.neighbours, training)
    ]
    validate_now = partial(record, state, method, slabs, run.factor, training["select"])
    if start is not None and not state.step:
        validate_now()
    with (
        progress_bar(run.label, training["steps"], state.step, progress) as bar,
        closing(
            drawn_ahead(batch_of, state.step, DRAWING_THREADS if device.type == "cuda" else 0)
        ) as batches,
    ):
        while not state.over:
            loss = update(run, method, optimisers, batches, training, state)
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            clock.read(state)
            if state.step % training["validate_every"] == 0:
                validate_now()
            stopped = stop(state) if stop else None
            state.over = advance(state, training) or bool(stopped)
            state.ended = stopped or state.ended
            if state.over and not state.validated:
                validate_now()
            clock.read(state)
            reason = interrupted() if interrupted and not state.over else None
            if state.step % training["checkpoint_every"] == 0 or reason:
                save(resume, run, method, optimisers, state)
            if reason:
                raise Interrupted(
                    f"{run.label}: stopped after step {state.step} of {training['steps']} ({reason}); "
                    f"saved as {resume}, the next attempt goes on from it"
                )
    return run.identity() | state.result()


def prepared_method(
    run: Run,
    training: Mapping[str, Any],
    device: torch.device,
    start: Mapping[str, torch.Tensor] | None,
    perceptual: nn.Module | None,
) -> TrainedMethod:
    """The method of a run on its device: with the weights `start`, or those that the seed gives."""
    torch.manual_seed(run.seed)
    method: TrainedMethod = build_method(run.settings)  # type: ignore[assignment]
    method.precision = training["precision"]
    if start is not None:
        method.network.load_state_dict(start)
    method.network.to(device).train()
    method.perceptual = perceptual.to(device) if perceptual is not None else None
    if training["compile"]:
        compile_modules(method)
    return method


def progress_bar(label: str, steps: int, done: int, stream: TextIO | None) -> tqdm:
    """A bar on `stream` (default: sys.stderr)."""
    stream = sys.stderr if stream is None else stream
    seconds = 1 if stream.isatty() else 30  # in a job's log, a line a second is noise
    return tqdm(total=steps, initial=done, desc=label, file=stream, mininterval=seconds)


def batches_of(
    run: Run,
    method: TrainedMethod,
    volumes: Sequence[np.ndarray],
    references: Sequence[np.ndarray] | None,
    gaps: Sequence[int] | None,
) -> Callable[[int], Batch]:
    """The batch of a step, drawn from checked volumes."""
    training, spacings = run.settings["training"], gaps or [run.factor] * len(volumes)
    if method.any_gap:
        check_volumes(volumes, training["crop"])
        return lambda step: draw_windows(volumes, training, run.seed, step, spacings)
    if not method.supervised:
        check_volumes(volumes, training["crop"])
        if training.get("in_plane", 0):
            check_in_plane(volumes, training["crop"], spacings, method.neighbours)
        return lambda step: draw_batch(volumes, training, run.seed, step, method.neighbours, spacings)
    check_pairs(volumes, references, training)
    sharp = references or []
    labels = method.labels(sharp)
    return lambda step: draw_pairs(volumes, sharp, training, run.seed, step, run.factor, labels)


def compile_modules(method: TrainedMethod, **options: Any) -> None:
    """torch.compile, in place, of what the losses of a method call."""
    for module in [*method.compiled(), *([method.perceptual] if method.perceptual is not None else [])]:
        module.compile(**options)


def update(
    run: Run,
    method: TrainedMethod,
    optimisers: Optimisers,
    batches: Iterator[Batch],
    training: Mapping[str, Any],
    state: State,
) -> float:
    """The update at the step of a state, counted in it; returns the loss."""
    torch.manual_seed(run.seed * 1_000_003 + state.step)
    share = rate_share(training, state)
    terms = take_step(method, optimisers, next(batches), training, state.step, share)
    state.add(terms)
    update_average(state.average, method.network, training["average"], state.step)
    return terms["loss"]


def take_step(
    method: TrainedMethod,
    optimisers: Optimisers,
    batch: Batch,
    training: Mapping[str, Any],
    step: int,
    share: float = 1.0,
) -> dict[str, float]:
    """One update of the parameter groups with the windows and alphas of `draw_batch`; returns the terms of the loss.

    share: of the optimisers' peak rates. Each loss reaches its own group only, and one without a gradient none.
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
        for optimiser in optimisers[name]:
            optimiser.zero_grad(set_to_none=True)
        losses[name].backward(inputs=groups[name], retain_graph=name != due[-1])
        if method.clip is not None:
            nn.utils.clip_grad_norm_(groups[name], method.clip)
    for optimiser in (one for name in due for one in optimisers[name]):
        for group in optimiser.param_groups:
            group["lr"] = share * group["initial_lr"]
        optimiser.step()
    return values


def record(state: State, method: TrainedMethod, slabs: Sequence[Pair], factor: int, select: str) -> None:
    """Validate; add a row to the history (means of the terms since the last row) and keep the weights if they are the best.

    What is validated and kept is the average of the weights where there is one.
    """
    with averaged(method.network, state.average), torch.compiler.set_stance("force_eager"):
        scores = validate(method, slabs, factor)
        if scores[select] > state.best_score:
            state.best_score, state.best_step = scores[select], state.step
            state.best_weights = {
                name: w.detach().cpu().clone() for name, w in method.network.state_dict().items()
            }
    steps = state.step - (int(state.history[-1]["step"]) if state.history else 0)
    means = {name: total / steps for name, total in state.sums.items()}
    row = {"step": state.step, "compute_seconds": state.compute_seconds, **means}
    state.history.append(row | {f"validation_{name}": value for name, value in scores.items()})
    state.sums = {}
