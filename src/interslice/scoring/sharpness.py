"""Through-plane sharpness: which part of the reference's detail along the slice axis a volume still has."""

import math

import numpy as np

COLUMNS_AT_ONCE = 4096  # whose spectra are in memory together


def through_plane_transfer(
    result: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in cycles a slice, (n // 2,) from the lowest to 1/2, and the transfer at each: 1 for all of the contrast.

    result, reference: (slices, rows, columns). The transfer is the gain of the result's columns on the reference's,
    Re(sum Y conj(X)) / sum |X|^2 with the sums over all columns (the H1 estimate of a frequency response: Bendat and
    Piersol, Random Data, section 6.1), of differences of successive slices, which are 0 where nothing changes. With
    mask, bool of the same shape: of differences between two slices that are in it. NaN where the reference has nothing.
    """
    steps = reference.shape[0] - 1
    inside = np.full(reference.shape, True) if mask is None else mask
    both = (inside[1:] & inside[:-1]).reshape(steps, -1)
    ours, theirs = (volume.reshape(steps + 1, -1) for volume in (result, reference))
    length = 2 * (-(-steps // 2))
    crossed, power = np.zeros(length // 2 + 1), np.zeros(length // 2 + 1)
    for start in range(0, both.shape[1], COLUMNS_AT_ONCE):
        some = slice(start, start + COLUMNS_AT_ONCE)
        x, y = (
            np.fft.rfft(np.diff(volume[:, some].astype(np.float64), axis=0) * both[:, some], length, axis=0)
            for volume in (theirs, ours)
        )
        crossed += (y * x.conj()).real.sum(axis=1)
        power += np.square(np.abs(x)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        transfer = np.where(power > 0, crossed / power, np.nan)
    return np.fft.rfftfreq(length)[1:], transfer[1:]


def half_transfer(result: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    """MTF50: the lowest frequency, in cycles a slice, at which the transfer falls to 1/2, linear between frequencies.

    1/2, the highest that slices can have, where it never does. NaN where the reference does not change from slice to
    slice. A volume that is sharp at the wrong place has no transfer; one that is noisy, or has the steps of nearest
    neighbour, is not punished for what it adds: that is what PSNR and SSIM are for.
    """
    frequencies, transfer = through_plane_transfer(result, reference, mask)
    if np.isnan(transfer).all():
        return math.nan
    known = ~np.isnan(transfer)
    f, gain = np.r_[0, frequencies[known]], np.r_[1, transfer[known]]
    below = np.flatnonzero(gain < 0.5)
    if below.size == 0:
        return 0.5
    at = below[0]
    return float(f[at - 1] + (f[at] - f[at - 1]) * (gain[at - 1] - 0.5) / (gain[at - 1] - gain[at]))
