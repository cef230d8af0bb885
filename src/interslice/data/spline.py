"""The cubic B-spline as weights, for the method of that name and for whatever else resamples along an axis."""

from collections.abc import Sequence

import numpy as np
import scipy


def bspline_weights(slices: int, positions: np.ndarray) -> np.ndarray:
    """The interpolating cubic B-spline, mirrored at and beyond the ends: scipy's answer to every unit impulse."""
    columns = [
        scipy.ndimage.map_coordinates(unit, [positions], order=3, mode="mirror") for unit in np.eye(slices)
    ]
    return np.stack(columns, axis=1)


def uneven_spline_weights(places: Sequence[float], distances: np.ndarray) -> np.ndarray:
    """The same for slices at places that need not be equally far apart, at distances in their unit: level at the ends, too."""
    return scipy.interpolate.CubicSpline(places, np.eye(len(places)), bc_type="clamped")(distances)
