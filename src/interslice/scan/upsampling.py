"""Interpolation of a person's own scan: the frames, the scale of the intensities, what stays as it is."""

import math

import numpy as np

from interslice.common.errors import InputError
from interslice.common.memory import check_memory
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.conventional import BSpline
from interslice.methods.shipped import THICKNESS, read_settings
from interslice.scan.grid import Grid
from interslice.scan.labels import holds_whole_values, interpolate_labels, why_labels
from interslice.scan.scans import Scan, without_nan

PERCENTILES = (1, 99.8)  # of a frame, to 0 and 1 of a trained method: as the default study normalises
THICKEST = 1.1  # of the gap, of a slice whose thickness can be undone
FLOAT32_COPIES = 4  # of an output frame that are in memory at the same time, with room to spare


def limits_of(frame: np.ndarray, trained: bool) -> tuple[float, float]:
    """The intensities of `frame` that become 0 and 1: its range, or for a trained method the percentiles."""
    low, high = (float(value) for value in np.percentile(frame, PERCENTILES)) if trained else (0.0, 0.0)
    return (low, high) if high > low else (float(frame.min()), float(frame.max()))


def at_grid(method: Method, volume: np.ndarray, grid: Grid) -> np.ndarray:
    """(n, rows, columns) float32 at the positions of a grid; InputError where the method makes whole factors alone."""
    method = method.given(grid.thickness)
    if grid.factor:
        return method.interpolate(volume, grid.factor)
    check_makes(method, grid)
    if grid.uneven and isinstance(method, BSpline):
        return method.interpolate_between(volume, grid.uneven, grid.distances)
    return method.interpolate_at(volume, grid.positions)


def check_makes(method: Method, grid: Grid) -> None:
    """Refuse a grid that is no whole factor for a method that makes nothing else."""
    if not (grid.factor or method.anywhere):
        raise InputError(
            f"method {method.settings.get('method')}: makes whole factors alone, and {grid.ratio:.4g} is none; "
            f"--factor {max(2, round(grid.ratio))} is the nearest"
        )
    if method.settings.get("slice_profile") != THICKNESS:
        return
    if not grid.factor:
        raise InputError(
            f"deblur: found a grid of {'unequal gaps' if grid.uneven else f'{grid.ratio:.4g} slices to a gap'}, allowed are "
            "equal gaps and whole factors"
        )
    if grid.thickness is None:
        raise InputError("deblur: found no slice thickness to undo; --thickness MM says it")
    if grid.thickness > THICKEST:
        raise InputError(
            f"deblur: found slices {grid.thickness:.3g} times as thick as they are apart, allowed is up to {THICKEST}: what "
            "overlapping slices share cannot be told apart"
        )


def predict(method: Method, scaled: np.ndarray, grid: Grid, keep_original: bool) -> np.ndarray:
    """(n, rows, columns) float32, mostly in [0, 1], to (len(grid), rows, columns) on the same scale.

    A trained method sees the slices cut to [0, 1]. What it does not give back at the original slices is
    interpolated linearly and added: with `keep_original` its whole error there, so that sharp original slices
    do not alternate with new ones that lack what the network loses; else only what was cut off.
    """
    if not method.trained:
        return at_grid(method, scaled, grid)
    seen = np.clip(scaled, 0, 1)
    if not keep_original:
        result, given_back = at_grid(method, seen, grid), seen
    elif grid.factor:
        result = at_grid(method, seen, grid)
        given_back = result[:: grid.factor]
    else:
        own = np.arange(len(seen), dtype=float)
        places = np.union1d(grid.positions, own)
        check_makes(method, grid)
        everywhere = method.interpolate_at(seen, places)
        result = everywhere[np.searchsorted(places, grid.positions)]
        given_back = everywhere[np.searchsorted(places, own)]
    missing = scaled - given_back
    if missing.any():
        result = result + linear(missing, grid)
    return result


def linear(volume: np.ndarray, grid: Grid) -> np.ndarray:
    return at_grid(build_method(read_settings("linear")), volume, grid)


