"""Where the slices of the result lie: at a whole factor between the original ones, or at the spacing that was asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interslice.common.errors import InputError, NothingToDo
from interslice.scan.scans import Scan

MAX_FACTOR = 32
MEETS = 1e-3  # of a gap: a new slice so near to an original one is that one
ROUNDING = 1e-4  # of a spacing: headers hold decimals and 32 bits, so that 5.0002 mm to 1 mm is a factor of 5


@dataclass(frozen=True)
class Grid:
    """The slices of a result: the first is the scan's first, and they end at or before its last.

    slices: how many the scan has. ratio: the (usual) gap of the scan over the gap of the result, above 1. uneven: where the
    slices of a scan of unequal gaps are, in units of the usual gap; empty where that is 0, 1, 2, ... thickness: of a slice in
    units of the usual gap, None where it is not known.
    """

    slices: int
    ratio: float
    uneven: tuple[float, ...] = ()
    thickness: float | None = None

    @property
    def factor(self) -> int | None:
        """The whole factor; None where the grid is none."""
        return int(self.ratio) if self.ratio == int(self.ratio) and not self.uneven else None

    @property
    def extent(self) -> float:
        """From the first slice of the scan to its last, in units of the usual gap."""
        return self.uneven[-1] if self.uneven else self.slices - 1.0

    @cached_property
    def distances(self) -> np.ndarray:
        """Of every slice from the first, in units of the usual gap."""
        return np.arange(math.floor((self.extent + MEETS) * self.ratio) + 1) / self.ratio

    @cached_property
    def positions(self) -> np.ndarray:
        """Of every slice, in units of the scan's: whole numbers where the grid meets a slice of the scan.

        Where gaps differ, the part of the gap that it lies in: half-way in any gap is half-way between two whole numbers.
        """
        places = self.distances
        if self.uneven:
            places = np.interp(places, self.uneven, np.arange(self.slices))
        nearest = np.rint(places)
        return np.where(np.abs(places - nearest) < MEETS, nearest, places)

    @cached_property
    def kept(self) -> Mapping[int, int]:
        """Slice of the result to the slice of the scan that it is."""
        return {number: int(place) for number, place in enumerate(self.positions) if place == int(place)}

    def __len__(self) -> int:
        return len(self.positions)


def millimetres(name: str, value: float | str) -> float:
    """A length that a person gives; InputError, which names it, where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        shown = f"{value:g}" if isinstance(value, float) else value
        raise InputError(f"{name}: found {shown}, allowed are millimetres above 0")
    return found


def parse_factor(text: str | int | float) -> int:
    """A factor from what a person typed."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not value.is_integer() or not 2 <= value <= MAX_FACTOR:
        raise InputError(f"factor: found {text}, allowed are whole numbers from 2 to {MAX_FACTOR}")
    return int(value)


def grid_for(
    scan: Scan, factor: str | int | None = None, spacing_mm: float | None = None, isotropic: bool = False
) -> Grid:
    """The grid of a whole factor, of a spacing, or isotropic (the smaller in-plane spacing); of one of them at most.

    With none of them the whole factor that comes nearest to isotropic, which keeps every slice of the scan. Raises NothingToDo
    where that leaves nothing to add, InputError for what is not allowed.
    """
    slices, before, uneven = scan.stored.shape[scan.axis], scan.slice_spacing_mm, scan.positions
    thickness = None if scan.thickness_mm is None else scan.thickness_mm / scan.normal_spacing_mm
    if sum((factor is not None, spacing_mm is not None, isotropic)) > 1:
        raise InputError("found more than one of factor, spacing and isotropic, allowed is one of them")
    if factor is not None:
        return Grid(slices, parse_factor(factor), uneven, thickness)
    in_plane = min(size for axis, size in enumerate(scan.spacing_mm) if axis != scan.axis)
    goal = in_plane if spacing_mm is None else millimetres("spacing", spacing_mm)
    whole = spacing_mm is None and not isotropic
    ratio = float(round(before / goal)) if whole else before / goal
    if abs(ratio - round(ratio)) < ROUNDING * ratio:
        ratio = float(round(ratio))
    if ratio <= 1:
        nearest = ", and the nearest factor for the in-plane spacing is 1" if whole else ""
        raise NothingToDo(
            f"{scan.name}: the slices are {before:.4g} mm apart already, asked for are {goal:.4g} mm{nearest}"
        )
    if ratio > MAX_FACTOR:
        raise InputError(
            f"{scan.name}: {before:.4g} mm to {goal:.4g} mm is a factor of {ratio:.4g}, allowed is up to {MAX_FACTOR}"
        )
    return Grid(slices, ratio, uneven, thickness)


def described(scan: Scan, grid: Grid, keep_original: bool) -> str:
    """What is taken, in a line: slices and spacing before and after, and which original slices stay."""
    frames = f"{scan.frames} frames of " if scan.frames > 1 else ""
    before, after = scan.slice_spacing_mm, scan.slice_spacing_mm / grid.ratio
    line = (
        f"{scan.name}: {frames}{grid.slices} slices, {before:.4g} mm apart, along axis {'ijk'[scan.axis]}; "
    )
    then = "stay" if keep_original else "are made anew"
    if grid.factor:
        return (
            f"{line}factor {grid.factor}: {len(grid)} slices, {after:.4g} mm apart; all {grid.slices} {then}"
        )
    line += f"to {len(grid)} slices, {after:.4g} mm apart; {len(grid.kept)} of the {grid.slices} lie on this grid and {then}"
    short = (grid.extent - grid.distances[-1]) * before
    return line + (f"; it ends {short:.2g} mm before the last one" if short > MEETS * before else "")
