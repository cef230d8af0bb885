"""Training windows at every place and gap: four low-resolution images and the one between the middle two.

Through the plane, every m-th slice is kept and one of those between is the target. Across the rows or columns gaps of any
width have a known inside. Neither needs a volume of higher resolution. What makes scans differ is drawn as well:
contrast of either sign, noise, slices that were moved against each other, slices averaged over their thickness, and
spheres that are in one slice or two only. A batch is a pure function of (seed, step).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interslice.training.triplets import (
    adjust_contrast,
    draw_contrast,
    draw_slab,
    spline_matrix,
    spline_slices,
)

GAPS_PX = (2, 8)  # the narrowest and the widest gap that is drawn
CURVE_KNOTS = 5  # of a random tone curve
NOISE = 0.06  # the largest standard deviation
MOVED_PX = 2  # the farthest that a slice is moved
RADIUS_PX, STRETCH, BLOB_CONTRAST = (1.0, 6.5), (0.75, 1.3), (0.05, 0.4)  # of blobs
THICKNESS = (0.5, 1.2)  # full width at half maximum, in gaps
FWHM_PER_SIGMA = 2.355


def draw_windows(
    volumes: Sequence[np.ndarray], training: Mapping[str, Any], seed: int, step: int, gaps: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Windows (batch, 10, crop, crop) float32 and (batch, 2, 1, 1) float32 of one step.

    A window has five images and what blobs would add to each of them. Told is where the target, the middle image, lies
    between the images before and after it, in (0, 1), and how many pixels these are apart.
    """
    rng = np.random.default_rng((seed, step))
    crop = training["crop"]
    slices = np.array([volume.shape[0] * volume.shape[1] for volume in volumes])
    windows, told = [], []
    for owner in rng.choice(len(volumes), size=training["batch"], p=slices / slices.sum()):
        volume, apart = volumes[owner], max(1, gaps[owner])
        across = rng.random() < training["in_plane"] and volume.shape[1] >= spline_slices(crop, apart)
        if across:
            window, inside, gap = draw_across(volume, apart, crop, training["thick"], rng)
        else:
            window, inside, gap = draw_through(volume, apart, crop, rng)
        added = blobs(np.array([-1, 0, inside / gap, 1, 2]) * gap, crop, rng)
        windows.append(turned(np.concatenate([disturbed(window, training, rng), added]), rng))
        told.append((inside / gap, gap))
    return np.stack(windows), np.array(told, dtype=np.float32)[:, :, np.newaxis, np.newaxis]


def draw_through(
    volume: np.ndarray, apart: int, crop: int, rng: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    """Slices (5, crop, crop), how many pixels the target lies behind the one before it, and the gap in pixels."""
    frames, slices, rows, columns = volume.shape
    widest = int(np.clip(GAPS_PX[1] // apart, 2, slices - 1))
    every = int(rng.integers(2, widest + 1))
    inside = int(rng.integers(1, every))
    first = int(rng.integers(slices - every))
    frame, row, column = (int(rng.integers(count)) for count in (frames, rows - crop + 1, columns - crop + 1))
    chosen = np.clip([first - every, first, first + inside, first + every, first + 2 * every], 0, slices - 1)
    window = np.array(volume[frame, chosen, row : row + crop, column : column + crop], dtype=np.float32)
    return window, inside * apart, every * apart


def draw_across(
    volume: np.ndarray, apart: int, crop: int, thick: float, rng: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    """The same of planes across the rows or columns, square in mm: slices are brought to the pixel size by cubic B-spline.

    thick: the share of windows whose planes, the target too, are averaged over a thickness.
    """
    slab = draw_slab(volume, spline_slices(crop, apart), rng)
    length, side = slab.shape[1], int(rng.integers(slab.shape[2] - crop + 1))
    gap = int(rng.integers(GAPS_PX[0], min(GAPS_PX[1], length - 1) + 1))
    inside = int(rng.integers(1, gap))
    start = int(rng.integers(length - gap))
    planes = np.array([start - gap, start, start + inside, start + gap, start + 2 * gap])
    offsets, weights = np.array([0]), np.ones(1)
    if rng.random() < thick:
        sigma = gap * rng.uniform(*THICKNESS) / FWHM_PER_SIGMA
        offsets = np.arange(-int(2 * sigma + 1), int(2 * sigma + 1) + 1)
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    taken = np.clip(planes[:, np.newaxis] + offsets, 0, length - 1)
    stack = np.tensordot(
        slab[:, taken, side : side + crop], (weights / weights.sum()).astype(np.float32), (2, 0)
    )
    window = np.tensordot(spline_matrix(crop, apart), stack, 1).transpose(1, 0, 2)
    return np.clip(window, 0, 1), inside, gap


def disturbed(window: np.ndarray, shares: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
    """A tone curve in all five images, motion and noise in the four given: each in its share of windows."""
    if rng.random() < shares["contrast"]:
        window = other_contrast(window, rng)
    given = np.array([0, 1, 3, 4])
    if rng.random() < shares["moved"]:
        window = window.copy()
        for image in given:
            window[image] = np.roll(window[image], rng.integers(-MOVED_PX, MOVED_PX + 1, 2), axis=(0, 1))
    if rng.random() < shares["noise"]:
        window = window.copy()
        window[given] += rng.uniform(0, NOISE) * rng.standard_normal(
            (len(given), *window.shape[1:]), dtype=np.float32
        )
    return window


def blobs(depths: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Bright or dark ellipsoids (n, side, side) float32 at `depths` pixels, to be added: one large or several small ones.

    Their edges are as sharp as a pixel or as soft as their radius; a small one is in a single image.
    """
    grid = np.meshgrid(depths, np.arange(side), np.arange(side), indexing="ij")
    result = np.zeros((len(depths), side, side), dtype=np.float32)
    size = math.exp(rng.uniform(*np.log(RADIUS_PX)))
    for _ in range(int(RADIUS_PX[1] / size)):
        centre = [rng.uniform(depths[1] - size, depths[-2] + size), *rng.uniform(0, side, 2)]
        radii = size * rng.uniform(*STRETCH, 3)
        away = sum(((axis - at) / radius) ** 2 for axis, at, radius in zip(grid, centre, radii, strict=True))
        inside = (1 - np.sqrt(away)) * size / rng.uniform(1, max(1, size))
        result += (rng.uniform(*BLOB_CONTRAST) * rng.choice([-1, 1]) * np.clip(inside + 0.5, 0, 1)).astype(
            np.float32
        )
    return result


def other_contrast(window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of three: the paper's sigmoid, the negative, or a random curve, as another weighting of the same tissues has."""
    kind = rng.integers(3)
    if kind == 0:
        return adjust_contrast(window, *draw_contrast(rng))
    if kind == 1:
        return 1 - window
    values = rng.uniform(0, 1, CURVE_KNOTS)
    values[0] *= rng.random() < 0.3  # air is dark in most scans
    return np.interp(window, np.linspace(0, 1, CURVE_KNOTS), values).astype(np.float32)


def turned(window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All images of a window turned by a multiple of 90 degrees and, half of the time, mirrored."""
    window = np.rot90(window, int(rng.integers(4)), axes=(1, 2))
    return window[:, :, ::-1] if rng.random() < 0.5 else window
