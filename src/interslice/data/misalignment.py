"""Known misalignment: low-resolution slices moved in-plane, as between the breath-holds of a stack of slices."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy

from interslice.data.volumes import Volume, output_size


def slice_shifts(subject: str, slices: int, setting: Mapping[str, Any]) -> np.ndarray:
    """Shifts in mm along rows and columns (slices, 2) of every slice of a reference volume, uniform in [-mm, mm].

    setting: `mm` and `seed`. A slice has the same shift whatever K and however many slices follow it; subjects differ.
    """
    rng = np.random.default_rng([setting["seed"], *subject.encode()])
    return rng.uniform(-setting["mm"], setting["mm"], (slices, 2))


def interleaved_shifts(subject: str, slices: int, setting: Mapping[str, Any]) -> np.ndarray:
    """Shifts in mm (slices, 2) of low-resolution slices: every second one moved by `mm` in one direction, drawn per subject.

    As between two passes of an interleaved acquisition, which takes even slices first and odd ones after them.
    """
    turn = 2 * np.pi * np.random.default_rng([setting["seed"], *subject.encode()]).random()
    moved = np.arange(slices)[:, np.newaxis] % 2
    return setting["mm"] * moved * np.array([np.cos(turn), np.sin(turn)])


def misalign(low: Volume, subject: str, factor: int, setting: Mapping[str, Any]) -> Volume:
    """A low-resolution volume at K = `factor` with every slice moved by its shift, all frames alike.

    Cubic B-spline resampling in-plane, edges repeated, clipped to [0, 1]. The affine stays: the motion is unknown to
    whoever reads the volume, and its reference is left as it was.
    """
    frames, slices = low.data.shape[:2]
    shifts = (
        interleaved_shifts(subject, slices, setting)
        if setting.get("interleaved")
        else slice_shifts(subject, output_size(slices, factor), setting)[::factor]
    ) / low.spacing[1:]
    data = np.stack(
        [
            [
                scipy.ndimage.shift(low.data[frame, index], shifts[index], order=3, mode="nearest")
                for index in range(slices)
            ]
            for frame in range(frames)
        ]
    )
    return replace(low, data=np.clip(data, 0, 1))
