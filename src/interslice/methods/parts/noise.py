"""How much of a volume is noise, so that undoing an average over slices does not raise it."""

import math

import numpy as np
import scipy

RINGS = 24  # of spatial frequency in the slices
FEWEST = 100  # Fourier coefficients that tell a median; a ring of fewer is not asked


def spared(volume: np.ndarray, averaged: np.ndarray) -> np.ndarray:
    """The volume (slices, rows, columns) with what solving by `averaged` (slices, slices) would raise of its noise taken out.

    In the modes of the averaging across slices (its eigenvectors, of eigenvalues a up to 1) and rings of spatial frequency
    within them, P is the power of the volume and s^2 that of the noise, which is the same in all. min(1 - a, (s^2 / P)^2) of
    each is taken out: what is all noise comes out of the solution as it was, with a taken to 1 and not to 1 / a, and where
    the scan stands out of the noise it is undone whole, as a spectral subtraction of power does (Boll 1979, "Suppression of
    acoustic noise in speech using spectral subtraction"). Slices without noise come back as they were.
    """
    values, modes = np.linalg.eigh((averaged + averaged.T) / 2)
    modes = modes.astype(np.float32)
    spectrum = scipy.fft.rfft2(np.tensordot(modes.T, volume, 1))
    power = np.abs(spectrum) ** 2
    rows, columns = (
        2 * f(n) for f, n in zip((scipy.fft.fftfreq, scipy.fft.rfftfreq), volume.shape[1:], strict=True)
    )
    ring = (np.hypot(rows[:, np.newaxis], columns) / math.sqrt(2) * (RINGS - 1)).astype(int)
    share = np.zeros_like(power)
    noise = noise_power(power[: max(1, len(volume) // 4)], ring)
    for number in np.unique(ring):
        inside = ring == number
        mean = np.maximum(power[:, inside].mean(axis=1), np.finfo(np.float32).tiny)
        share[:, inside] = np.minimum(np.clip(1 - values, 0, None), (noise / mean) ** 2)[:, np.newaxis]
    taken = scipy.fft.irfft2(share * spectrum, s=volume.shape[1:])
    return (volume - np.tensordot(modes, taken, 1)).astype(np.float32)


def noise_power(power: np.ndarray, ring: np.ndarray) -> float:
    """Mean power of a Fourier coefficient of the noise: the lowest median of a ring (rows, columns) in the modes (n, rows,
    columns) that averaging weakens most. Power of white noise is exponential, its median log(2) of its mean; edges, which few
    coefficients hold, hardly move a median.
    """
    medians = [
        np.median(power[:, ring == one])
        for one, size in zip(*np.unique(ring, return_counts=True), strict=True)
        if size * len(power) >= FEWEST
    ]
    return float(min(medians, default=0.0) / math.log(2))
