"""Slices of a scan that a training on it never sees, and what it is trained and validated on beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import CubicSpline

from interslice.common.errors import InputError
from interslice.scan.trust import spread_over

if TYPE_CHECKING:
    from interslice.training.prefetch import Batch
    from interslice.training.validation import Pair

SLICES_PER_HELD_OUT = 8
FRAMES_SCORED = 3


@dataclass(frozen=True)
class HeldOut:
    """Slice indices that no training triplet contains: for choosing the weights, and for --check."""

    select: tuple[int, ...]
    check: tuple[int, ...]

    @property
    def both(self) -> set[int]:
        return {*self.select, *self.check}


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


def training_pieces(volume: np.ndarray, held: HeldOut) -> list[np.ndarray]:
    """The stacks of at least 3 slices between the held-out slices of (frames, slices, rows, columns)."""
    edges = [-1, *sorted(held.both), volume.shape[1]]
    stacks = [volume[:, start + 1 : stop] for start, stop in pairwise(edges)]
    return [stack for stack in stacks if stack.shape[1] >= 3]


def masked(volume: np.ndarray, held: HeldOut) -> np.ndarray:
    """The stack with what a cubic spline of the others says in place of the held-out slices, for windows across all of them."""
    result, kept = volume.copy(), [n for n in range(volume.shape[1]) if n not in held.both]
    places = sorted(held.both)
    result[:, places] = np.clip(CubicSpline(kept, volume[:, kept], axis=1)(places), 0, 1)
    return result


def validation_pairs(volume: np.ndarray, held: HeldOut, gap_px: float) -> "list[Pair]":
    """Every held-out slice with two neighbours on either side, at twice the gap, or one where the stack ends; in up to three
    frames, as volumes of factor 2. gap_px: between the slices of the stack.
    """
    from interslice.training.validation import Pair

    pairs = []
    for frame in spread_over(len(volume), FRAMES_SCORED):
        for index in held.select:
            reach = 3 if 3 <= index < volume.shape[1] - 3 else 1
            around = volume[frame, index - reach : index + reach + 1]
            pairs.append(Pair(around[::2], around, 2 * gap_px))
    return pairs


def own_windows(
    pieces: Sequence[np.ndarray],
    stacks: Sequence[np.ndarray],
    gaps: Sequence[int],
    training: Mapping[str, Any],
    seed: int,
) -> "Callable[[int], Batch]":
    """The batches of a scan's own windows: through the plane of its pieces, and across that of whole stacks that are deep
    enough for the crop, a share `in_plane` of the batch. gaps: of every stack, in pixels; the first one's pieces come first.
    """
    from interslice.training.triplets import spline_slices
    from interslice.training.windows import draw_windows

    own = len(pieces) - (len(stacks) - 1)
    apart = [*[gaps[0]] * own, *gaps[1:]]
    deep = [n for n, stack in enumerate(stacks) if stack.shape[1] >= spline_slices(training["crop"], gaps[n])]
    across = round(training["batch"] * training["in_plane"]) if deep else 0

    def draw(step: int) -> "Batch":
        through = {**training, "batch": training["batch"] - across, "in_plane": 0.0}
        parts = [draw_windows(pieces, through, seed, step, apart)] if through["batch"] else []
        if across:
            whole = {**training, "batch": across, "in_plane": 1.0}
            parts.append(
                draw_windows([stacks[n] for n in deep], whole, seed + 1, step, [gaps[n] for n in deep])
            )
        windows, told = (np.concatenate(both) for both in zip(*parts, strict=True))
        return windows, told

    return draw
