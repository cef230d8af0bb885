"""Source `lines`: the benchmark of Berthelot, Raffel, Roy and Goodfellow 2018 (arXiv 1807.07543), drawn here.

Images of 32 x 32 pixels with one bright line of 15 pixels from the centre, at any angle. A split is one volume: `train`
lines at random angles (slices of one frame), and for validation and test pairs of lines (frames) with the 14 lines between
them on the shorter way round (slices), so that K = 15 interpolates between two lines.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.data.sources import SPLITS, Found
from interslice.data.sources.drawn import upright

COMPANIONS: tuple[str, ...] = ()
SIDE, LENGTH = 32, 15.0  # pixels
BETWEEN = 15  # steps from one line of a pair to the other
# Equal lines leave nothing to interpolate; opposite ones have two shortest ways.
ANGLES_BETWEEN = (np.pi / 9, 17 * np.pi / 18)


def draw_lines(angles: np.ndarray) -> np.ndarray:
    """Lines at angles (...) in radians as images (..., 32, 32) float32 in [0, 1], one pixel wide, with soft edges.

    Angle 0 points along the columns, pi / 2 against the rows.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    cosine, sine = (function(np.asarray(angles))[..., None, None] for function in (np.cos, np.sin))
    along, across = columns * cosine - rows * sine, columns * sine + rows * cosine
    distance = np.hypot(along - np.clip(along, 0, LENGTH), across)
    return np.clip(1.5 - distance, 0, 1).astype(np.float32)


def pair_angles(pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Angles (pairs, 16) in radians: from a random line in equal steps to another one, either way round."""
    start, turn = rng.uniform(0, 2 * np.pi, pairs), rng.uniform(*ANGLES_BETWEEN, pairs)
    turn *= rng.choice([-1, 1], pairs)
    return start[:, np.newaxis] + turn[:, np.newaxis] * np.linspace(0, 1, BETWEEN + 1)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """One case per split; `splits` counts lines (train) and pairs of lines (validation, test)."""
    counts = {split: dataset["splits"][split] for split in SPLITS}
    return [Found(split, (), split=split, members=tuple(range(n))) for split, n in counts.items() if n]


def convert(found: Found) -> nib.Nifti1Image:
    """Draw a split: bytes (rows, columns, slices, frames). Each split has its own stream of random numbers."""
    rng, count = np.random.default_rng(SPLITS.index(found.split)), len(found.members)
    angles = rng.uniform(0, 2 * np.pi, (1, count)) if found.split == "train" else pair_angles(count, rng)
    images = np.round(255 * draw_lines(angles)).astype(np.uint8)  # (frames, slices, rows, columns)
    return upright(images)
