"""`--method auto`: the best of what the tool has for this scan, by slices of it that are held out and predicted back."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from interslice.common.similarity import decibels
from interslice.data.volumes import central
from interslice.methods.base import Method
from interslice.methods.shipped import FINISHED
from interslice.scan.grid import Grid
from interslice.scan.models import FAST, Model, conventional, load_model
from interslice.scan.scans import Scan, without_nan
from interslice.scan.trust import spread_over
from interslice.scan.upsampling import limits_of

UNTRAINED = (FAST, "linear", "registration")
HELD_OUT = 6  # slices that are predicted back, over all frames
FRAMES = 3  # of a series that they are taken from
SIDE = 128  # pixels of the central square that is predicted
SLOW, WORTH_DB = "registration", 0.25  # it takes a hundred times as long as a spline: so far ahead it must be
REACH = 4  # slices on either side of a held-out one that it is predicted from
MOST_REGISTERED = (
    4e6  # voxels of a scan, some 10 CPU seconds a million; above, registration is left out of the choice
)


@dataclass(frozen=True)
class Choice:
    """The model to take, the PSNR in dB of every candidate (by name, best first), and why it is taken, in words."""

    model: Model
    scores: Mapping[str, float]
    summary: str


def choose_best(scan: Scan, grid: Grid | None, keep_original: bool = True) -> Choice:
    """Predict a few slices of the scan from its others at twice the spacing, and take the method with the highest PSNR,
    with `worthwhile`.

    grid: what is asked for, which decides with the gap which finished models are tried (None: none is). A scan of fewer than
    4 slices, or without contrast, gets the spline.
    """
    scan = scan.parts()[0]
    if scan.positions:
        return Choice(conventional(FAST), {}, "with unequal gaps methods are not compared")
    stacks = held_out_stacks(scan)
    if not stacks:
        model = conventional(FAST)
        return Choice(model, {}, "too few slices to hold one out and compare methods")
    models, left_out = candidates(scan, grid)
    gap_px = 2 * scan.gap_px
    thickness = scan.thickness_mm and scan.thickness_mm / (2 * scan.normal_spacing_mm)
    told = {model.shown: model.method.at_gap(gap_px).given(thickness) for model in models}
    scores = {name: score(method, stacks, keep_original) for name, method in told.items()}
    ranked = dict(sorted(scores.items(), key=lambda item: -item[1]))
    name = worthwhile(ranked)
    best = next(model for model in models if model.shown == name)
    shown = ", ".join(f"{name} {one:.2f} dB" for name, one in ranked.items())
    first = (
        "best" if name == next(iter(ranked)) else f"best but for {SLOW}, whose lead is not worth its time,"
    )
    summary = f"{first} of {len(ranked)} on {len(stacks)} held-out slice(s) ({shown})"
    return Choice(best, ranked, "; ".join([summary, *left_out]))


def worthwhile(ranked: Mapping[str, float]) -> str:
    """The first of the candidates, best first; registration before a trained model, which is slow too, or well ahead."""
    first, *others = ranked
    if first == SLOW and others and others[0] in UNTRAINED and ranked[SLOW] - ranked[others[0]] < WORTH_DB:
        return others[0]
    return first


def candidates(scan: Scan, grid: Grid | None) -> tuple[list[Model], list[str]]:
    """The models to compare, and why others are left out."""
    models, left_out = [], []
    for name in UNTRAINED:
        if name == SLOW and scan.stored.size > MOST_REGISTERED:
            left_out.append("registration not tried, it would take minutes (--method registration)")
        else:
            models.append(conventional(name))
    fitting = [
        name
        for name, known in FINISHED.items()
        if known.tried
        and grid is not None
        and not known.strange(grid.ratio, scan.slice_spacing_mm, scan.thickness_mm)
    ]
    if fitting and find_spec("torch") is None:
        left_out.append(f"{', '.join(fitting)} not tried without torch (pip install 'interslice[model]')")
    elif fitting:
        models += [finished(name) for name in fitting]
    if grid is not None and grid.factor is None:
        models = [model for model in models if model.method.anywhere]
    return models, left_out


@functools.cache
def finished(name: str) -> Model:
    """A finished model, read once for all scans of a folder."""
    return load_model(name)


@dataclass(frozen=True)
class Stack:
    """slices: (n, rows, columns) in [0, 1], every second one of a scan; truth: (rows, columns), between gap and gap + 1."""

    slices: np.ndarray
    truth: np.ndarray
    gap: int


def held_out_stacks(scan: Scan, side: int | None = SIDE) -> list[Stack]:
    """Up to HELD_OUT slices, spread over frames and slices, each with its neighbours of the other parity.

    side: pixels of the central square that is taken, None for whole slices.
    """
    count = scan.stored.shape[scan.axis]
    if count < 4:
        return []
    stacks = []
    frames = spread_over(scan.frames, FRAMES)
    for frame in frames:
        volume = without_nan(scan.frame(frame))
        low, high = limits_of(volume, trained=True)
        if high <= low:
            continue
        data = np.clip((volume - low) / (high - low), 0, 1).astype(np.float32)
        data = data if side is None else central(data, side)
        for index in spread_over(count - 2, max(2, HELD_OUT // len(frames))):
            held = index + 1
            first = held - 1 - 2 * min(REACH - 1, (held - 1) // 2)
            stacks.append(Stack(data[first : held + 2 * REACH : 2], data[held], (held - 1 - first) // 2))
    return stacks


def score(method: Method, stacks: Sequence[Stack], keep_original: bool) -> float:
    """PSNR in dB of the mean squared error of all predicted slices, of data range 1."""
    errors = [np.mean((predicted(method, stack, keep_original) - stack.truth) ** 2) for stack in stacks]
    return decibels(float(np.mean(errors)), data_range=1.0)


def predicted(method: Method, stack: Stack, keep_original: bool) -> np.ndarray:
    """The slice half-way in a gap, as `upsampling.predict` makes it, without computing the other gaps."""
    gaps = [stack.gap, stack.gap + 1] if method.trained else [stack.gap]
    result = method.interpolate(stack.slices, 2, gaps)
    guess = result[2 * stack.gap + 1]
    if method.trained and keep_original:
        ends = slice(stack.gap, stack.gap + 2)
        guess = guess + (stack.slices[ends] - result[::2][ends]).mean(axis=0)
    return np.clip(guess, 0, 1).astype(np.float64)
