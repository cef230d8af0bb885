"""The header of a DICOM file: where each of its images lies, and what sets it apart from others of the same place.

A file holds one image, or several as an enhanced multi-frame object (DICOM PS3.3, C.7.6.16) or as a Siemens mosaic.
"""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from interslice.common.errors import InputError
from interslice.data.dicom_frames import frame_headers, image_type
from interslice.data.images import READ_ERRORS, begins_bare

CONTRAST = (
    "EchoTime",
    "DiffusionBValue",
    "InversionTime",
    "FlipAngle",
    "RepetitionTime",
    "EchoNumbers",
)  # what makes another image of a place
TIME_ORDER = ("TriggerTime", "TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
B_VALUES = {"SIEMENS": 0x0019100C, "GE": 0x00431039, "PHILIPS": 0x20011003}  # private, by manufacturer
GE_PART, GE_PARTS = 0x0043102F, ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")  # its ImageType says none of them
CREATORS = [tag & 0xFFFF0000 | 0x10 for tag in B_VALUES.values()]
GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
HEADER: list[Any] = ["SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "PatientID"]
HEADER += ["SeriesDescription", "FrameOfReferenceUID", "Manufacturer", "ImageType", "Rows", "Columns"]
HEADER += ["ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"]
HEADER += ["SamplesPerPixel", "PhotometricInterpretation", "SpacingBetweenSlices", "NumberOfFrames"]
HEADER += ["RescaleSlope", "RescaleIntercept", *CONTRAST, *TIME_ORDER, *GROUPS]
HEADER += [*B_VALUES.values(), GE_PART, *CREATORS]
SCREENSHOT = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture, and its multi-frame kinds below it
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66"  # and what is stored like it: labels on the grid of other images
SCREENSHOT_FOUND = "found a screenshot"
CONVERT = "convert it to NIfTI (dcm2niix)"
UNREADABLE = (
    *READ_ERRORS,
    RuntimeError,
    AssertionError,
    NameError,
    BytesLengthException,
)  # what readers of DICOM raise
REASON = 160  # characters of what they say

logging.getLogger("pydicom").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Slice:
    """The header of one image.

    group: patient, study, series and its number. orientation: (2, 3) direction cosines, along a row (growing column index)
    then along a column. position: (3,) mm, LPS, centre of the first pixel. spacing: mm between (rows, columns). size: (rows,
    columns). kind: ImageType from its third value on. contrast, time: the keys of CONTRAST and TIME_ORDER, None where absent.
    thickness, stated_gap: mm, SliceThickness and SpacingBetweenSlices, None where absent. scale: rescale slope and intercept.
    frame: of the images in its file; mosaic: tiles a side of the one pixel array that holds them all, 0 for other files.
    """

    path: Path
    group: tuple[str, ...]
    description: str
    frame_of_reference: str
    orientation: np.ndarray
    position: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    kind: tuple[str, ...]
    contrast: tuple[float | None, ...]
    time: tuple[float | None, ...]
    thickness: float | None = None
    stated_gap: float | None = None
    scale: tuple[float, float] = (1.0, 0.0)
    frame: int = 0
    mosaic: int = 0

    @property
    def depth(self) -> float:
        """mm along the normal of the slice."""
        return float(self.position @ np.cross(*self.orientation))


class Unusable(InputError):
    """An image that is no slice of a volume; group and description are those of its series."""

    def __init__(self, message: str, header: Dataset, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.group, self.description, self.reason = group_of(header), description_of(header), message
        if message == SCREENSHOT_FOUND:  # it belongs to no series of slices, whatever its UID
            self.group = (*self.group, message)


def group_of(header: Dataset) -> tuple[str, ...]:
    """What images of one series have in common: broken anonymisers give all series the same UID."""
    keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber")
    return tuple(str(header.get(key, "")) for key in keys)


def description_of(header: Dataset) -> str:
    return str(header.get("SeriesDescription") or "no description")


def read_dataset(path: Path, **options: Any) -> pydicom.FileDataset:
    """Read a DICOM file, also one without preamble, as old archives write; InvalidDicomError where it is none."""
    bare = begins_bare(path)
    dataset = pydicom.dcmread(path, force=bare, **options)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def read_header(path: Path) -> list[Slice]:
    """The images of a file; none for a file that is not DICOM or holds no image (a report, a DICOMDIR).

    Raises Unusable for an image that is no slice of a volume, and for a header that cannot be read.
    """
    try:
        header = read_dataset(path, stop_before_pixels=True, specific_tags=HEADER)
        if "Rows" not in header or "Columns" not in header:
            if is_image(header):
                raise Unusable("found no image size, it may be cut", header, path)
            return []
        return list(slices_of(header, path))
    except InvalidDicomError:
        return []
    except EOFError as error:
        raise Unusable("it is cut", Dataset(), path) from error
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise Unusable(f"the DICOM header cannot be read ({shortened(error)})", Dataset(), path) from error


def shortened(error: Exception) -> str:
    """What a reader says is wrong, in one line without the bytes of a file."""
    return " ".join(str(error).partition("b'")[0].split())[:REASON] or type(error).__name__


def is_image(header: pydicom.FileDataset) -> bool:
    """Whether a file is of a class of images, or says no class, by what is left of its header."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    return not kind or "Image Storage" in pydicom.uid.UID(str(kind)).name


def slices_of(header: Dataset, path: Path) -> Iterator[Slice]:
    if str(header.get("SOPClassUID", "")).startswith(SCREENSHOT) and "ImagePositionPatient" not in header:
        raise Unusable(SCREENSHOT_FOUND, header, path)
    if str(header.get("SOPClassUID", "")).startswith(SEGMENTATION):
        raise Unusable(
            f"found a segmentation, allowed are images; {CONVERT.replace('dcm2niix', 'dcmqi')}", header, path
        )
    colour = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if int(header.get("SamplesPerPixel") or 1) != 1 or not colour.startswith("MONOCHROME"):
        raise Unusable("found a colour image, allowed are grey values", header, path)
    frames = int(header.get("NumberOfFrames") or 1)
    if described := len(header.get("PerFrameFunctionalGroupsSequence") or ()):
        if described != frames:
            raise Unusable(f"found {frames} frames and places of {described}", header, path)
        for index, frame in enumerate(frame_headers(header)):
            yield slice_of(frame, path, frame=index)
    elif frames > 1:
        message = f"found a multi-frame DICOM that does not say where its frames lie; {CONVERT}"
        raise Unusable(message, header, path)
    elif "MOSAIC" in image_type(header):
        yield from mosaic_tiles(header, path)
    else:
        yield slice_of(header, path)


def mosaic_tiles(header: Dataset, path: Path) -> Iterator[Slice]:
    """The slices of a Siemens mosaic, whose number and normal are in its private (CSA) header alone."""
    with warnings.catch_warnings():  # nibabel warns that its readers are experimental
        warnings.simplefilter("ignore")
        from nibabel.nicom.csareader import CSAReadError
        from nibabel.nicom.dicomwrappers import MosaicWrapper, WrapperError
    try:
        whole = MosaicWrapper(read_dataset(path, stop_before_pixels=True))
        step = whole.slice_normal * whole.voxel_sizes[2]
    except (WrapperError, CSAReadError, *UNREADABLE) as error:
        message = f"found a Siemens mosaic without the private header that describes it; {CONVERT}"
        raise Unusable(message, header, path) from error
    header.Rows, header.Columns, count = whole.image_shape
    for index in range(count):
        header.ImagePositionPatient = (whole.image_position + index * step).round(6).tolist()
        yield slice_of(header, path, frame=index, mosaic=whole.mosaic_size)


def slice_of(header: Dataset, path: Path, **place: int) -> Slice:
    """The Slice of a flat header; Unusable where its geometry is missing or impossible."""
    spacing = numbers(header, "PixelSpacing", 2, path)
    if min(spacing) <= 0:
        message = f"PixelSpacing: found {spacing.tolist()}, allowed are sizes above 0 mm"
        raise Unusable(message, header, path)
    orientation = numbers(header, "ImageOrientationPatient", 6, path).reshape(2, 3)
    if not np.allclose(orientation @ orientation.T, np.eye(2), atol=0.01):
        found = orientation.ravel().tolist()
        message = f"ImageOrientationPatient: found {found}, allowed are two perpendicular unit vectors"
        raise Unusable(message, header, path)
    contrast = [number(header.get(key)) for key in CONTRAST]
    if contrast[1] is None:
        contrast[1] = private_b_value(header)
    return Slice(
        path,
        group_of(header),
        description_of(header),
        str(header.get("FrameOfReferenceUID", "")),
        orientation,
        numbers(header, "ImagePositionPatient", 3, path),
        (float(spacing[0]), float(spacing[1])),
        (int(header.Rows), int(header.Columns)),
        (*image_type(header)[2:], *ge_part(header)),
        tuple(contrast),
        tuple(number(header.get(key)) for key in TIME_ORDER),
        above_zero(header.get("SliceThickness")),
        above_zero(header.get("SpacingBetweenSlices")),
        rescale(header, path),
        **place,
    )


def rescale(header: Dataset, path: Path) -> tuple[float, float]:
    """Rescale slope and intercept, 1 and 0 where absent or empty; Unusable where they are no numbers, or a slope is 0."""
    found = []
    for key, absent in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        given = header.get(key)
        value = absent if given is None or given == "" else number(given)
        if value is None or (value == 0 and key == "RescaleSlope"):
            allowed = "a number" if key == "RescaleIntercept" else "a number other than 0"
            raise Unusable(f"{key}: found {given}, allowed is {allowed}", header, path)
        found.append(value)
    return found[0], found[1]


def number(value: Any) -> float | None:
    """A header's value as a number, None where it is absent or none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def above_zero(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None


def ge_part(header: Dataset) -> tuple[str, ...]:
    """magnitude, phase, real or imaginary by the private element of GE."""
    code = (
        private_number(header, GE_PART)
        if str(header.get("Manufacturer", "")).upper().startswith("GE")
        else None
    )
    return (GE_PARTS[int(code)],) if code is not None and code in range(len(GE_PARTS)) else ()


def private_b_value(header: Dataset) -> float | None:
    """The b-value that Siemens, GE and Philips wrote before the standard had one; GE adds a multiple of 1e9."""
    maker = str(header.get("Manufacturer", "")).upper()
    tag = next((tag for name, tag in B_VALUES.items() if maker.startswith(name)), None)
    found = None if tag is None else private_number(header, tag)
    return None if found is None else found % 1e9


def private_number(header: Dataset, tag: int) -> float | None:
    """The (first) number of a private element, of whatever type; None where there is none."""
    value = header[tag].value if tag in header else None
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").split("\\")[0]
    return number(value if value is None or isinstance(value, str | int | float) else next(iter(value), None))


def numbers(header: Dataset, key: str, count: int, path: Path) -> np.ndarray:
    """The `count` numbers of an attribute; Unusable where they are missing or no numbers."""
    value = header.get(key)
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        found = np.array([])
    if found.shape != (count,) or not np.isfinite(found).all():
        raise Unusable(f"{key}: found {value}, needed are {count} numbers", header, path)
    return found
