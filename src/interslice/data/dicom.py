"""DICOM series to volumes, sorted by the geometry in their headers; file names and instance order are not
trusted.

Slices are sorted along the normal of ImageOrientationPatient by ImagePositionPatient, images of one slice by what sets them
apart: echo time, b-value and their like, then TriggerTime, TemporalPositionIdentifier, AcquisitionNumber or InstanceNumber
(DICOM PS3.3, C.7.6.2 and C.7.6.18).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.data.dicom_headers import CONTRAST, TIME_ORDER, Slice
from interslice.data.dicom_order import SAME_PLACE_MM, sort_slices
from interslice.data.dicom_pixels import pixels_of, read_data
from interslice.data.dicom_series import Series, only_series, same_grid, series_of_slice
from interslice.data.images import LPS_TO_RAS

GAP_TOLERANCE = 0.02  # of the usual gap
WHOLE_TYPES = (np.int16, np.uint16, np.int32)

Places = Sequence[Sequence[Slice]]


@dataclass(frozen=True)
class Stack:
    """A sorted series: data (columns, rows, slices, volumes) float32 in the file's units; affine: voxel to mm, RAS.

    places: the images by slice, and within a slice by volume. positions: where the slices are, in units of the slice spacing;
    None where that is 0, 1, 2, ... thickness_mm: of a slice, None where the headers do not say. volume_seconds: from a volume
    to the next, 0 where that is not known. remarks: what a person should know.
    """

    name: str
    data: np.ndarray
    affine: np.ndarray
    places: Places
    positions: np.ndarray | None = None
    thickness_mm: float | None = None
    volume_seconds: float = 0.0
    remarks: tuple[str, ...] = ()

    def to_nifti(self) -> nib.Nifti1Image:
        """A NIfTI image, 3-D where there is one volume."""
        data = self.data[..., 0] if self.data.shape[3] == 1 else self.data
        image = nib.Nifti1Image(data, self.affine)
        image.header.set_dim_info(slice=2)
        image.header.set_xyzt_units("mm", "sec")
        if data.ndim == 4:
            image.header.set_zooms((*image.header.get_zooms()[:3], self.volume_seconds))
        return image

    def to_scanner(self) -> nib.Nifti1Image:
        """The same with the smallest type that holds every value, in scanner coordinates (code 1).

        A sheared grid (gantry tilt) has no qform: none can hold it.
        """
        image = self.to_nifti()
        whole = nib.Nifti1Image(smallest_type(np.asarray(image.dataobj)), image.affine, image.header)
        cosines = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
        square = np.allclose(cosines.T @ cosines, np.eye(3), atol=1e-3)
        whole.set_qform(image.affine, code="scanner" if square else "unknown")
        whole.set_sform(image.affine, code="scanner")
        return whole


def read_own_series(
    source: str | Path | Series, wanted: str | None = None, *, unequal: bool = False, fill: bool = False
) -> Stack:
    """The one series in a folder, or the wanted one, or that of one of its slices or of a disc's DICOMDIR.

    unequal, fill: as in `read_stack`. Raises InputError where the folder holds no
    DICOM image, several series, or no stack.
    """
    if isinstance(source, Series):
        series = source
    else:
        source = Path(source)
        source = source.parent if source.name.upper() == "DICOMDIR" else source
        series = series_of_slice(source, wanted) if source.is_file() else only_series(source, wanted)
    try:
        return read_stack(series, unequal=unequal, fill=fill)
    except InputError as error:
        raise InputError("; ".join([str(error), *series.remarks])) from error


def read_stack(series: Series, *, unequal: bool = False, fill: bool = False) -> Stack:
    """Sort a series into slices x volumes by geometry and read its pixels.

    unequal: gaps may differ; fill: slices may be missing. Raises InputError, naming the series, for mixed grids, fewer than 2
    slices, a missing slice, unequal gaps, slices that are shifted in plane one by one, unequal numbers of volumes, two images
    of one slice and volume, or pixels that cannot be read.
    """
    if series.problem is not None:
        raise series.problem
    series = without_copies(series)
    check_alike(series)
    places, order = sort_slices(series)
    step, positions, gap_remarks = slice_step(series, places, unequal, fill)
    thickness, thickness_remarks = slice_thickness(series, step)
    first = places[0][0]
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[0] * first.spacing[1]
    affine[:3, 1] = first.orientation[1] * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    data = read_data(places)
    remarks = [*series.remarks, *gap_remarks, *thickness_remarks]
    volumes = len(places[0])
    if volumes > 1 and order == ("InstanceNumber",) and (data == data[..., :1]).all():
        # Exported twice under new numbers: images of a moving or a noisy body are never the same.
        places, data = [place[:1] for place in places], data[..., :1]
        remarks.append(f"left out: {volumes - 1} of {volumes} volumes, whose images are all the same")
    elif volumes > 1:
        remarks.append(f"{volumes} images of every slice, in the order of {' and '.join(order)}")
    seconds = volume_seconds(places, order)
    return Stack(
        series.name, data, LPS_TO_RAS @ affine, places, positions, thickness, seconds, tuple(remarks)
    )


def without_copies(series: Series) -> Series:
    """The series without images that are there twice: the same place, order and pixels, whatever their names and UIDs."""
    kept: dict[tuple[Any, ...], list[Slice]] = defaultdict(list)
    for image in series.slices:
        same = kept[
            (*image.position.round(3), *image.orientation.round(4).ravel(), image.contrast, image.time)
        ]
        if not any(np.array_equal(pixels_of(image), pixels_of(other)) for other in same):
            same.append(image)
    images = tuple(image for group in kept.values() for image in group)
    dropped = len(series.slices) - len(images)
    remarks = (f"left out: {dropped} image(s) that are there twice",) if dropped else ()
    return replace(series, slices=images, remarks=(*series.remarks, *remarks))


def check_alike(series: Series) -> None:
    """Refuse a series, merged from several, whose images differ in orientation, size, pixel spacing or frame of reference."""
    first = series.slices[0]
    for other in series.slices[1:]:
        if not same_grid(first, other):
            grids = [
                f"{one.size} pixels of {one.spacing} mm along {one.orientation.round(3).ravel().tolist()}"
                for one in (first, other)
            ]
            raise InputError(
                f"{series.name}: found mixed grids ({' and '.join(grids)}, or other frames of reference), allowed is one"
            )


def slice_step(
    series: Series, places: Places, unequal: bool, fill: bool
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The vector in mm from a slice to the next, positions in its units where gaps differ, and remarks on both.

    Refuses slices that are shifted in plane one by one, and unequal gaps and missing slices that are not allowed.
    """
    points = np.array([place[0].position for place in places])
    depths = np.array([place[0].depth for place in places])
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    tolerance = max(GAP_TOLERANCE * usual, SAME_PLACE_MM)
    direction = (points[-1] - points[0]) / (depths[-1] - depths[0])  # per mm along the normal
    drift = float(np.abs(points - points[0] - np.outer(depths - depths[0], direction)).max())
    if drift > tolerance:
        raise InputError(
            f"{series.name}: found slices shifted in plane by up to {drift:.2f} mm, allowed is a stack along one line"
        )
    remarks = []
    shear = float(np.linalg.norm(direction - np.cross(*places[0][0].orientation))) * usual
    if shear > tolerance:
        remarks.append(
            f"gantry tilt: every slice is shifted in plane by {shear:.2f} mm; the affine is sheared, nothing is resampled"
        )
    if np.abs(gaps - usual).max() <= tolerance:
        return direction * float(gaps.mean()), None, remarks
    remarks.append(gaps_said(series, depths, usual, unequal, fill))
    return direction * usual, (depths - depths[0]) / usual, remarks


