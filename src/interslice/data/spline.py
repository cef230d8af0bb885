"""The cubic B-spline as weights, for the method of that name and for whatever else resamples along an axis."""

from collections.abc import Sequence

import numpy as np
import scipy


def bspline_weights(slices: int, positions: np.ndarray) -> np.ndarray:
    """The interpolating cubic B-spline, mirrored at and beyond the ends: (len(positions), slices) float64.

    Without scipy, whose image functions take longer to import than a scan to interpolate.
    """
    at_slices = mirrored_basis(slices, np.arange(slices))  # times the coefficients gives the slices
    return np.linalg.solve(at_slices.T, mirrored_basis(slices, positions).T).T


def mirrored_basis(slices: int, positions: np.ndarray) -> np.ndarray:
    """What the cubic B-spline about every slice is at positions, (len(positions), slices): 2/3 there, 1/6 beside it.

    Unser, IEEE Signal Processing Magazine 16 (1999).
    """
    places = np.mod(positions, 2 * (slices - 1))[:, np.newaxis]
    around = np.floor(places).astype(int) + np.arange(-1, 3)
    distance = np.abs(places - around)
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    folded = np.abs((around + slices - 1) % (2 * (slices - 1)) - (slices - 1))
    basis = np.zeros((len(positions), slices))
    np.add.at(basis, (np.arange(len(positions))[:, np.newaxis], folded), np.where(distance < 1, near, far))
    return basis


def uneven_spline_weights(places: Sequence[float], distances: np.ndarray) -> np.ndarray:
    """The same for slices at places that need not be equally far apart, at distances in their unit: level at the ends, too."""
    return scipy.interpolate.CubicSpline(places, np.eye(len(places)), bc_type="clamped")(distances)
