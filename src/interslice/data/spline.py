"""The cubic B-spline as weights, for the method of that name and for whatever else resamples along an axis."""

import numpy as np
import scipy


def bspline_weights(slices: int, positions: np.ndarray) -> np.ndarray:
    """The interpolating cubic B-spline, mirrored at and beyond the ends: scipy's answer to every unit impulse."""
    columns = [
        scipy.ndimage.map_coordinates(unit, [positions], order=3, mode="mirror") for unit in np.eye(slices)
    ]
    return np.stack(columns, axis=1)