def gaps_said(series: Series, depths: np.ndarray, usual: float, unequal: bool, fill: bool) -> str:
    """What is to be said of unequal gaps that are allowed; InputError where they are not."""
    gaps = np.diff(depths)
    worst = int(np.abs(gaps - usual).argmax())
    times = gaps / usual
    where = f"{gaps[worst]:.2f} mm between the slices at {depths[worst]:.2f} and {depths[worst + 1]:.2f} mm"
    where += f", elsewhere {usual:.2f} mm"
    if (np.abs(times - np.rint(times)) < GAP_TOLERANCE * np.rint(times)).all():
        count = round(float(times.sum())) - len(gaps)
        found = f"found {count} missing slice(s): {where}"
        if not fill:
            raise InputError(f"{series.name}: {found}; --fill-missing interpolates them too")
        return f"{found}; they are interpolated"
    found = f"found unequal slice gaps: {where}"
    if not unequal:
        raise InputError(f"{series.name}: {found}; allowed are equal gaps")
    return f"{found}; new slices lie on an equal grid, interpolated at their true positions"


def slice_thickness(series: Series, step: np.ndarray) -> tuple[float | None, list[str]]:
    """mm, as most images say, None where none does; remarks where headers contradict each other or the positions."""
    stated = [image.thickness for image in series.slices if image.thickness is not None]
    remarks = []
    if stated and max(stated) - min(stated) > GAP_TOLERANCE * max(stated):
        remarks.append(
            f"SliceThickness is from {min(stated):.4g} to {max(stated):.4g} mm, the median is taken"
        )
    said = series.slices[0].stated_gap
    spacing = abs(float(step @ np.cross(*series.slices[0].orientation)))
    if said is not None and abs(said - spacing) > max(GAP_TOLERANCE * spacing, SAME_PLACE_MM):
        remarks.append(
            f"SpacingBetweenSlices says {said:.4g} mm, the positions {spacing:.4g} mm: the positions are taken"
        )
    return (float(np.median(stated)) if stated else None), remarks


def volume_seconds(places: Places, order: tuple[str, ...]) -> float:
    """From a volume to the next by what orders them: TriggerTime, or a count of repetitions; 0 where it is no time."""
    first = places[0]
    if "TriggerTime" in order:
        return float(np.median(np.diff([image.time[0] or 0.0 for image in first]))) / 1000
    if len(first) > 1 and len(order) == 1 and order[0] in TIME_ORDER:
        return (first[0].contrast[CONTRAST.index("RepetitionTime")] or 0.0) / 1000
    return 0.0


def smallest_type(values: np.ndarray) -> np.ndarray:
    """Values as the first of WHOLE_TYPES that holds every one of them exactly, else as they are.

    DICOM stores whole numbers; with a rescale slope of 1 they still are.
    """
    if (values == np.rint(values)).all():
        for kind in WHOLE_TYPES:
            if np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max:
                return values.astype(kind)
    return values
