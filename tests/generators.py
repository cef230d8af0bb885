"""Archives and folders in exactly the published layouts of the datasets, with small volumes and real headers.

Every generator takes a folder and writes what a person would have there after the download. The images are
phantoms.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from phantoms import ellipsoids

SHORT_AXIS = np.array([[0.8, 0.6, 0.0], [0.0, 0.0, -1.0]])  # rows, columns of an oblique slice


def cine(shape: tuple[int, int, int], frames: int, seed: int) -> np.ndarray:
    """A beating phantom (slices, rows, columns, frames) float32 in [0, 1]: one anatomy whose brightness
    changes.
    """
    still = ellipsoids(shape, seed)
    return np.stack([still * (1 - 0.2 * np.sin(np.pi * frame / frames)) for frame in range(frames)], axis=3)


def write_dicom_series(
    folder: Path,
    volume: np.ndarray,
    *,
    spacing: tuple[float, float] = (1.25, 1.25),
    gap: float = 8.0,
    orientation: np.ndarray = SHORT_AXIS,
    origin: Sequence[float] = (10.0, -20.0, 30.0),
    description: str = "CINESAX",
    trigger: bool = True,
    seed: int = 0,
) -> list[Path]:
    """A DICOM series of `volume` (slices, rows, columns, frames) in [0, 1], one image per file, in random
    file order.

    Returns [slice * frames + frame] -> path, so that a test can break a chosen one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slices, _, _, frames = volume.shape
    order = np.random.default_rng(seed).permutation(slices * frames)
    series, study, reference = generate_uid(), generate_uid(), generate_uid()
    normal = np.cross(*orientation)
    paths = []
    for slice_index in range(slices):
        for frame in range(frames):
            number = int(order[slice_index * frames + frame])
            path = folder / f"IM-0001-{number:04d}.dcm"
            image = dicom_image(path, np.round(1000 * volume[slice_index, :, :, frame]).astype(np.uint16))
            image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = (
                series,
                study,
                reference,
            )
            image.SeriesDescription, image.PatientID = description, folder.name
            image.ImageOrientationPatient = [round(float(value), 6) for value in orientation.ravel()]
            position = np.array(origin) + slice_index * gap * normal
            image.ImagePositionPatient = [round(float(value), 6) for value in position]
            image.PixelSpacing = list(spacing)
            image.SliceThickness, image.InstanceNumber = gap, number + 1
            if trigger:
                image.TriggerTime = 30.0 * frame
            image.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def dicom_image(path: Path, pixels: np.ndarray) -> FileDataset:
    """An MR image without geometry."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Modality, image.StudyDate = "MR", datetime(2009, 1, 1, tzinfo=UTC).strftime("%Y%m%d")
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.PixelData = pixels.tobytes()
    return image


def edit_dicom(path: Path, **changes: object) -> None:
    """Set attributes of a DICOM file; None deletes one."""
    image = pydicom.dcmread(path)
    for key, value in changes.items():
        if value is None:
            delattr(image, key)
        else:
            setattr(image, key, value)
    image.save_as(path)
