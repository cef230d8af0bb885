"""The headers of DICOM files: which series there are, and where each image lies."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import ImplicitVRLittleEndian

from interslice.common.errors import InputError

PHASE_ORDER = ("EchoTime", "TriggerTime", "TemporalPositionIdentifier", "InstanceNumber")
HEADER = ["SOPClassUID", "SeriesInstanceUID", "SeriesDescription", "PatientID", "FrameOfReferenceUID"]
HEADER += ["ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "Rows", "Columns"]
HEADER += ["NumberOfFrames", "SamplesPerPixel", *PHASE_ORDER]

SCREENSHOT = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture, and its multi-frame kinds below it
NO_PREAMBLE = (
    b"\x02\x00",
    b"\x08\x00",
)  # group 2 or 8, little endian: how a file begins that has no preamble

logging.getLogger("pydicom").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Slice:
    """The header of one image.

    orientation: (2, 3) direction cosines, along a row (growing column index) then along a column. position:
    (3,) mm, LPS, centre of the first pixel. spacing: mm between (rows, columns). size: (rows, columns).
    phase: the keys of PHASE_ORDER, None where absent.
    """

    path: Path
    series: str
    description: str
    patient: str
    frame_of_reference: str
    orientation: np.ndarray
    position: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    phase: tuple[float | None, ...]

    @property
    def depth(self) -> float:
        """mm along the normal of the slice."""
        return float(self.position @ np.cross(*self.orientation))


@dataclass(frozen=True)
class Series:
    """The images of one SeriesInstanceUID, or of several that were merged. `name` is for messages."""

    name: str
    slices: tuple[Slice, ...]


def list_series(source: str | Path | Iterable[str | Path]) -> list[Series]:
    """The series of a folder or of files from their headers alone, largest first. Files that are not DICOM
    are skipped.

    Raises InputError where there is no DICOM image, or an image lacks its geometry.
    """
    if isinstance(source, str | Path):
        place = str(source)
        paths = (
            sorted(path for path in Path(source).rglob("*") if path.is_file())
            if Path(source).is_dir()
            else [Path(source)]
        )
    else:
        paths = [Path(path) for path in source]
        place = f"{len(paths)} files" if len(paths) != 1 else str(paths[0])
    groups: dict[str, list[Slice]] = defaultdict(list)
    for path in paths:
        header = read_header(path)
        if header is not None:
            groups[header.series].append(header)
    if not groups:
        raise InputError(
            f"{place}: found no DICOM image among {len(paths)} files, at least 2 slices are needed"
        )
    series = [
        Series(f"{common_place(group)} ({group[0].description})", tuple(group)) for group in groups.values()
    ]
    return sorted(series, key=lambda one: (-len(one.slices), one.name))


def common_place(slices: Sequence[Slice]) -> str:
    """The folder of the slices, for messages."""
    return str(slices[0].path.parent)


def only_series(source: str | Path | Iterable[str | Path], wanted: str | None = None) -> Series:
    """The one series of a folder or of files, or the wanted one: its number in `described`, description or UID.

    InputError names what there is where there are several and none, or more than one, is wanted.
    """
    series = list_series(source)
    chosen = [
        one
        for number, one in enumerate(series, 1)
        if wanted in (None, str(number), one.slices[0].description, one.slices[0].series)
    ]
    if len(chosen) == 1:
        return chosen[0]
    names = "; ".join(described(series))
    asked = f", {len(chosen)} of them for {wanted!r}" if wanted else ""
    raise InputError(
        f"{series[0].name}: found {len(series)} mixed series{asked} ({names}), allowed is one; "
        "--series takes a number, a description or a UID"
    )


def described(series: Sequence[Series]) -> list[str]:
    """A line for each series: its number for --series, description and number of images."""
    return [
        f"{number}: {one.slices[0].description}, {len(one.slices)} images"
        for number, one in enumerate(series, 1)
    ]


def series_of_slice(path: Path) -> Series:
    """The series that one image file belongs to, of those in its folder."""
    header = read_header(path)
    if header is None:
        raise InputError(f"{path}: holds no DICOM image; give the folder of the series")
    beside = [file for file in sorted(path.parent.iterdir()) if file.is_file()]
    return next(one for one in list_series(beside) if one.slices[0].series == header.series)


def read_dataset(path: Path, **options: Any) -> pydicom.FileDataset:
    """Read a DICOM file, also one without preamble, as old archives write; InvalidDicomError where it is none."""
    with open(path, "rb") as file:
        bare = file.read(2) in NO_PREAMBLE
    dataset = pydicom.dcmread(path, force=bare, **options)
    if bare and "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def read_header(path: Path) -> Slice | None:
    """The header of an image file; None for a file that is not DICOM or holds no image (a report, a DICOMDIR)."""
    try:
        header = read_dataset(path, stop_before_pixels=True, specific_tags=HEADER)
    except (InvalidDicomError, EOFError):
        return None
    except (OSError, ValueError, AttributeError, NotImplementedError) as error:
        raise InputError(f"{path}: the DICOM header cannot be read ({error})") from error
    if "Rows" not in header or "Columns" not in header:
        return None
    if str(header.get("SOPClassUID", "")).startswith(SCREENSHOT) and "ImagePositionPatient" not in header:
        return None
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise InputError(
            f"{path}: found a multi-frame DICOM, allowed are single-frame images; "
            "convert it to NIfTI (dcm2niix)"
        )
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise InputError(f"{path}: found a colour image, allowed are grey values")
    spacing = numbers(header, "PixelSpacing", 2, path)
    if min(spacing) <= 0:
        raise InputError(f"{path}: PixelSpacing: found {spacing.tolist()}, allowed are sizes above 0 mm")
    orientation = numbers(header, "ImageOrientationPatient", 6, path).reshape(2, 3)
    if not np.allclose(orientation @ orientation.T, np.eye(2), atol=0.01):
        found = orientation.ravel().tolist()
        raise InputError(
            f"{path}: ImageOrientationPatient: found {found}, allowed are two perpendicular unit vectors"
        )
    return Slice(
        path,
        str(header.get("SeriesInstanceUID", "")),
        str(header.get("SeriesDescription", "no description")),
        str(header.get("PatientID", "")),
        str(header.get("FrameOfReferenceUID", "")),
        orientation,
        numbers(header, "ImagePositionPatient", 3, path),
        (float(spacing[0]), float(spacing[1])),
        (int(header.Rows), int(header.Columns)),
        tuple(None if header.get(key) in (None, "") else float(header[key].value) for key in PHASE_ORDER),
    )


def numbers(header: Any, key: str, count: int, path: Path) -> np.ndarray:
    """The `count` numbers of an attribute; InputError where they are missing or no numbers."""
    value = header.get(key)
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        found = np.array([])
    if found.shape != (count,) or not np.isfinite(found).all():
        raise InputError(f"{path}: {key}: found {value}, needed are {count} numbers")
    return found
