"""A dataset's protocol: from the file as it came to the normalised volume that everything is scored on (DATA
3).

In this order: in-plane resampling, intensity to [0, 1], background to 0, crop to the foreground, crop or pad
about the centre, pad; then another look, where the robustness suite asks for one. Slices are never resampled or dropped here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import scipy

from interslice.data.masks import foreground_mask
from interslice.data.perturbations import with_appearance
from interslice.data.sources import Case
from interslice.data.volumes import Volume, crop, foreground_box, intensity_limits, read_volume, scale_between


def normalise_case(case: Case, dataset: Mapping[str, Any]) -> Volume:
    """Read a case and apply its dataset's protocol; data float32 in [0, 1]. InputError names the file."""
    frames = (case.first_frame, case.stop_frame)
    volume = read_volume(case.path, case.slice_axis, frames, case.trust or None)
    if case.left_out:
        left_out = [frame - case.first_frame for frame in case.left_out]
        volume = replace(volume, data=np.delete(volume.data, left_out, axis=0))
    if dataset["in_plane_mm"] is not None:
        volume = resample_in_plane(volume, dataset["in_plane_mm"])
    scaled, limits = scale_frames(volume.data, dataset["intensity"], case.path)
    volume = replace(volume, data=scaled)
    settings = dataset["crop"]
    if settings["margin_mm"] is not None or dataset["background"] == "zero":
        still = volume.data.mean(axis=0)
        if dataset["background"] == "zero":
            volume = replace(volume, data=volume.data * foreground_mask(still))
        if settings["margin_mm"] is not None:
            volume = crop(volume, foreground_box(still, volume.spacing, settings["margin_mm"]))
    if settings["centre_px"] is not None:
        volume = fit_in_plane(volume, settings["centre_px"], shrink=True)
    if dataset["pad_px"] is not None:
        volume = fit_in_plane(volume, dataset["pad_px"], shrink=False)
    return with_appearance(replace(volume, limits=limits), dataset["appearance"])


def scale_frames(
    data: np.ndarray, intensity: Mapping[str, Any], name: str
) -> tuple[np.ndarray, tuple[tuple[float, float], ...]]:
    """(frames, slices, rows, columns) to [0, 1] by the limits of the volume or of each frame, and every frame's limits."""
    if intensity["per"] == "volume":
        limits = intensity_limits(data, intensity, name)
        return scale_between(data, *limits), (limits,) * len(data)
    each = [
        intensity_limits(frame, intensity, f"frame {index} of {name}") for index, frame in enumerate(data)
    ]
    return np.stack([scale_between(*one) for one in zip(data, *zip(*each, strict=True), strict=True)]), tuple(
        each
    )


def resample_in_plane(volume: Volume, spacing_mm: float) -> Volume:
    """Rows and columns to exactly `spacing_mm`, linearly, after a Gaussian against aliasing; slices stay.

    The Gaussian has sigma = (factor - 1) / 2 pixels where the factor of reduction is above 1, as in
    scikit-image. The new grid has the old one's centre and as many pixels as fit its field of view.
    """
    import SimpleITK as sitk  # a second to load, and few datasets are resampled

    frames, slices, *size = volume.data.shape
    _, *old = volume.spacing
    new_size = [max(1, int(np.floor(n * s / spacing_mm + 1e-6))) for n, s in zip(size, old, strict=True)]
    # Position of the first new pixel in mm from the first old one.
    starts = [((n - 1) * s - (m - 1) * spacing_mm) / 2 for n, m, s in zip(size, new_size, old, strict=True)]
    sigma = [max(0.0, (spacing_mm / s - 1) / 2) for s in old]
    data = np.empty((frames, slices, *new_size), dtype=np.float32)
    for index, frame in enumerate(volume.data):
        smooth = scipy.ndimage.gaussian_filter(frame, (0, *sigma), mode="nearest")
        image = sitk.GetImageFromArray(np.ascontiguousarray(smooth))
        image.SetSpacing([old[1], old[0], 1.0])  # SimpleITK counts (column, row, slice)
        data[index] = sitk.GetArrayFromImage(
            sitk.Resample(
                image,
                [new_size[1], new_size[0], slices],
                sitk.Transform(),
                sitk.sitkLinear,
                [starts[1], starts[0], 0.0],
                [spacing_mm, spacing_mm, 1.0],
                image.GetDirection(),
            )
        )
    affine = volume.affine.copy()
    in_plane = [axis for axis in range(3) if axis != volume.slice_axis]
    for axis, s, start in zip(in_plane, old, starts, strict=True):
        affine[:3, 3] += volume.affine[:3, axis] * start / s
        affine[:3, axis] *= spacing_mm / s
    return Volume(data, affine, volume.slice_axis)


def fit_in_plane(volume: Volume, side: int, *, shrink: bool) -> Volume:
    """Pad rows and columns with 0 to `side` pixels about the centre and, with `shrink`, cut larger ones to it."""
    rows_columns = volume.data.shape[2:]
    if shrink:
        edges = [(max(0, (n - side) // 2), min(n, max(0, (n - side) // 2) + side)) for n in rows_columns]
        volume = crop(volume, (slice(0, volume.data.shape[1]), *(slice(*edge) for edge in edges)))
    missing = [max(0, side - n) for n in volume.data.shape[2:]]
    before = [n // 2 for n in missing]
    padding = [(0, 0), (0, 0), *((b, n - b) for b, n in zip(before, missing, strict=True))]
    offset = np.zeros(3)
    offset[[axis for axis in range(3) if axis != volume.slice_axis]] = before
    affine = volume.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(volume.affine, -offset)
    return Volume(np.pad(volume.data, padding), affine, volume.slice_axis)
