"""DICOM series to volumes, sorted by the geometry in their headers; file names and instance order are not
trusted.

Slices are sorted along the normal of ImageOrientationPatient by ImagePositionPatient, phases within a slice
by TriggerTime, TemporalPositionIdentifier or InstanceNumber (DICOM PS3.3, C.7.6.2 and C.7.6.18).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from interslice.common.errors import InputError
from interslice.data.dicom_headers import (
    PHASE_ORDER,
    Series,
    Slice,
    list_series,
    only_series,
    read_dataset,
    series_of_slice,
)

SAME_PLACE_MM = 0.02  # positions are decimal text: the same slice may differ in the last digits
GAP_TOLERANCE = 0.02  # of the usual gap
SAME_DIRECTION = 1e-3  # of direction cosines
WHOLE_TYPES = (np.int16, np.uint16, np.int32)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """A sorted series: data (columns, rows, slices, phases) float32 in the file's units; affine: voxel to mm, RAS."""

    name: str
    data: np.ndarray
    affine: np.ndarray

    def to_nifti(self) -> nib.Nifti1Image:
        """A NIfTI image, 3-D where there is one phase."""
        data = self.data[..., 0] if self.data.shape[3] == 1 else self.data
        image = nib.Nifti1Image(data, self.affine)
        image.header.set_dim_info(slice=2)
        image.header.set_xyzt_units("mm", "sec")
        return image


def read_series(source: str | Path | Iterable[str | Path]) -> list[Stack]:
    """Read every series of a folder (searched to any depth) or of a list of files; one stack per series.

    Raises InputError where there is no DICOM image, or a series is not a regular stack: see `read_stack`.
    """
    return [read_stack(series) for series in list_series(source)]


def read_stack(series: Series) -> Stack:
    """Sort a series into slices x phases by geometry and read its pixels.

    Raises InputError, naming the series, for mixed orientations, sizes or spacings, fewer than 2 slices, a
    missing slice, unequal gaps, slices that are shifted in plane, unequal numbers of phases, two images of
    one slice and phase, or pixels that cannot be read.
    """
    series = without_copies(series)
    check_alike(series)
    places = sort_slices(series)
    step = slice_step(series, places)
    first = places[0][0]
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[0] * first.spacing[1]
    affine[:3, 1] = first.orientation[1] * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    pixels = [[read_pixels(image).T for image in place] for place in places]
    data = np.moveaxis(np.array(pixels, dtype=np.float32), (0, 1), (2, 3))
    return Stack(series.name, data, LPS_TO_RAS @ affine)


def without_copies(series: Series) -> Series:
    """The series without images that are there twice: the same place, phase and pixels, whatever their names and UIDs."""
    kept: dict[tuple[Any, ...], list[Slice]] = {}
    for image in series.slices:
        same = kept.setdefault(
            (*image.position.round(3), *image.orientation.round(4).ravel(), image.phase), []
        )
        if not any(np.array_equal(read_pixels(image), read_pixels(other)) for other in same):
            same.append(image)
    return Series(series.name, tuple(image for group in kept.values() for image in group))


def check_alike(series: Series) -> None:
    """Refuse a series whose images differ in orientation, size, pixel spacing or frame of reference."""
    first = series.slices[0]
    for other in series.slices[1:]:
        if not np.allclose(first.orientation, other.orientation, atol=SAME_DIRECTION):
            raise differing(
                series,
                "orientations",
                first.orientation.round(3).ravel().tolist(),
                other.orientation.round(3).ravel().tolist(),
            )
        if first.size != other.size:
            raise differing(series, "image sizes", first.size, other.size)
        if not np.allclose(first.spacing, other.spacing, rtol=1e-3):
            raise differing(series, "pixel spacings", first.spacing, other.spacing)
        if first.frame_of_reference != other.frame_of_reference:
            raise differing(series, "frames of reference", first.frame_of_reference, other.frame_of_reference)


def differing(series: Series, what: str, one: Any, other: Any) -> InputError:
    return InputError(f"{series.name}: found mixed {what} ({one} and {other}), allowed is one")


