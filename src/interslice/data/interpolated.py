"""Interpolated volumes on disk: compressed NIfTI of 16 bits, which any viewer opens.

Values are rounded to multiples of 1/65535, so that none is off by more than 7.7e-6. The slices that a method passes
through are those of the low-resolution volume, bit by bit, once they are read back.
"""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.images import READ_ERRORS
from interslice.data.volumes import Volume, open_volume, output_size

ENDING = ".nii.gz"
LEVELS = 65535
HALF_A_STEP = 0.5 / LEVELS


def write_interpolated(
    frames: np.ndarray, low: Volume, factor: int, path: Path, *, exact: bool = False
) -> None:
    """Write frames (frames, slices, rows, columns) in [0, 1] with the spacing of `low` divided by K.

    The origin stays, because slice 0 does. exact: as float32, for a control that is given the answer; so is what is not
    finite.
    """
    affine = low.affine.copy()
    affine[:3, low.slice_axis] /= factor
    whole = np.moveaxis(np.asarray(frames, dtype=np.float32), (0, 1), (3, low.slice_axis))
    array = whole[..., 0] if whole.shape[3] == 1 else whole
    steps = not exact and bool(np.isfinite(array).all())
    image = nib.Nifti1Image(np.rint(array * LEVELS).astype(np.uint16) if steps else array, affine)
    image.header.set_dim_info(slice=low.slice_axis)
    image.header.set_xyzt_units("mm", "sec")
    if steps:
        image.header.set_slope_inter(1 / LEVELS, 0)
    with replacing(path) as temporary:
        nib.save(image, temporary)


def read_interpolated(path: Path, low: Path | None = None) -> Volume:
    """Read a volume of `write_interpolated`, data (frames, slices, rows, columns) float32 in memory.

    low: its low-resolution volume; a slice that is equal to the input slice there within half a step is that slice.
    Raises InputError for a file that cannot be read or a `low` of another shape.
    """
    volume = open_volume(path)
    try:
        stored = np.asanyarray(nib.load(path).dataobj.get_unscaled())  # type: ignore[attr-defined]
    except READ_ERRORS as error:
        raise InputError(f"{path}: the voxels cannot be read ({' '.join(str(error).split())})") from error
    stored = stored[..., np.newaxis] if stored.ndim == 3 else stored
    stored = np.ascontiguousarray(np.moveaxis(stored, (3, volume.slice_axis), (0, 1)))
    data = stored.astype(np.float32)
    if stored.dtype == np.uint16:
        data /= np.float32(LEVELS)
    if low is not None:
        restore_kept(data, open_volume(low).data, path)
    return replace(volume, data=data)


def restore_kept(data: np.ndarray, low: np.ndarray, path: Path) -> None:
    """Put the slices of `low` in place of those that are equal to them within half a step."""
    factor, rest = divmod(data.shape[1] - 1, low.shape[1] - 1)
    if rest or (data.shape[0], output_size(low.shape[1], factor), *data.shape[2:]) != (
        low.shape[0], data.shape[1], *low.shape[2:]
    ):  # fmt: skip
        raise InputError(f"{path}: found the shape {data.shape}, of which {low.shape} cannot be the input")
    # float32 adds its own rounding to half a step.
    near = np.abs(data[:, ::factor] - low).max(axis=(2, 3)) <= HALF_A_STEP * 1.01
    for frame, index in np.argwhere(near):
        data[frame, index * factor] = low[frame, index]
