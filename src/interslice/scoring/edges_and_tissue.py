"""Beyond similarity: errors at edges, through-plane sharpness, agreement of tissue classes.

A slice or a volume can score well and still lose what a reader needs. Volumes are (slices, rows, columns) in
[0, 1]; masks are bool of the same shape, or None for everything. A value is NaN where it is not defined.
"""

import math

import numpy as np
from scipy import ndimage
from skimage.filters import sobel, threshold_otsu

from interslice.data.masks import TISSUE_CLASSES, tissue_classes

STRONG_EDGES = 99  # percentile of the through-plane differences above which a place is an edge


def edge_mask(reference: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Edges of a slice (rows, columns): Sobel magnitude above its Otsu threshold (scikit-image), within the mask."""
    magnitude = sobel(reference)
    inside = np.full(reference.shape, True) if mask is None else mask
    values = magnitude[inside]
    if values.size == 0 or values.min() == values.max():
        return np.zeros(reference.shape, bool)
    return inside & (magnitude > threshold_otsu(values))


def edge_error(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Mean absolute error on the reference's edges (`edge_mask`), as a share of data_range; NaN without an edge."""
    return _mean_error(image, reference, edge_mask(reference, mask), data_range)


def flat_error(
    image: np.ndarray, reference: np.ndarray, *, data_range: float, mask: np.ndarray | None = None
) -> float:
    """Mean absolute error off the reference's edges, as a share of data_range; NaN for an empty mask."""
    inside = np.full(reference.shape, True) if mask is None else mask
    return _mean_error(image, reference, inside & ~edge_mask(reference, mask), data_range)


def _mean_error(image: np.ndarray, reference: np.ndarray, where: np.ndarray, data_range: float) -> float:
    error = np.abs(image.astype(np.float64) - reference)[where]
    return float(error.mean() / data_range) if error.size else math.nan


def edge_width(
    result: np.ndarray, reference: np.ndarray, factor: int, spacing_mm: float, mask: np.ndarray | None = None
) -> float:
    """Full width at half maximum, in mm, of the mean line-spread function across through-plane edges.

    An edge is a place where the difference between two slices of the reference is among the largest 1 % and
    the largest within `factor` slices. There the line-spread function is the difference between successive
    slices of the result, about its own largest value within `factor` slices, so that an edge in the wrong
    place is no blur. An ideal step has the width of one slice; linear interpolation of one has that of
    `factor` slices. Narrower than the reference is not better: nearest neighbour is. NaN without an edge, or
    where the function does not fall to half within 2 `factor` slices.
    """
    step = np.diff(reference.astype(np.float32), axis=0)
    strength = np.abs(step)
    inside = np.full(step.shape, True) if mask is None else mask[1:] & mask[:-1]
    if not inside.any() or strength[inside].max() == 0:
        return math.nan
    # A single sharp edge may be rarer than 1 %: then the percentile is 0, and any step is among the largest.
    limit = max(float(np.percentile(strength[inside], STRONG_EDGES)), 1e-3)
    alone = strength == ndimage.maximum_filter1d(strength, 2 * factor + 1, axis=0)
    reach = 3 * factor  # the search and the profile
    inside[:reach] = inside[len(step) - reach :] = False
    places = np.nonzero(inside & alone & (strength >= limit))
    if places[0].size == 0:
        return math.nan
    slices, *in_plane = places
    columns = tuple(index[:, np.newaxis] for index in in_plane)
    spread = np.diff(result.astype(np.float32), axis=0)
    sign = np.sign(step[places])[:, np.newaxis]
    near = slices[:, np.newaxis] + np.arange(-factor, factor + 1)
    peak = near[np.arange(len(slices)), np.argmax(sign * spread[near, *columns], axis=1)]
    around = peak[:, np.newaxis] + np.arange(-2 * factor, 2 * factor + 1)
    return half_width((sign * spread[around, *columns]).mean(axis=0)) * spacing_mm


def half_width(profile: np.ndarray) -> float:
    """Full width at half maximum of a peak (n,), in samples, linear between them; NaN where it does not fall so far."""
    top = int(np.argmax(profile))
    half = profile[top] / 2
    below = profile < half
    left, right = np.flatnonzero(below[:top]), np.flatnonzero(below[top:])
    if profile[top] <= 0 or left.size == 0 or right.size == 0:
        return math.nan
    a, b = left[-1], top + right[0]
    start = a + (half - profile[a]) / (profile[a + 1] - profile[a])
    end = b - (half - profile[b]) / (profile[b - 1] - profile[b])
    return float(end - start)


def tissue_agreement(
    result: np.ndarray, reference: np.ndarray, factor: int, mask: np.ndarray | None = None
) -> tuple[float, float]:
    """Mean Dice and mean relative volume error |V - V_ref| / V_ref of the tissue classes, on the synthesised slices.

    Each volume is segmented by itself, as a user would. NaN for a volume with fewer than three values.
    """
    try:
        classes = [tissue_classes(volume, mask) for volume in (result, reference)]
    except ValueError:  # fewer values than classes
        return math.nan, math.nan
    synthesised = np.arange(len(reference)) % factor != 0
    inside = np.full(reference.shape, True) if mask is None else mask
    ours, theirs = (one[synthesised][inside[synthesised]] for one in classes)
    dice, errors = [], []
    for label in range(TISSUE_CLASSES):
        a, b = ours == label, theirs == label
        n, n_reference = np.count_nonzero(a), np.count_nonzero(b)
        dice.append(2 * np.count_nonzero(a & b) / (n + n_reference) if n + n_reference else math.nan)
        errors.append(abs(n - n_reference) / n_reference if n_reference else math.nan)
    return float(np.mean(dice)), float(np.mean(errors))
