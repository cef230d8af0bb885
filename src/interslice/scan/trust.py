"""How far to trust an interpolated scan: slices held out and predicted back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interslice.common.errors import InputError
from interslice.common.similarity import SSIM_RADIUS, decibels, ssim
from interslice.methods.base import Method
from interslice.scan.grid import Grid
from interslice.scan.models import CONVENTIONAL, Model, conventional
from interslice.scan.scans import Scan, without_nan
from interslice.scan.upsampling import limits_of, predict

FRAMES_CHECKED = 5
SMALLEST_SIDE = 2 * SSIM_RADIUS + 1  # pixels
AS_IT_CAME = "as it came"  # the row of a finished model that a training went on from
THICK = 0.9  # of the gap: the gain on held-out slices was six times the real one there (docs/results/own-scans.md)


@dataclass(frozen=True)
class Score:
    """SSIM (mean over the held-out slices) and PSNR in dB (of their mean squared error), data range 1."""

    ssim: float
    psnr: float


def check_methods(
    scan: Scan,
    methods: Mapping[str, Method],
    held_out: Sequence[int] | None = None,
    keep_original: bool = True,
) -> dict[str, Score]:
    """Predict slices of the scan from the others at twice the spacing; a score per method.

    held_out: the slices to predict; None: every second one (1, 3, 5, ...). Each is predicted from the slices
    of the other parity, so no method sees it. Up to five frames of a series are scored, each scaled to [0, 1]
    by its 1st and 99.8th percentile. Raises InputError for fewer than 4 slices or slices too small for SSIM.
    """
    count = scan.stored_frame(0).shape[0]
    if count < 4:
        raise InputError(f"{scan.name}: found {count} slices, --check needs at least 4")
    if min(sides := scan.stored_frame(0).shape[1:]) < SMALLEST_SIDE:
        raise InputError(
            f"{scan.name}: found slices of {sides[0]} x {sides[1]} pixels, --check needs {SMALLEST_SIDE} a side"
        )
    if held_out is None:
        held_out = range(1, count - 1, 2)
    errors: dict[str, list[float]] = {name: [] for name in methods}
    similarities: dict[str, list[float]] = {name: [] for name in methods}
    for index in spread_over(scan.frames, FRAMES_CHECKED):
        frame = without_nan(scan.frame(index))
        low, high = limits_of(frame, trained=True)
        if high <= low:
            continue
        data = np.clip((frame - low) / (high - low), 0, 1).astype(np.float32)
        for name, told in methods.items():
            method = told.at_gap(2 * scan.gap_px)
            for start in (0, 1):
                chosen = [held for held in held_out if held % 2 != start]
                if not chosen:
                    continue
                stack = data[start::2]
                result = np.clip(predict(method, stack, Grid(len(stack), 2), keep_original), 0, 1)
                for held in chosen:
                    guess, truth = result[held - start], data[held]
                    errors[name].append(float(np.mean((guess.astype(np.float64) - truth) ** 2)))
                    similarities[name].append(ssim(guess, truth, data_range=1.0))
    if not all(errors.values()):
        raise InputError(f"{scan.name}: found no contrast in what is held out, --check needs some")
    return {
        name: Score(
            float(np.mean(similarities[name])), decibels(float(np.mean(errors[name])), data_range=1.0)
        )
        for name in methods
    }


def spread_over(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices below `count`, evenly spread."""
    return sorted({round(float(place)) for place in np.linspace(0, count - 1, wanted)})


def check_report(
    scan: Scan,
    model: Model,
    held_out: Sequence[int] | None,
    keep_original: bool = True,
    before: Model | None = None,
) -> str:
    """Lines for a person: the scores of the chosen method and of cubic B-spline, and which to take.

    before: the finished model that a training on the scan went on from, for a line that says whether it helped.
    """
    other = "linear" if model.name == "bspline" else "bspline"
    methods = {model.name: model.method, other: conventional(other).method}
    if before is not None:
        methods[AS_IT_CAME] = before.method
    scores = check_methods(scan, methods, held_out, keep_original)
    which = (
        "every second slice" if held_out is None else f"{len(held_out)} slice(s) that the training never saw"
    )
    lines = [f"check: {which} held out and interpolated back at {2 * scan.slice_spacing_mm:.4g} mm"]
    lines += [
        f"  {name:<12} SSIM {score.ssim:.4f}   PSNR {score.psnr:.2f} dB" for name, score in scores.items()
    ]
    lines.append("  " + recommendation(model.name, other, scores))
    if before is not None:
        lines.append("  " + whether_it_helped(before, scores[model.name], scores[AS_IT_CAME]))
    if scan.thickness_mm is None or scan.thickness_mm > THICK * scan.normal_spacing_mm:
        thick = "are as thick as they are apart" if scan.thickness_mm else "may be as thick as they are apart"
        lines.append(f"  the slices {thick}: between such slices methods differ less than these scores do")
    if held_out is None and Path(scan.name).name in model.subjects:
        lines.append(
            f"  but {model.file} was trained on a scan of this name: its score is not that of new slices"
        )
    return "\n".join(lines)


def whether_it_helped(before: Model, after: Score, score: Score) -> str:
    """A sentence on a training that went on from a finished model."""
    gained = f"{after.psnr - score.psnr:+.2f} dB PSNR, {after.ssim - score.ssim:+.4f} SSIM"
    if after == score:
        return f"the training changed nothing: {before.name} is taken as it came"
    if after.psnr >= score.psnr and after.ssim >= score.ssim:
        return f"the training helped: {gained}"
    return f"the training did not help by both measures ({gained}): --method {before.name} without --train-here is safer"


def recommendation(chosen: str, other: str, scores: Mapping[str, Score]) -> str:
    """The method that is better by both measures; where they differ, the one that needs no trust."""
    first, second = scores[chosen], scores[other]
    if first.ssim >= second.ssim and first.psnr >= second.psnr:
        return f"recommended for this scan: {chosen} (better by both measures)"
    if first.ssim <= second.ssim and first.psnr <= second.psnr:
        return f"recommended for this scan: {other} (better by both measures)"
    if chosen in CONVENTIONAL:
        return f"recommended for this scan: {chosen} as well as {other} (the measures disagree)"
    return f"recommended for this scan: {other} (the measures disagree, and it needs no trust in a training)"
