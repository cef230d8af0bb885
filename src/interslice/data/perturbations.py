"""What real scans do to a method: noise, and other looks of the same scan. For the robustness suite; misalignment is apart."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume

DARKEST = 0.4  # of the bias field, in the corner that is furthest from the coil


def add_noise(low: Volume, subject: str, factor: int, setting: Mapping[str, Any]) -> Volume:
    """A low-resolution volume at K = `factor` with Rician noise, clipped to [0, 1]; its reference has none.

    setting: `sigma`, of the two Gaussian channels as a share of the intensity range, and `seed`. The magnitude of the signal
    with complex noise (Gudbjartsson and Patz 1995): the background becomes bright, as in magnitude images.
    """
    rng = np.random.default_rng([setting["seed"], factor, *subject.encode()])
    real, imaginary = setting["sigma"] * rng.standard_normal((2, *low.data.shape))
    return replace(low, data=np.clip(np.hypot(low.data + real, imaginary), 0, 1).astype(np.float32))


def with_appearance(volume: Volume, appearance: str) -> Volume:
    """A normalised volume in another look, reference and input alike, values in [0, 1].

    as_is. inverted: 1 minus the intensity in the foreground, as if of another contrast. biased: times a field that falls with
    the square of the distance from a corner, from 1 to DARKEST, as of a surface coil.
    """
    if appearance == "as_is":
        return volume
    if appearance == "inverted":
        mask = foreground_mask(volume.data.mean(axis=0))
        return replace(volume, data=np.where(mask, 1 - volume.data, volume.data))
    grid = np.meshgrid(
        *(np.linspace(0, 1, size) for size in volume.data.shape[1:]), indexing="ij", sparse=True
    )
    field = 1 - (1 - DARKEST) * sum(axis**2 for axis in grid) / 3
    return replace(volume, data=(volume.data * field).astype(np.float32))
