"""Nearest, linear, cubic B-spline and Lanczos interpolation along the slice axis.

All four are linear in the slices, so each is a matrix of shape (output slices, input slices) times the stack. The matrix
is a function of the output positions alone: the aligned grid here, any other for an audit.
"""

from collections.abc import Sequence

import numpy as np

from interslice.data.spline import bspline_weights, uneven_spline_weights
from interslice.data.volumes import output_positions
from interslice.methods.base import Method


class Conventional(Method):
    """A method that is a weight matrix along the slice axis."""

    def weights(self, slices: int, positions: np.ndarray) -> np.ndarray:
        """(len(positions), slices) float64; positions in units of input slices."""
        raise TypeError(f"{type(self).__name__} has no weights: a conventional method must write them")

    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        weights = self.weights(volume.shape[0], positions).astype(np.float32)
        return (weights @ volume.reshape(volume.shape[0], -1)).reshape(-1, *volume.shape[1:])

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        result = self.interpolate_at(volume, output_positions(volume.shape[0], factor))
        result[::factor] = volume  # exactly: the weights are 0 and 1 there only up to rounding
        return result


class Nearest(Conventional):
    def weights(self, slices: int, positions: np.ndarray) -> np.ndarray:
        """The closest slice; half-way the one above."""
        index = np.clip(np.floor(positions + 0.5).astype(int), 0, slices - 1)
        return np.eye(slices)[index]


class Linear(Conventional):
    def weights(self, slices: int, positions: np.ndarray) -> np.ndarray:
        """Triangle weights; beyond the ends the end slices."""
        distance = np.abs(np.clip(positions, 0, slices - 1)[:, np.newaxis] - np.arange(slices))
        return np.clip(1 - distance, 0, None)


class BSpline(Conventional):
    def weights(self, slices: int, positions: np.ndarray) -> np.ndarray:
        return bspline_weights(slices, positions)

    def interpolate_between(
        self, volume: np.ndarray, places: Sequence[float], distances: np.ndarray
    ) -> np.ndarray:
        """Slices (n, rows, columns) at places that need not be equally far apart, at distances in the same unit."""
        weights = uneven_spline_weights(places, distances).astype(np.float32)
        return (weights @ volume.reshape(len(volume), -1)).reshape(-1, *volume.shape[1:])


class Lanczos(Conventional):
    def weights(self, slices: int, positions: np.ndarray) -> np.ndarray:
        """Windowed sinc with `lobes` lobes (3 to 5), normalised to sum 1; slices beyond the ends are left out."""
        distance, lobes = positions[:, np.newaxis] - np.arange(slices), self.settings["lobes"]
        weights = np.where(np.abs(distance) < lobes, np.sinc(distance) * np.sinc(distance / lobes), 0)
        return weights / weights.sum(axis=1, keepdims=True)


CLASSES = {"nearest": Nearest, "linear": Linear, "bspline": BSpline, "lanczos": Lanczos}
