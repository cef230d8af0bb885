"""Where the slices of somebody else's result lie, told from the images: headers of other programs are often wrong."""

from itertools import combinations

import numpy as np
import scipy

from interslice.common.errors import InputError
from interslice.data.volumes import output_size

LEAST_OFFSET = 0.25  # of an output slice: what is less cannot be told from how a method works
LEAST_GAIN = 0.5  # the squared error that is left at the offset, of that at none
LEAST_SLICES = 4
SIDE = 48  # pixels along each axis that are looked at, evenly spread


def check_aligned(fine: np.ndarray, low: np.ndarray, factor: int, name: str) -> None:
    """Refuse a result that is not on the aligned grid of its input, and say what is the matter with it.

    fine: ((n - 1) K + 1, rows, columns); low: (n, rows, columns). Raises InputError for another shape, values that are not
    finite, an axis that is turned around, and slices that lie elsewhere by a quarter of an output slice or more.
    """
    expected = (output_size(len(low), factor), *low.shape[1:])
    if fine.shape != expected:
        whole = (len(low) * factor, *low.shape[1:])
        hint = (
            "; as many as K times the input are of a grid that keeps the field of view"
            if fine.shape == whole
            else ""
        )
        raise InputError(f"{name}: found (slices, rows, columns) {fine.shape}, allowed is {expected}{hint}")
    if not np.isfinite(fine).all():
        raise InputError(f"{name}: found {np.count_nonzero(~np.isfinite(fine))} voxels that are not finite")
    turned = turned_axes(fine[::factor], low)
    if turned:
        raise InputError(f"{name}: its {' and '.join(turned)} run the other way than those of the input")
    offset = slice_offset(fine, low, factor)
    if offset:
        raise InputError(
            f"{name}: its slices lie {abs(offset):.2f} output slices ({abs(offset) / factor:.2f} of an input slice) too "
            f"{'late' if offset > 0 else 'early'}; output slice iK must be where input slice i is"
        )


def turned_axes(kept: np.ndarray, low: np.ndarray) -> list[str]:
    """The axes of `kept` that run the other way in `low`, both (n, rows, columns); none where they look alike already."""
    axes = ("slices", "rows", "columns")
    choices = [chosen for count in range(4) for chosen in combinations(range(3), count)]
    errors = [float(np.mean((np.flip(kept, chosen) - low) ** 2)) for chosen in choices]
    best = int(np.argmin(errors))
    # An image that is its own mirror image is as good either way.
    return [axes[axis] for axis in choices[best]] if errors[best] < LEAST_GAIN * errors[0] else []


def slice_offset(fine: np.ndarray, low: np.ndarray, factor: int) -> float:
    """By how many of its own slices `fine` comes late: fine slice iK + offset shows what slice i of `low` shows.

    0 where no offset explains much more than none, and where there are fewer than 4 slices. Found on a grid of half slices,
    then by Newton's method on the squared error, as Lucas and Kanade 1981 register images; noise moves it to neither side.
    """
    if len(low) < LEAST_SLICES:
        return 0.0
    step = [max(1, size // SIDE) for size in low.shape[1:]]
    seen = (slice(None), slice(None, None, step[0]), slice(None, None, step[1]))
    curve = scipy.interpolate.CubicSpline(np.arange(len(fine)), fine[seen].astype(np.float64), axis=0)
    inside = np.arange(1, len(low) - 1)  # an offset of up to an input slice stays within `fine`
    wanted = low[seen][inside].astype(np.float64)

    def error(offset: float) -> float:
        return float(np.mean((curve(inside * factor + offset) - wanted) ** 2))

    offset = float(min(np.arange(-factor, factor + 0.5, 0.5), key=error))
    for _ in range(5):
        slope = curve(inside * factor + offset, 1)
        missing = wanted - curve(inside * factor + offset)
        offset += float((missing * slope).sum() / max((slope**2).sum(), np.finfo(np.float64).tiny))
        offset = float(np.clip(offset, -factor, factor))
    told = abs(offset) >= LEAST_OFFSET and error(offset) < LEAST_GAIN * error(0.0)
    return offset if told else 0.0
