"""Beyond similarity: errors at edges and agreement of tissue classes.

A slice or a volume can score well and still lose what a reader needs. Volumes are (slices, rows, columns) in
[0, 1]; masks are bool of the same shape, or None for everything. A value is NaN where it is not defined.
"""

import math

import numpy as np
import skimage

from interslice.data.masks import TISSUE_CLASSES, tissue_classes


def edge_mask(reference: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Edges of a slice (rows, columns): Sobel magnitude above its Otsu threshold (scikit-image), within the mask."""
    magnitude = skimage.filters.sobel(reference)
    inside = np.full(reference.shape, True) if mask is None else mask
    values = magnitude[inside]
    if values.size == 0 or values.min() == values.max():
        return np.zeros(reference.shape, bool)
    return inside & (magnitude > skimage.filters.threshold_otsu(values))


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
