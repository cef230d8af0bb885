"""How wrong a new voxel may be: an interval that holds the true value of nine voxels in ten.

Split conformal prediction with local weights (Lei et al. 2018, "Distribution-free predictive inference for regression",
section 5.2): where neighbouring slices differ, more can be wrong between them. How much more is measured on the scan
itself, on slices that are held out and predicted back. These are predicted at twice the spacing, which is harder where
slices are thin, and they are as thick as the scan's, while what lies between thick slices is finer than any of them: a
factor that depends on the thickness, chosen on one subject that no training had, corrects for both.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from interslice.common.errors import InputError
from interslice.scan.auto import held_out_stacks, predicted
from interslice.scan.grid import Grid
from interslice.scan.models import Model
from interslice.scan.scans import Scan, without_nan
from interslice.scan.upsampling import limits_of

LEVEL = 0.9  # share of voxels whose true value the interval holds
SMOOTH = 1.0  # pixels, sigma over which the difference of slices is averaged
FLOOR = 0.01  # of the intensities, added to that difference: noise


def interval(scan: Scan, model: Model, fine: Scan, grid: Grid, keep_original: bool) -> Scan:
    """Half the width of the interval about every voxel of `fine`, in its intensities, float32.

    0 on original slices that were kept, NaN where `fine` is. Raises InputError for a scan of fewer than 4 slices, or
    without contrast.
    """
    wide = width(scan, model, keep_original) * gap_factor(grid.thickness)
    stored = np.empty(fine.stored.shape, dtype=np.float32)
    header = fine.header.copy()
    header.set_data_dtype(np.float32)
    result = replace(fine, stored=stored, slope=1.0, inter=0.0, header=header)
    gaps = np.minimum(grid.positions.astype(int), grid.slices - 2)
    for index in range(scan.frames):
        frame = without_nan(scan.frame(index))
        low, high = limits_of(frame, trained=True)
        span = high - low
        made = result.stored_frame(index)
        for gap in range(grid.slices - 1):
            made[gaps == gap] = (
                wide * span * scale((frame[gap] - low) / (span or 1), (frame[gap + 1] - low) / (span or 1))
            )
        if keep_original:
            made[list(grid.kept)] = 0
        made[np.isnan(fine.frame(index))] = np.nan
    return result


def width(scan: Scan, model: Model, keep_original: bool, level: float = LEVEL) -> float:
    """Half the width of the interval in units of `scale`: what a share `level` of the errors on held-out slices is below."""
    stacks = held_out_stacks(scan, side=None)
    if not stacks:
        count = scan.stored.shape[scan.axis]
        raise InputError(f"{scan.name}: found {count} slices, --uncertainty needs at least 4, and contrast")
    thickness = scan.thickness_mm and scan.thickness_mm / (2 * scan.normal_spacing_mm)
    method = model.method.at_gap(2 * scan.gap_px).given(thickness)
    ratios = [
        np.abs(predicted(method, one, keep_original) - one.truth) / scale(*one.slices[one.gap : one.gap + 2])
        for one in stacks
    ]
    return float(np.quantile(ratios, level))


def scale(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(rows, columns): how much may be wrong between two slices, of intensities in [0, 1], but for a factor."""
    return np.sqrt(gaussian_filter(np.square(after - before, dtype=np.float64), SMOOTH)) + FLOOR


def gap_factor(thickness: float | None) -> float:
    """What errors between slices are, relative to those at held-out ones.

    thickness: of a slice in units of the gap; None, not known, counts as 1. Right on DS240 was .64 to .82 for thin slices and
    1.0 to 1.4 for a Gaussian profile (K = 2, 4, 6; splines, registration, motion_spline), .81 to .90 for slabs of .8 (K = 2).
    """
    return 0.7 + max(0.0, min(1.0 if thickness is None else thickness, 1.0) - 0.5)
