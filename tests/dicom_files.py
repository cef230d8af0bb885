"""DICOM files of the kinds that scanners and archives write, small and generated; the plain series is in `generators`."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from generators import SHORT_AXIS, dicom_image

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def enhanced(
    path: Path,
    volume: np.ndarray,
    *,
    gap: float = 6.0,
    order: Sequence[int] | None = None,
    shared: bool = True,
) -> Path:
    """One file with the frames of `volume` (slices, rows, columns, echoes) of whole numbers, in a given order.

    shared: spacing and orientation once for all frames, else with each.
    """
    slices, _, _, echoes = volume.shape
    order = range(slices * echoes) if order is None else order
    path.parent.mkdir(parents=True, exist_ok=True)
    image = dicom_image(path, volume[0, :, :, 0])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    image.SeriesInstanceUID, image.StudyInstanceUID = generate_uid(), generate_uid()
    image.FrameOfReferenceUID, image.SeriesDescription, image.PatientID = generate_uid(), "XA T2", "one"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    image.NumberOfFrames = len(order)
    image.PixelData = np.stack(
        [volume[k // echoes, :, :, k % echoes] for k in order]
    ).astype("<u2").tobytes()  # fmt: skip
    grid = Dataset()
    grid.PlaneOrientationSequence = [item(ImageOrientationPatient=[float(v) for v in SHORT_AXIS.ravel()])]
    grid.PixelMeasuresSequence = [item(PixelSpacing=[1.5, 1.25], SliceThickness=5.0)]
    grid.PixelValueTransformationSequence = [item(RescaleSlope=2.0, RescaleIntercept=-7.0)]
    frames = []
    for k in order:
        frame = Dataset()
        if not shared:
            frame.update(grid)
        position = np.array([10.0, -20.0, 30.0]) + (k // echoes) * gap * np.cross(*SHORT_AXIS)
        frame.PlanePositionSequence = [item(ImagePositionPatient=[float(v) for v in position])]
        frame.MREchoSequence = [item(EffectiveEchoTime=20.0 + 60.0 * (k % echoes))]
        frames.append(frame)
    image.SharedFunctionalGroupsSequence = [grid] if shared else [Dataset()]
    image.PerFrameFunctionalGroupsSequence = frames
    image.save_as(path, enforce_file_format=True)
    return path


def item(**values: object) -> Dataset:
    made = Dataset()
    for key, value in values.items():
        setattr(made, key, value)
    return made


def mosaic(path: Path, volume: np.ndarray, *, gap: float = 4.0, private: bool = True) -> Path:
    """A Siemens mosaic of `volume` (slices, rows, columns) of whole numbers: tiles of one square image.

    Its ImagePositionPatient is where the corner of an image of the mosaic's size would be that has the first slice's centre.
    """
    slices, rows, columns = volume.shape
    side = int(np.ceil(np.sqrt(slices)))
    tiles = np.zeros((side * rows, side * columns), dtype=np.uint16)
    for k, pixels in enumerate(volume):
        row, column = divmod(k, side)
        tiles[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    image = dicom_image(path, tiles)
    image.Manufacturer, image.ImageType = "SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = (
        generate_uid() for _ in range(3)
    )
    image.SeriesDescription, image.PatientID, image.InstanceNumber = "ep2d", "one", 1
    image.PixelSpacing, image.SliceThickness, image.SpacingBetweenSlices = [1.5, 1.25], 3.0, gap
    image.ImageOrientationPatient = [float(v) for v in SHORT_AXIS.ravel()]
    shift = [(side - 1) * columns / 2 * 1.25, (side - 1) * rows / 2 * 1.5] @ SHORT_AXIS
    image.ImagePositionPatient = [round(float(v), 6) for v in np.array([10.0, -20.0, 30.0]) - shift]
    if private:
        block = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        normal = np.cross(*SHORT_AXIS)
        block.add_new(
            0x10, "OB", csa({"NumberOfImagesInMosaic": [slices], "SliceNormalVector": list(normal)})
        )
    image.save_as(path, enforce_file_format=True)
    return path


def csa(values: dict[str, list[float]]) -> bytes:
    """A CSA header, version 2, as Siemens writes it (described in nibabel's documentation)."""
    made = b"SV10\4\3\2\1" + struct.pack("<II", len(values), 77)
    for name, numbers in values.items():
        whole = isinstance(numbers[0], int)
        made += name.encode().ljust(64, b"\0")
        made += struct.pack(
            "<i4siii", len(numbers), b"IS\0\0" if whole else b"FD\0\0", 6 if whole else 4, 6, 77
        )
        for index in range(6):
            text = (str(numbers[index]) if index < len(numbers) else "").encode()
            text = text + b"\0" if text else b""
            made += struct.pack("<iiii", len(text), len(text), 77, len(text)) + text
            made += bytes(-len(text) % 4)
    return made


def edit_each(paths: Sequence[Path], change: Callable[[Dataset, int], None]) -> None:
    """Change the DICOM files in place, each by its index in `paths`."""
    for index, path in enumerate(paths):
        image = pydicom.dcmread(path)
        change(image, index)
        image.save_as(path)