def interpolate_scaled(
    method: Method, frame: np.ndarray, grid: Grid, keep_original: bool
) -> tuple[np.ndarray, float, float]:
    """(slices, rows, columns) of any scale to (len(grid), rows, columns) float32 r, and low, span.

    The intensities are low + span * r; see `predict`. No new value lies outside the range of the frame: cubic
    and Lanczos kernels overshoot at edges, and a magnitude image has no negative values.
    """
    absent = np.isnan(frame)
    frame = without_nan(frame)
    low, high = limits_of(frame, method.trained)
    span = high - low
    if span <= 0:  # a constant frame of a series
        span = 1.0
        result = np.zeros((len(grid), *frame.shape[1:]), dtype=np.float32)
    else:
        scaled = ((frame - low) / span).astype(np.float32)
        result = np.clip(predict(method, scaled, grid, keep_original), scaled.min(), scaled.max())
    if absent.any():  # the nearer slice says where there is no value
        result[linear(absent.astype(np.float32), grid) > 0.5] = np.nan
    return result, low, span


def interpolate_frame(method: Method, frame: np.ndarray, grid: Grid, keep_original: bool) -> np.ndarray:
    """`interpolate_scaled` as intensities, float32."""
    result, low, span = interpolate_scaled(method, frame, grid, keep_original)
    return (low + span * result.astype(np.float64)).astype(np.float32)


def output_shape(scan: Scan, grid: Grid) -> tuple[int, ...]:
    """The shape of the stored array after interpolation."""
    shape = list(scan.stored.shape)
    shape[scan.axis] = len(grid)
    return tuple(shape)


def check_fits(scan: Scan, grid: Grid) -> None:
    """Refuse an output that would not fit into memory with the working copies of a frame."""
    voxels = math.prod(output_shape(scan, grid))
    check_memory(voxels * scan.stored.dtype.itemsize + FLOAT32_COPIES * 4 * voxels // scan.frames, scan.name)


def upsample_scan(scan: Scan, grid: Grid, method: Method, keep_original: bool = True) -> Scan:
    """`scan` on a finer grid; `keep_original` copies its own slices bit by bit, where the grid meets them.

    Raises InputError where the method cannot make the grid and where the memory does not suffice.
    """
    if len(parts := scan.parts()) > 1:
        real, imaginary = (upsample_scan(part, grid, method, keep_original).stored for part in parts)
        return scan.finer((real + 1j * imaginary).astype(scan.stored.dtype), grid.ratio)
    check_fits(scan, grid)
    method = method.at_gap(scan.gap_px)
    fine = scan.finer(np.empty(output_shape(scan, grid), dtype=scan.stored.dtype), grid.ratio)
    kept = grid.kept if keep_original else {}
    for frame in range(scan.frames):
        result, low, span = interpolate_scaled(method, scan.frame(frame), grid, keep_original)
        source, target = scan.stored_frame(frame), fine.stored_frame(frame)
        for index in range(len(target)):
            if index in kept:
                target[index] = source[kept[index]]
            else:
                target[index] = scan.to_stored(low + span * result[index].astype(np.float64))
    return fine


def upsample_labels(scan: Scan, grid: Grid) -> Scan:
    """`scan`, a label map, on a finer grid; its own slices stay, and no label is made up."""
    check_fits(scan, grid)
    fine = scan.finer(np.empty(output_shape(scan, grid), dtype=scan.stored.dtype), grid.ratio)
    for frame in range(scan.frames):
        fine.stored_frame(frame)[...] = interpolate_labels(scan.stored_frame(frame), grid.positions)
    return fine


def label_reason(scan: Scan, label: bool | None, method: str | None) -> str:
    """Why a scan is interpolated as a label map; nothing where it is not. label: as the user says, None where he does not.

    InputError for an image without contrast, and for --label with values that are no labels.
    """
    if label:
        if not holds_whole_values(scan):
            raise InputError(f"{scan.name}: found values that are no labels, --label is for whole numbers")
        return "--label"
    reason = "" if label is False or method == "nearest" else why_labels(scan)
    if not reason and method != "nearest":
        check_contrast(scan)
    return reason


def check_contrast(scan: Scan) -> None:
    """Refuse an image that is the same everywhere."""
    stored = scan.parts()[0].stored
    low, high = np.nanmin(stored), np.nanmax(stored)
    if low == high and scan.stored.dtype.kind != "c":
        raise InputError(f"{scan.name}: every voxel is {low * scan.slope + scan.inter:g}, contrast is needed")
