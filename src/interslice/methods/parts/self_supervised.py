"""What methods share that learn from the input scan alone, and Fourier burst accumulation.

The slices of a thick-slice scan are sharp in-plane. Degraded along an in-plane direction as the slice axis was, they make
pairs; what is learned from these is applied to the planes that contain the slice axis; the results of several directions are
merged (Jog, Carass and Prince, MICCAI 2016; Zhao, Carass, Dewey and Prince 2018, arXiv 1802.09431). The
simulated spacing is K pixels, so the scheme is exact where the fine slice spacing is the pixel size.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import fft, ndimage

from interslice.common.errors import InputError
from interslice.data.volumes import output_size, profile_blur
from interslice.methods.base import Method
from interslice.methods.conventional import BSpline

Restore = Callable[[np.ndarray], np.ndarray]


class SelfSupervised(Method):
    """Settings: `angles` (degrees, of the in-plane directions), `p` (of the merging), `slice_profile`, `seed`.

    Without a slice profile the input slices come back as they were.
    """

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        restored = self.directions(volume, factor)
        result = fourier_burst(restored, self.settings["p"])
        if self.settings["slice_profile"] == "none":
            result[::factor] = volume
        return result

    def directions(self, volume: np.ndarray, factor: int) -> list[np.ndarray]:
        """One restored volume ((n - 1) K + 1, rows, columns) per angle, before they are merged."""
        angles = self.settings["angles"]
        turned = [turn(volume, angle) for angle in angles]
        pairs = [degrade(slices, factor, self.settings["slice_profile"]) for slices in turned]
        restorers = self.learn(pairs)
        fine = BSpline({}).interpolate(volume, factor)
        return [
            turn(apply(restore, turn(fine, angle)), -angle, volume.shape[1:])
            for restore, angle in zip(restorers, angles, strict=True)
        ]

    def learn(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Restore]:
        """One restorer per direction from its pairs of degraded and sharp images, both (images, rows, columns).

        Images are degraded along their rows axis. A restorer takes and returns (images, rows, columns) float32.
        """
        raise TypeError(f"{type(self).__name__} has no learn: a self-supervised method must write one")


def unchanged(images: np.ndarray) -> np.ndarray:
    """The restorer of a scan in which there is nothing to learn."""
    return images


def degrade(slices: np.ndarray, factor: int, slice_profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Slices (n, rows, columns) as they look where every K-th row was measured, and themselves, cut to the same rows.

    Blurred with the slice profile, decimated, interpolated by the aligned cubic B-spline, all along the rows. Raises
    InputError for slices of fewer than K + 1 rows.
    """
    kept = (slices.shape[1] - 1) // factor + 1
    if kept < 2:
        raise InputError(
            f"volume: found slices {slices.shape[1]} pixels wide, K = {factor} needs {factor + 1}"
        )
    rows_first = np.moveaxis(slices[:, : output_size(kept, factor)], 1, 0)
    low = profile_blur(rows_first, factor, slice_profile, axis=0)[::factor]
    degraded = BSpline({}).interpolate(np.ascontiguousarray(low), factor)
    return np.moveaxis(degraded, 0, 1), np.moveaxis(rows_first, 0, 1)


def apply(restore: Restore, volume: np.ndarray) -> np.ndarray:
    """Restore the planes (slices, columns) of a volume (slices, rows, columns), one for every row."""
    return np.moveaxis(restore(np.moveaxis(volume, 1, 0)), 0, 1)


def turn(volume: np.ndarray, degrees: float, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Turn every slice about its centre; `shape` cuts or pads the result to (rows, columns), by default all fits in.

    Quarter turns are exact; others sample the cubic B-spline with repeated edges. Turning by -degrees to the original
    shape brings every pixel back to its place.
    """
    if degrees % 90 == 0:
        return np.rot90(volume, int(degrees // 90), axes=(1, 2))
    size = np.array(volume.shape[1:])
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[cos, sin], [-sin, cos]])
    target = np.ceil(np.abs(matrix) @ size).astype(int) if shape is None else np.array(shape)
    offset = (size - 1) / 2 - matrix @ ((target - 1) / 2)
    turned = [
        ndimage.affine_transform(image, matrix, offset, tuple(target), order=3, mode="nearest")
        for image in volume
    ]
    return np.stack(turned)


def fourier_burst(volumes: Sequence[np.ndarray], p: float) -> np.ndarray:
    """Merge volumes of one shape: sum_i |Y_i|^p Y_i / sum_j |Y_j|^p over their Fourier transforms; p = 0 is the mean.

    Jog, Carass and Prince 2016, after Delbracio and Sapiro 2015. Returns float32.
    """
    if p == 0:
        return np.asarray(np.mean(volumes, axis=0, dtype=np.float32))
    spectra = np.stack([fft.rfftn(np.asarray(volume, dtype=np.float32)) for volume in volumes])
    sizes = np.abs(spectra)
    # Relative to the largest, so that no power overflows; where all are 0 the weights do not matter.
    weights = (sizes / np.maximum(sizes.max(axis=0), np.finfo(np.float32).tiny)) ** np.float32(p)
    merged = (weights * spectra).sum(axis=0) / np.maximum(weights.sum(axis=0), np.finfo(np.float32).tiny)
    return fft.irfftn(merged, s=volumes[0].shape).astype(np.float32)
