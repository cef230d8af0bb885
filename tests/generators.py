"""Archives and folders in exactly the published layouts of the datasets, with small volumes and real headers.

Every generator takes a folder and writes what a person would have there after the download. The images are
phantoms.
"""

import gzip
import shutil
import struct
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from phantoms import ellipsoids

SHORT_AXIS = np.array([[0.8, 0.6, 0.0], [0.0, 0.0, -1.0]])  # rows, columns of an oblique slice


def cine(shape: tuple[int, int, int], frames: int, seed: int) -> np.ndarray:
    """A beating phantom (slices, rows, columns, frames) float32 in [0, 1]: one anatomy whose brightness changes."""
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


def edit_dicom(path: Path, **changes: object) -> FileDataset:
    """Set attributes of a DICOM file, None deletes one; returns it."""
    image = pydicom.dcmread(path)
    for key, value in changes.items():
        if value is None:
            delattr(image, key)
        else:
            setattr(image, key, value)
    if changes:
        image.save_as(path)
    return image


GROUPS = ("DCM", "HCM", "MINF", "NOR", "RV")


def write_nifti(
    path: Path, volume: np.ndarray, spacing: Sequence[float], affine: np.ndarray | None = None
) -> None:
    """A (slices, rows, columns[, frames]) volume in [0, 1] as int16 NIfTI with the slices along the third axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.round(1000 * np.moveaxis(volume, (2, 1, 0), (0, 1, 2))).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.diag([*spacing, 1.0]) if affine is None else affine), path)


def write_acdc(
    folder: Path, patients: Sequence[int], shape: tuple[int, int, int] = (5, 40, 44), frames: int = 2
) -> None:
    """training/patientNNN with the cine, ED and ES frames, their labels and Info.cfg; diagnoses run with the numbers."""
    for number in patients:
        name, group = f"patient{number:03d}", GROUPS[(number - 1) // 20]
        place = folder / "training" / name
        volume = cine(shape, frames, seed=number)
        spacing = (1.37 + 0.003 * number, 1.37 + 0.003 * number, 10.0)
        write_nifti(place / f"{name}_4d.nii.gz", volume, spacing)
        for frame in (0, frames - 1):
            write_nifti(place / f"{name}_frame{frame + 1:02d}.nii.gz", volume[..., frame], spacing)
            write_nifti(place / f"{name}_frame{frame + 1:02d}_gt.nii.gz", volume[..., frame] > 0.5, spacing)
        write_info(place / "Info.cfg", group, frames)


def write_info(path: Path, group: str, frames: int) -> None:
    """An Info.cfg of ACDC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"ED: 1\nES: {frames}\nGroup: {group}\nHeight: 175.0\nNbFrame: {frames}\nWeight: 70.0\n")


def write_sunnybrook(
    folder: Path, names: Sequence[str], shape: tuple[int, int, int] = (5, 40, 44), frames: int = 2
) -> None:
    """A folder of DICOM files per case, with a long-axis view beside the short-axis stack."""
    across = np.array([[0.6, -0.8, 0.0], [0.0, 0.0, -1.0]])
    for index, name in enumerate(names):
        write_dicom_series(folder / name / "CINESAX_300", cine(shape, frames, index), seed=index)
        long_axis = cine((1, *shape[1:]), frames, 99)
        write_dicom_series(
            folder / name / "CINELAX_301", long_axis, orientation=across, description="CINELAX"
        )


def write_metaimages(folder: Path, name: str, shape: tuple[int, int, int] = (5, 40, 44)) -> np.ndarray:
    """NAME_ED.mhd and NAME_ES.mhd with raw files; returns (slices, rows, columns, 2)."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = np.round(1000 * cine(shape, 2, 5)).astype(np.int16)
    for frame, phase in enumerate(("ED", "ES")):
        image = sitk.GetImageFromArray(np.ascontiguousarray(volume[..., frame]))
        image.SetSpacing((1.25, 1.25, 8.0))
        image.SetOrigin((10.0, -20.0, 30.0))
        sitk.WriteImage(image, str(folder / f"{name}_{phase}.mhd"))
    return volume


def write_dhcp(folder: Path, count: int, shape: tuple[int, int, int] = (19, 44, 40)) -> None:
    """A BIDS release: T2w, T1w, brain mask and sidecar; the first infant was scanned twice."""
    for index in range(count):
        subject = f"sub-CC{50 + index:05d}XX{index % 90 + 10}"
        for session in ("ses-1000", "ses-2000")[: 2 if index == 0 else 1]:
            stem = f"{subject}_{session}"
            place = folder / subject / session / "anat"
            volume = ellipsoids(shape, index)
            write_nifti(place / f"{stem}_T2w.nii.gz", volume, (0.5, 0.5, 0.5))
            write_nifti(place / f"{stem}_T1w.nii.gz", volume, (0.5, 0.5, 0.5))
            write_nifti(place / f"{stem}_desc-brain_mask.nii.gz", volume > 0.1, (0.5, 0.5, 0.5))
            (place / f"{stem}_T2w.json").write_text("{}")


def write_oasis_disc(
    archive: Path,
    numbers: Sequence[int],
    repeats: Sequence[int] = (),
    shape: tuple[int, int, int] = (19, 44, 40),
) -> None:
    """A disc: RAW and PROCESSED Analyze pairs of every session in one folder; `repeats` have a second session."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    root = archive.parent / f".{archive.name}-content"
    disc = root / archive.name.removesuffix(".tar.gz").removeprefix("oasis_cross-sectional_")
    sessions = [f"OAS1_{number:04d}_MR1" for number in numbers] + [
        f"OAS1_{number:04d}_MR2" for number in repeats
    ]
    for session in sessions:
        volume = np.round(1000 * ellipsoids(shape, int(session[5:9]))).astype(np.int16)
        data = np.moveaxis(volume, (2, 1, 0), (0, 1, 2))[..., np.newaxis]  # 4-D with one frame, as published
        image = nib.AnalyzeImage(data, np.eye(4), nib.AnalyzeHeader(endianness=">"))
        for place, name in (
            ("PROCESSED/MPRAGE/T88_111", f"{session}_mpr_n4_anon_111_t88_gfc"),
            ("PROCESSED/MPRAGE/T88_111", f"{session}_mpr_n4_anon_111_t88_masked_gfc"),
            ("RAW", f"{session}_mpr-1_anon"),
        ):
            (disc / session / place).mkdir(parents=True, exist_ok=True)
            nib.save(image, disc / session / place / f"{name}.hdr")
        (disc / session / f"{session}.txt").write_text(f"SESSION ID: {session}\n")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(disc, disc.name)
    shutil.rmtree(root)


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of bytes, gzip where the name says so."""
    header = bytes([0, 0, 0x08, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
