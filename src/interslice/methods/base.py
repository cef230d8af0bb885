"""The contract of every method."""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from interslice.common.errors import InputError
from interslice.data.volumes import output_size


@dataclass(frozen=True)
class Scan:
    """What of a volume is not in its voxels: for programs that get it as a file.

    affine: voxel (row, column, slice) to mm, 4x4. limits: the intensities of the scan that are 0 and 1. subject, frame, frames:
    whose it is, and which of how many frames.
    """

    affine: np.ndarray
    limits: tuple[float, float] = (0.0, 1.0)
    subject: str = ""
    frame: int = 0
    frames: int = 1

    @classmethod
    def of_pixels(cls, factor: int) -> "Scan":
        """Of a volume of which no more is known: pixels of 1 and slices K apart."""
        return cls(np.diag([1.0, 1.0, factor, 1.0]))


class Method:
    """Interpolates along the slice axis on the aligned grid: output slice i * K lies on input slice i.

    Subclasses write `_interpolate_at`, or `_interpolate` where they know whole factors alone, and set the flags: trained (needs
    a checkpoint), supervised (has seen high-resolution training volumes), needs_reference (a control that is given the
    answer), needs_scan (is told in `scan` what is not in the voxels, where it is known). thickness: of a slice in units of the
    slice spacing, None where it is not known; see `given`.
    """

    trained: ClassVar[bool] = False
    supervised: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = False
    needs_scan: ClassVar[bool] = False
    scan: Scan | None = None
    thickness: float | None = None
    # Slice spacing over pixel size of the volume to interpolate, set by who knows it; None: unknown.
    gap_px: float | None = None

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def at_gap(self, gap_px: float) -> Self:
        """This method, told the gap; a copy, since scans of other gaps may be under way with the same weights."""
        told = copy.copy(self)
        told.gap_px = gap_px
        return told

    def given(self, thickness: float | None) -> Self:
        """This method for slices of a thickness, which is above 1 where they overlap; others may use it at the same time."""
        method = copy.copy(self)
        method.thickness = thickness
        return method

    def interpolate(self, volume: np.ndarray, factor: int, gaps: Collection[int] | None = None) -> np.ndarray:
        """(n, rows, columns) float32 in [0, 1] to ((n - 1) K + 1, rows, columns) float32; output i K lies on input i.

        gaps: the only gaps that are asked for, each its kept slice i K and the K - 1 after it. A method that works gap by
        gap may leave the other slices NaN and save their time; the values of those asked for do not depend on it.
        Raises InputError for fewer than 2 slices, another number of dimensions, K < 2 or values that are not finite.
        """
        if volume.ndim != 3 or volume.shape[0] < 2:
            raise InputError(
                f"volume: found shape {volume.shape}, allowed is (slices, rows, columns) with at least 2 slices"
            )
        if factor != int(factor) or factor < 2:
            raise InputError(f"K: found {factor}, allowed are whole numbers from 2")
        if not np.isfinite(volume).all():
            raise InputError("volume: found NaN or infinite voxels, allowed are finite ones")
        volume = np.asarray(volume, dtype=np.float32)
        if gaps is None:
            result = self._interpolate(volume, int(factor))
        else:
            result = self._interpolate_gaps(volume, int(factor), sorted(gaps))
        expected = (output_size(volume.shape[0], factor), *volume.shape[1:])
        if result.shape != expected:
            raise ValueError(
                f"{type(self).__name__} returned shape {result.shape}, the contract asks for {expected}"
            )
        return result.astype(np.float32, copy=False)

    def prepare(self, subjects: Collection[str], factor: int) -> None:
        """Told once, before anything is interpolated, what will come; InputError where it cannot be done."""

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        if not self.anywhere:
            raise TypeError(f"{type(self).__name__} has no _interpolate: a method must write one")
        return self._interpolate_gaps(volume, factor, range(len(volume)))

    def _interpolate_gaps(self, volume: np.ndarray, factor: int, gaps: Sequence[int]) -> np.ndarray:
        """The slices of some gaps, by `_interpolate_at`, the others NaN; gap n - 1 is the last slice alone."""
        if type(self)._interpolate is not Method._interpolate:
            return self._interpolate(volume, factor)
        result = np.full((output_size(len(volume), factor), *volume.shape[1:]), np.nan, dtype=np.float32)
        asked = np.flatnonzero(np.isin(np.arange(len(result)) // factor, gaps))
        result[asked] = self._interpolate_at(volume, asked / factor)
        return result

    def interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """(n, rows, columns) float32 in [0, 1] to (len(positions), rows, columns), for grids that are no whole factor.

        positions: increasing, in units of input slices; whole ones give what `interpolate` gives there. Raises InputError
        where the method cannot (`anywhere` is False).
        """
        if not self.anywhere:
            raise InputError(f"{type(self).__name__} interpolates by whole factors alone")
        result = self._interpolate_at(np.asarray(volume, dtype=np.float32), np.asarray(positions))
        return result.astype(np.float32, copy=False)

    @property
    def anywhere(self) -> bool:
        """Whether slices at any position can be asked for, not only at whole fractions of the gaps."""
        return type(self)._interpolate_at is not Method._interpolate_at

    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} has no _interpolate_at")

    def load(self, checkpoint: Path) -> None:
        """Read trained weights; only trained methods have any."""
        raise TypeError(f"{type(self).__name__} is not trained, found checkpoint {checkpoint}")