def sort_slices(series: Series) -> list[list[Slice]]:
    """Images by slice, along the normal, and within a slice by phase."""
    places: list[list[Slice]] = []
    for image in sorted(series.slices, key=lambda image: image.depth):
        if places and image.depth - places[-1][0].depth < SAME_PLACE_MM:
            places[-1].append(image)
        else:
            places.append([image])
    if len(places) < 2:
        raise InputError(f"{series.name}: found {len(places)} slice, a stack needs at least 2")
    counts = {len(place) for place in places}
    if len(counts) > 1:
        usual = max(counts)
        odd = next(place for place in places if len(place) != usual)
        raise InputError(
            f"{series.name}: found {len(odd)} images of the slice at {odd[0].depth:.2f} mm "
            f"and {usual} of others, allowed is the same number of every slice; an image is missing or is there twice"
        )
    for key in range(len(PHASE_ORDER)):
        if all(distinct([image.phase[key] for image in place]) for place in places):
            return [sorted(place, key=lambda image: image.phase[key] or 0.0) for place in places]
    if counts == {1}:
        return places
    raise InputError(
        f"{series.name}: found {counts.pop()} images of every slice, "
        f"and none of {', '.join(PHASE_ORDER)} orders them"
    )


def distinct(values: Sequence[float | None]) -> bool:
    return None not in values and len(set(values)) == len(values)


def slice_step(series: Series, places: Sequence[Sequence[Slice]]) -> np.ndarray:
    """The vector in mm from one slice to the next; refuse gaps that differ and slices shifted in plane."""
    positions = np.array([place[0].position for place in places])
    depths = np.array([place[0].depth for place in places])
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    worst = int(np.abs(gaps - usual).argmax())
    if abs(gaps[worst] - usual) > max(GAP_TOLERANCE * usual, SAME_PLACE_MM):
        where = (
            f"{gaps[worst]:.2f} mm between the slices at {depths[worst]:.2f} and {depths[worst + 1]:.2f} mm"
        )
        times = gaps[worst] / usual
        if round(times) >= 2 and abs(times - round(times)) < GAP_TOLERANCE * round(times):
            raise InputError(
                f"{series.name}: found {round(times) - 1} missing slice(s): {where}, elsewhere {usual:.2f} mm"
            )
        raise InputError(
            f"{series.name}: found unequal slice gaps: {where}, elsewhere {usual:.2f} mm; "
            "allowed are equal gaps"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    drift = np.abs(positions - (positions[0] + np.outer(np.arange(len(positions)), step))).max()
    in_plane = float(
        np.linalg.norm(
            step - (depths[-1] - depths[0]) / (len(depths) - 1) * np.cross(*places[0][0].orientation)
        )
    )
    if max(float(drift), in_plane) > max(GAP_TOLERANCE * usual, SAME_PLACE_MM):
        raise InputError(
            f"{series.name}: found slices shifted in plane by up to {max(float(drift), in_plane):.2f} mm, "
            "allowed is a stack along its normal"
        )
    return step


def read_pixels(image: Slice) -> np.ndarray:
    """The grey values (rows, columns) of an image, rescale slope and intercept applied."""
    try:
        dataset = read_dataset(image.path)
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            # SimpleITK carries the decoders (JPEG, JPEG 2000, RLE) that pydicom leaves to plug-ins; it
            # rescales itself.
            pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(image.path)))[0].astype(np.float32)
        else:
            pixels = dataset.pixel_array.astype(np.float32) * slope + intercept
    except (
        ValueError,
        AttributeError,
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        NotImplementedError,
    ) as error:
        raise InputError(
            f"{image.path}: the pixels cannot be read ({' '.join(str(error).split())})"
        ) from error
    if pixels.shape != image.size:
        raise InputError(f"{image.path}: found {pixels.shape} pixels, the header says {image.size}")
    return pixels.astype(np.float32)


def read_series_image(source: str | Path, wanted: str | None = None) -> nib.Nifti1Image:
    """The one series in a folder, or the wanted one, or that of one of its slices or of a disc's DICOMDIR.

    3-D or 4-D (phases, echoes), in scanner coordinates (RAS+, qform and sform code 1).

    Raises InputError where the folder holds no DICOM image, several series, or an irregular stack.
    """
    source = Path(source)
    source = source.parent if source.name == "DICOMDIR" else source
    series = series_of_slice(source) if source.is_file() else only_series(source, wanted)
    image = read_stack(series).to_nifti()
    whole = nib.Nifti1Image(smallest_type(np.asarray(image.dataobj)), image.affine, image.header)
    whole.set_qform(image.affine, code="scanner")
    whole.set_sform(image.affine, code="scanner")
    return whole


def smallest_type(values: np.ndarray) -> np.ndarray:
    """Values as the first of WHOLE_TYPES that holds every one of them exactly, else as they are.

    DICOM stores whole numbers; with a rescale slope of 1 they still are.
    """
    if (values == np.rint(values)).all():
        for kind in WHOLE_TYPES:
            if np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max:
                return values.astype(kind)
    return values
