"""Volumes: canonical axes, one intensity normalisation, the slice grid, decimation.

On disk a volume is an uncompressed float32 NIfTI with RAS axes, values in [0, 1], its slice axis in the
header's dim_info. In memory `data` is a view of shape (frames, slices, rows, columns); for 3-D files frames
is 1.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import scipy

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.images import load_image, readable
from interslice.data.masks import foreground_mask

ANATOMICAL_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}  # slice axis in RAS order
FWHM_PER_SIGMA = 2.355
COMMENT, LIMITS = 6, "interslice limits "  # NIfTI's code of a comment, and how ours begins
PROFILES = ("none", "gaussian", "slab")
SLAB = 0.8  # thickness of a slab as a share of the distance between slices


@dataclass(frozen=True)
class Volume:
    """A volume in memory.

    data: (frames, slices, rows, columns) float32, possibly memory-mapped. affine: 4x4, voxel (i, j, k) of the
    RAS array on disk to mm. slice_axis: 0, 1 or 2 of that array. limits: of each frame the intensities of the scan that became
    0 and 1, where they are known.
    """

    data: np.ndarray
    affine: np.ndarray
    slice_axis: int
    limits: tuple[tuple[float, float], ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(through-plane, row, column) spacing in mm, matching the axes of one frame."""
        voxel = nib.affines.voxel_sizes(self.affine)
        first, second = (axis for axis in range(3) if axis != self.slice_axis)
        return float(voxel[self.slice_axis]), float(voxel[first]), float(voxel[second])


def output_size(slices: int, factor: int) -> int:
    """Slices after interpolation by `factor`: (n - 1) K + 1."""
    return (slices - 1) * factor + 1


def output_positions(slices: int, factor: int) -> np.ndarray:
    """Position of every output slice in units of input slices: i + j / K, so that input i is output i K exactly."""
    return np.arange(output_size(slices, factor)) / factor


def find_slice_axis(spacing: tuple[float, ...], setting: str) -> int:
    """The slice axis of a RAS volume: the named one, or for "auto" the axis of largest spacing (axial on a
    tie).
    """
    if setting in ANATOMICAL_AXES:
        return ANATOMICAL_AXES[setting]
    if setting != "auto":
        raise InputError(f"slice_axis: found {setting!r}, allowed are auto, {', '.join(ANATOMICAL_AXES)}")
    largest = max(spacing[:3])
    return max(axis for axis in range(3) if spacing[axis] >= 0.99 * largest)


def open_volume(path: str | Path) -> Volume:
    """Memory-map a normalised volume (as `write_volume` left it) without a copy."""
    image = load_image(path)
    # Only NIfTI headers have dim_info; any other format was not written by this package.
    slice_axis = image.header.get_dim_info()[2] if isinstance(image.header, nib.Nifti1Header) else None
    if slice_axis is None:
        raise InputError(f"{path}: no slice axis in the header, found dim_info 0; normalise the volume first")
    data = np.asanyarray(image.dataobj)
    data = data[..., np.newaxis] if data.ndim == 3 else data
    return Volume(np.moveaxis(data, (3, slice_axis), (0, 1)), image.affine, slice_axis, stored_limits(image))


def stored_limits(image: Any) -> tuple[tuple[float, float], ...]:
    """The limits that `write_volume` put into a header; none where another program wrote it."""
    for extension in getattr(image.header, "extensions", ()):
        if extension.get_code() == COMMENT and extension.text.startswith(LIMITS):
            return tuple((low, high) for low, high in json.loads(extension.text.removeprefix(LIMITS)))
    return ()


def in_frame_order(volume: Volume) -> np.ndarray:
    """The affine, voxel to mm, of a frame's array as (rows, columns, slices)."""
    rows, columns = (axis for axis in range(3) if axis != volume.slice_axis)
    return volume.affine[:, [rows, columns, volume.slice_axis, 3]]


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write an uncompressed float32 NIfTI that any viewer opens, with the slice axis in dim_info."""
    array = np.moveaxis(np.asarray(volume.data, dtype=np.float32), (0, 1), (3, volume.slice_axis))
    image = nib.Nifti1Image(array[..., 0] if array.shape[3] == 1 else array, volume.affine)
    image.header.set_dim_info(slice=volume.slice_axis)
    image.header.set_xyzt_units("mm", "sec")
    if volume.limits:
        text = LIMITS + json.dumps(volume.limits)
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", text.encode()))
    with replacing(path) as temporary:
        nib.save(image, temporary)


def scale_intensities(data: np.ndarray, setting: Mapping[str, Any], name: str) -> np.ndarray:
    """Scale to [0, 1] by the `intensity_limits` of the whole array, clip, return float32."""
    return scale_between(data, *intensity_limits(data, setting, name))


def scale_between(data: np.ndarray, low: float, high: float) -> np.ndarray:
    """`low` to 0 and `high` to 1, clipped, float32."""
    least, span = (
        np.float64(low),
        np.float64(high) - np.float64(low),
    )  # so that float32 data are scaled in float64
    return np.clip((data - least) / span, 0, 1).astype(np.float32)


def intensity_limits(data: np.ndarray, setting: Mapping[str, Any], name: str) -> tuple[float, float]:
    """The intensities of an array that become 0 and 1: its percentiles low and high, or its minimum and maximum.

    `setting` is the dataset's `intensity`: scaling "percentile" with low and high, or "minmax". Raises InputError for values
    that are not finite, and for an image without contrast.
    """
    if not np.isfinite(data).all():
        raise InputError(
            f"{name}: found {int((~np.isfinite(data)).sum())} voxels that are NaN or infinite, allowed are none"
        )
    limits = (setting["low"], setting["high"]) if setting["scaling"] == "percentile" else (0, 100)
    low, high = np.percentile(data, limits)
    if high <= low:
        raise InputError(
            f"{name}: found a constant image (percentiles {limits} are both {low:g}), allowed is one with contrast"
        )
    return float(low), float(high)


def foreground_box(frame: np.ndarray, spacing: tuple[float, ...], margin_mm: float) -> tuple[slice, ...]:
    """The bounding box of the foreground of a (slices, rows, columns) array, with a margin in mm, within the
    array.

    The margin is in-plane only: a slice without foreground has nothing to interpolate, and no metric is
    defined on it.
    """
    box = scipy.ndimage.find_objects(foreground_mask(frame).astype(np.uint8))[0]
    margins = [0, *(round(margin_mm / size) for size in spacing[1:])]
    return tuple(
        slice(max(0, edge.start - margin), min(length, edge.stop + margin))
        for edge, margin, length in zip(box, margins, frame.shape, strict=True)
    )


def crop(volume: Volume, box: tuple[slice, ...]) -> Volume:
    """Cut (slices, rows, columns) to `box`; the affine's origin moves with it, so world coordinates stay."""
    starts = np.zeros(3)
    in_plane = [axis for axis in range(3) if axis != volume.slice_axis]
    for axis, edge in zip([volume.slice_axis, *in_plane], box, strict=True):
        starts[axis] = edge.start
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ starts
    return Volume(volume.data[(slice(None), *box)], affine, volume.slice_axis)


