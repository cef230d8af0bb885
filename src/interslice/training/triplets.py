"""Training batches: windows of low-resolution slices with their target, cropped and augmented.

With two neighbours a window is the triplet of Sander, de Vos and Isgum 2022. With four it reaches one gap further on
either side.
A batch is a pure function of (seed, step). Nothing has to be saved for a training to resume with the same draws.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from interslice.common.errors import InputError
from interslice.data.spline import bspline_weights

SIGMOID_GAIN = (2.5, 7.5)
SIGMOID_CENTRE = (0.25, 0.75)
SPLINE_MARGIN = 2  # slices beyond either end of an in-plane crop: a cubic B-spline's far taps are negligible


def check_volumes(volumes: Sequence[np.ndarray], crop: int) -> None:
    """Refuse training volumes, each (frames, slices, rows, columns), that have no triplet or no room for the crop."""
    if not volumes:
        raise InputError("training: found no training volumes, at least 1 is needed")
    for volume in volumes:
        if volume.shape[1] < 3:
            raise InputError(
                f"training: found a volume of {volume.shape[1]} slices, a triplet needs at least 3"
            )
        if min(volume.shape[2:]) < crop:
            raise InputError(
                f"training.crop: found {crop}, the smallest slice is {volume.shape[2]}x{volume.shape[3]} pixels"
            )


def check_in_plane(volumes: Sequence[np.ndarray], crop: int, gaps: Sequence[int], neighbours: int) -> None:
    """Refuse volumes without a window across the plane; gaps: their slice spacing in pixels, rounded."""
    for volume, gap in zip(volumes, gaps, strict=True):
        needed = spline_slices(crop, gap)
        if gap < 2 or volume.shape[1] < needed or min(volume.shape[2:]) <= neighbours * gap:
            raise InputError(
                f"training.in_plane: found a volume of {volume.shape[1]} slices, {gap} pixels apart; "
                f"views across the plane need slices at least 2 pixels apart, {needed} slices and more than "
                f"{neighbours * gap} pixels a side; set in_plane to 0 or take a smaller crop"
            )


def draw_batch(
    volumes: Sequence[np.ndarray],
    training: Mapping[str, Any],
    seed: int,
    step: int,
    neighbours: int = 2,
    gaps: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Windows (batch, neighbours + 1, crop, crop) float32 in [0, 1] of one step, and alphas (batch, 1, 1, 1) float32.

    The target is the middle image of a window; it lies at alpha in (0, 1) between the images before and after
    it. Every triplet of consecutive slices of every frame of every volume is equally likely to be the centre.
    The share `in_plane` of the windows is taken across the rows or columns instead, where a gap of `gaps` pixels
    (one number per volume) is as wide as that between two slices and its inside is known: this needs no
    high-resolution volume either.
    """
    rng = np.random.default_rng((seed, step))
    triplets = np.array([volume.shape[0] * (volume.shape[1] - 2) for volume in volumes])
    owners = rng.choice(len(volumes), size=training["batch"], p=triplets / triplets.sum())
    windows, alphas = [], []
    for owner in owners:
        if gaps is not None and training.get("in_plane", 0) > rng.random():
            window, alpha = draw_in_plane(volumes[owner], gaps[owner], training["crop"], neighbours, rng)
        else:
            window, alpha = draw_through_plane(volumes[owner], training["crop"], neighbours, rng), 0.5
        window, swapped = augment(window, training["contrast"], rng)
        windows.append(window)
        alphas.append(1 - alpha if swapped else alpha)
    return np.stack(windows), np.array(alphas, dtype=np.float32)[:, np.newaxis, np.newaxis, np.newaxis]


def draw_through_plane(
    volume: np.ndarray, crop: int, neighbours: int, rng: np.random.Generator
) -> np.ndarray:
    """A window of slices (neighbours + 1, crop, crop): the target and slices 1, 3, ... before and after it."""
    frames, slices, rows, columns = volume.shape
    frame, centre = rng.integers(frames), rng.integers(slices - 2) + 1
    row, column = rng.integers(rows - crop + 1), rng.integers(columns - crop + 1)
    chosen = [int(centre)]
    for distance in range(1, neighbours, 2):
        # Beyond the ends the nearest neighbour on that side is taken again, as in `Autoencoder`.
        before, after = centre - distance, centre + distance
        chosen = [before if before >= 0 else chosen[0], *chosen, after if after < slices else chosen[-1]]
    return np.array(volume[frame, chosen, row : row + crop, column : column + crop], dtype=np.float32)


def draw_in_plane(
    volume: np.ndarray, gap: int, crop: int, neighbours: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """A window (neighbours + 1, crop, crop) of planes across the rows or columns, and the alpha of its target.

    Neighbouring planes are `gap` pixels apart. A plane is square in mm: its other axis runs through the slices, which
    cubic B-spline interpolation brings to the pixel size.
    """
    slab, reach = draw_slab(volume, spline_slices(crop, gap), rng), neighbours // 2
    inside = int(rng.integers(1, gap))
    start = int(rng.integers(slab.shape[1] - (2 * reach - 1) * gap))
    planes = [start + step * gap for step in range(2 * reach)]
    planes.insert(reach, planes[reach - 1] + inside)
    side = rng.integers(slab.shape[2] - crop + 1)
    stack = np.array(slab[:, planes, side : side + crop], dtype=np.float32)
    window = np.tensordot(spline_matrix(crop, gap), stack, 1).transpose(1, 0, 2)
    return np.clip(window, 0, 1), inside / gap


def draw_slab(volume: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """So many slices (count, rows, columns) of one frame, half of the time with rows and columns exchanged."""
    frame, first = rng.integers(volume.shape[0]), rng.integers(volume.shape[1] - count + 1)
    slab = volume[frame, first : first + count]
    return slab.transpose(0, 2, 1) if rng.random() < 0.5 else slab


def spline_slices(crop: int, gap: int) -> int:
    """Slices, `gap` pixels apart, that an in-plane crop of so many pixels is interpolated from."""
    return -(-crop // gap) + 1 + 2 * SPLINE_MARGIN


@cache
def spline_matrix(crop: int, gap: int) -> np.ndarray:
    """(crop, slices) float32: pixels between slices that are `gap` pixels apart, by cubic B-spline."""
    positions = SPLINE_MARGIN + np.arange(crop) / gap
    return bspline_weights(spline_slices(crop, gap), positions).astype(np.float32)


def augment(window: np.ndarray, contrast: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """The paper's augmentations, the same for all images of a window, that of contrast with a probability; and whether their
    order was swapped."""
    if rng.random() < contrast:
        window = adjust_contrast(window, *draw_contrast(rng))
    window = np.rot90(window, int(rng.integers(4)), axes=(1, 2))
    swapped = bool(rng.random() < 0.5)
    return (window[::-1] if swapped else window), swapped


def draw_contrast(rng: np.random.Generator) -> tuple[float, float]:
    """Gain and centre of the contrast augmentation."""
    return rng.uniform(*SIGMOID_GAIN), rng.uniform(*SIGMOID_CENTRE)


def adjust_contrast(images: np.ndarray, gain: float, centre: float) -> np.ndarray:
    """The paper's contrast augmentation 1 / (1 + exp(g (c - x))), the same for the slices of a triplet."""
    return (1 / (1 + np.exp(gain * (centre - images)))).astype(np.float32)
