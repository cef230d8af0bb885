"""Training batches of supervised methods: patches of high-resolution volumes and what interpolation makes of their low ones.

A batch is a pure function of (seed, step), as in `triplets`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interslice.common.errors import InputError
from interslice.data.spline import bspline_weights
from interslice.training.triplets import adjust_contrast, draw_contrast

# Low-resolution slices beyond a patch: the spline's weight has fallen to a thousandth there.
SPLINE_MARGIN = 5


def check_pairs(
    volumes: Sequence[np.ndarray], references: Sequence[np.ndarray] | None, training: Mapping[str, Any]
) -> None:
    """Refuse training without high-resolution volumes (frames, slices, rows, columns), or with ones too small for a patch."""
    if references is None or not volumes or len(references) != len(volumes):
        found = 0 if references is None else len(references)
        raise InputError(
            f"training: found {found} high-resolution volumes for {len(volumes)} low-resolution ones, a supervised "
            "method needs one each and at least 1"
        )
    for reference in references:
        for key, size in (("depth", reference.shape[1]), ("crop", min(reference.shape[2:]))):
            if size < training[key]:
                raise InputError(
                    f"training.{key}: found {training[key]}, the smallest high-resolution volume has {size}"
                )


def draw_pairs(
    volumes: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    training: Mapping[str, Any],
    seed: int,
    step: int,
    factor: int,
    labels: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, both (batch, depth, crop, crop) float32, of one step.

    With labels, volumes of the references' shapes, targets are (batch, 2, depth, crop, crop): reference and label.

    The input is the aligned cubic B-spline of the low-resolution volume where the target lies in the high-resolution
    one. Every place of every frame of every volume is equally likely.
    """
    rng = np.random.default_rng((seed, step))
    places = np.array([ref.shape[0] * (ref.shape[1] - training["depth"] + 1) for ref in references])
    owners = rng.choice(len(references), size=training["batch"], p=places / places.sum())
    pairs = [
        draw_pair(volumes[one], references[one], training, factor, rng, labels[one] if labels else None)
        for one in owners
    ]
    inputs, targets = zip(*pairs, strict=True)
    return np.stack(inputs), np.stack(targets)


def draw_pair(
    volume: np.ndarray,
    reference: np.ndarray,
    training: Mapping[str, Any],
    factor: int,
    rng: np.random.Generator,
    label: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """One input and target, each (depth, crop, crop); with a label the target is (2, depth, crop, crop)."""
    frames, slices, rows, columns = reference.shape
    depth, crop = training["depth"], training["crop"]
    frame, first = rng.integers(frames), int(rng.integers(slices - depth + 1))
    row, column = rng.integers(rows - crop + 1), rng.integers(columns - crop + 1)
    place = (slice(row, row + crop), slice(column, column + crop))
    begin = max(0, first // factor - SPLINE_MARGIN)
    end = min(volume.shape[1], -(-(first + depth - 1) // factor) + 1 + SPLINE_MARGIN)
    low = np.array(volume[frame, begin:end][(slice(None), *place)], dtype=np.float32)
    box = (frame, slice(first, first + depth), *place)
    target = np.array(reference[box], dtype=np.float32)
    if rng.random() < training["contrast"]:
        gain, centre = draw_contrast(rng)
        low, target = adjust_contrast(low, gain, centre), adjust_contrast(target, gain, centre)
    weights = bspline_weights(end - begin, (first + np.arange(depth)) / factor - begin).astype(np.float32)
    channels = [np.tensordot(weights, low, 1), target]
    if label is not None:
        channels.append(label[box].astype(np.float32))
    pair = np.rot90(np.stack(channels), int(rng.integers(4)), axes=(2, 3))
    if rng.random() < 0.5:
        pair = pair[:, ::-1]
    return pair[0], pair[1] if label is None else pair[1:]