def read_volume(
    path: str | Path, slice_axis: int, frames: tuple[int, int] | None = None, trust: str | None = None
) -> Volume:
    """Read an image, or the frames [first, stop) of a 4-D one, as float32 with RAS axes; trust as in `images.voxel_affine`."""
    image = load_image(path, trust)
    with readable(path, "the voxels cannot be read"):
        part = slice(*(frames or (None, None)))
        data = np.asarray(
            image.dataobj[..., part] if len(image.shape) == 4 else image.dataobj, dtype=np.float32
        )
    data = data[..., np.newaxis] if data.ndim == 3 else data
    return Volume(np.moveaxis(data, (3, slice_axis), (0, 1)), image.affine, slice_axis)


def decimate(volume: Volume, factor: int, slice_profile: str) -> Volume:
    """The low-resolution volume: cut to Z' = ((Z - 1) // K) K + 1 slices, apply the slice profile, keep
    slices 0, K, 2K, ...

    slice_profile: see `profile_blur`; voxels are those along the slice axis.
    """
    data = profile_blur(reference_slices(volume.data, factor), factor, slice_profile, axis=1)
    affine = volume.affine.copy()
    affine[:3, volume.slice_axis] *= factor
    return Volume(data[:, ::factor], affine, volume.slice_axis)


def profile_blur(data: np.ndarray, factor: float, slice_profile: str, *, axis: int) -> np.ndarray:
    """Average along `axis` with a slice profile; InputError for an unknown one.

    none: voxels as they are. gaussian: full width at half maximum of K voxels (sigma K / 2.355), as the paper's brain protocol
    has it. slab: the plain mean over a slab of 0.8 K voxels about each voxel, those at its faces by the share that lies
    in it, so that kept slices have a gap of 0.2 K voxels between them. factor: K; any width that stands for it.
    """
    if slice_profile == "none":
        return data
    if slice_profile == "gaussian":
        return scipy.ndimage.gaussian_filter1d(data, sigma=factor / FWHM_PER_SIGMA, axis=axis, mode="nearest")
    if slice_profile != "slab":
        raise InputError(f"slice_profile: found {slice_profile!r}, allowed are {', '.join(PROFILES)}")
    half = SLAB * factor / 2
    distances = np.abs(np.arange(-math.ceil(half), math.ceil(half) + 1))
    weights = np.clip(half + 0.5 - distances, 0, 1)
    return scipy.ndimage.correlate1d(data, weights / weights.sum(), axis=axis, mode="nearest")


def reference_slices(data: np.ndarray, factor: int) -> np.ndarray:
    """(frames, slices, rows, columns) cut to the Z' slices that interpolation by `factor` gives back."""
    if factor < 2:
        raise InputError(f"K: found {factor}, allowed are whole numbers from 2")
    kept = (data.shape[1] - 1) // factor + 1
    if kept < 2:
        raise InputError(f"K = {factor} leaves {kept} of {data.shape[1]} slices, at least 2 are needed")
    return data[:, : output_size(kept, factor)]


def central(volume: np.ndarray, side: int | None) -> np.ndarray:
    """The central square of `side` pixels of (slices, rows, columns); smaller slices, and all with None, stay whole."""
    return volume if side is None else np.ascontiguousarray(volume[central_box(volume.shape, side)])


def central_box(shape: tuple[int, ...], side: int | None) -> tuple[slice, ...]:
    """Where `central` is in a volume of a shape."""
    starts = [0 if side is None else max(0, (size - side) // 2) for size in shape[1:]]
    return (slice(None), *(slice(start, None if side is None else start + side) for start in starts))
