"""Training batches: triplets of neighbouring low-resolution slices, cropped and augmented (METHODS section 3).

A batch is a pure function of (seed, step). Nothing has to be saved for a training to resume with the same draws.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interslice.errors import InputError

SIGMOID_GAIN = (2.5, 7.5)
SIGMOID_CENTRE = (0.25, 0.75)


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


def draw_batch(
    volumes: Sequence[np.ndarray], training: Mapping[str, Any], seed: int, step: int
) -> np.ndarray:
    """The triplets (batch, 3, crop, crop) float32 in [0, 1] of one step.

    Every triplet of consecutive slices of every frame of every volume is equally likely.
    """
    rng = np.random.default_rng((seed, step))
    triplets = np.array([volume.shape[0] * (volume.shape[1] - 2) for volume in volumes])
    owners = rng.choice(len(volumes), size=training["batch"], p=triplets / triplets.sum())
    return np.stack([draw_triplet(volumes[owner], training, rng) for owner in owners])


def draw_triplet(volume: np.ndarray, training: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """One triplet (3, crop, crop) of a volume: random frame, place and crop; then the augmentations."""
    frames, slices, rows, columns = volume.shape
    crop = training["crop"]
    frame, first = rng.integers(frames), rng.integers(slices - 2)
    row, column = rng.integers(rows - crop + 1), rng.integers(columns - crop + 1)
    triplet = np.array(
        volume[frame, first : first + 3, row : row + crop, column : column + crop], dtype=np.float32
    )
    if training["contrast"]:
        triplet = adjust_contrast(triplet, rng.uniform(*SIGMOID_GAIN), rng.uniform(*SIGMOID_CENTRE))
    triplet = np.rot90(triplet, int(rng.integers(4)), axes=(1, 2))
    return triplet[::-1] if rng.random() < 0.5 else triplet


def adjust_contrast(images: np.ndarray, gain: float, centre: float) -> np.ndarray:
    """The paper's contrast augmentation 1 / (1 + exp(g (c - x))), the same for the slices of a triplet."""
    return (1 / (1 + np.exp(gain * (centre - images)))).astype(np.float32)
