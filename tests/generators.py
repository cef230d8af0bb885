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

LABELLED = (0.2, 0.4, 0.6)  # the intensities at which the labels of `write_acdc` begin
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
    folder: Path,
    patients: Sequence[int],
    shape: tuple[int, int, int] = (5, 40, 44),
    frames: int = 2,
    sform_code: int = 1,
) -> None:
    """training/patientNNN and testing/patient101 to 150 with cine, ED and ES frames, labels and Info.cfg.

    Diagnoses run with the numbers. The headers conflict as published: the sform, of the given code, says 1 mm, the qform and
    pixdim have the scanner's sizes. Slices are 10 mm apart.
    """
    for number in patients:
        name, group = f"patient{number:03d}", GROUPS[(number - 1) % 100 // 20]
        place = folder / ("training" if number <= 100 else "testing") / name
        volume = cine(shape, frames, seed=number)
        spacing = (1.37 + 0.003 * number, 1.37 + 0.003 * number, 10.0)
        images = {"4d": volume}
        for frame in (0, frames - 1):
            images[f"frame{frame + 1:02d}"] = volume[..., frame]
            # 0 to 3, as right ventricle, myocardium and left ventricle have them; write_nifti takes thousandths.
            images[f"frame{frame + 1:02d}_gt"] = np.digitize(volume[..., frame], LABELLED) / 1000
        for what, content in images.items():
            write_nifti(place / f"{name}_{what}.nii.gz", content, spacing)
            set_acdc_header(place / f"{name}_{what}.nii.gz", spacing, sform_code)
        (place / "MANDATORY_CITATION.md").touch()
        write_info(place / "Info.cfg", group, frames)


def set_acdc_header(path: Path, spacing: Sequence[float], sform_code: int) -> None:
    """An sform of 1 mm and a qform of the true sizes, both turned about the slice axis, as nnU-Net's issue 2741 shows them."""
    image = nib.load(path)
    changed = nib.Nifti1Image(np.asarray(image.dataobj), None)
    changed.header.set_zooms([*spacing, *[1.0] * (len(image.shape) - 3)])
    changed.header.set_xyzt_units("mm", "sec")
    changed.set_qform(np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), code=1)
    # Written into the bytes (srow_x, y, z at 280, sform_code at 254): nibabel would bring pixdim into line with it.
    content = bytearray(changed.to_bytes())
    content[254:256] = struct.pack("<h", sform_code)
    content[280:328] = struct.pack("<12f", -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0)
    path.write_bytes(gzip.compress(bytes(content), 1))


def write_info(path: Path, group: str, frames: int) -> None:
    """An Info.cfg of ACDC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"ED: 1\nES: {frames}\nGroup: {group}\nHeight: 175.0\nNbFrame: {frames}\nWeight: 70.0\n")


def write_atlas_case(
    folder: Path, number: int, shape: tuple[int, int, int] = (5, 40, 44), frames: int = 2
) -> Path:
    """A case of the atlas archives: SCD0000101 with CINESAX, CINELAX and PERF folders of one SeriesInstanceUID.

    A second, smaller CINESAX folder, an aborted one, lies beside the first; UIDs have leading zeros in a part.
    """
    case = folder / f"SCD{number:07d}"
    across = np.array([[0.6, -0.8, 0.0], [0.0, 0.0, -1.0]])
    write_dicom_series(case / f"CINESAX_{300 + number % 7}", cine(shape, frames, number), seed=number)
    write_dicom_series(case / "CINESAX_900", cine((2, *shape[1:]), frames, 98), seed=2)
    write_dicom_series(
        case / "CINELAX_301", cine((1, *shape[1:]), frames, 99), orientation=across, description="CINELAX"
    )
    write_dicom_series(case / "PERF_304", cine((3, *shape[1:]), 2 * frames, 97), description="PERF")
    for path in case.rglob("*.dcm"):
        edit_dicom(path, SeriesInstanceUID="1.3.6.1.4.1.9590.100.1.1.0123.2", PatientID=case.name)
    return case


def write_atlas_table(path: Path, names: dict[str, str]) -> None:
    """scd_patientdata.csv, with the mark that spreadsheets put at the beginning; original names are not padded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{patient},{original},,,\n" for patient, original in names.items()]
    path.write_text("PatientID,OriginalID,Gender,Age,Pathology\n" + "".join(rows), encoding="utf-8-sig")


def write_contours(folder: Path, name: str) -> None:
    """The contours of a case: text files in a folder of its name, and no image."""
    place = folder / name / "contours-manual" / "IRCCI-expert"
    place.mkdir(parents=True)
    (place / "IM-0001-0048-icontour-manual.txt").write_text("120.5 130.2\n")


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


def write_dhcp(
    folder: Path, count: int, shape: tuple[int, int, int] = (19, 44, 40), release: int = 3
) -> None:
    """A BIDS release: T2w, T1w, brain mask, sidecar and what else lies there; the first infant was scanned twice.

    Its first session has the smaller number and comes later as text. Release 1 has the restored image alone.
    """
    restored = {1: "_T2w_restore", 2: "_desc-restore_T2w", 3: "_desc-restore_T2w"}[release]
    mask = {1: "_brainmask", 2: "_desc-bet_space-T2w_brainmask", 3: "_desc-brain_mask"}[release]
    others = (
        "_hemi-left_pial.surf.gii",
        "_curv.dscalar.nii",
        "_parc.dlabel.nii",
        "_desc-biasfield_T2w.nii.gz",
    )
    for index in range(count):
        subject = f"sub-CC{50 + index:05d}XX{index % 90 + 10}"
        for session in ("ses-9300", "ses-10700")[: 2 if index == 0 else 1]:
            stem = f"{subject}_{session}"
            place = folder / subject / session / "anat"
            volume = ellipsoids(shape, index)
            if release > 1:
                write_nifti(place / f"{stem}_T2w.nii.gz", volume, (0.5, 0.5, 0.5))
            for name in (restored, "_T1w", mask):
                write_nifti(place / f"{stem}{name}.nii.gz", volume, (0.5, 0.5, 0.5))
            (place / f"{stem}_T2w.json").write_text("{}")
            for name in (*others, "_mode-image.nii.gz", "_wb.spec", "_qc.pdf"):
                (place / f"{stem}{name}").touch()


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
        # Analyze's x runs to the left, as of the published images: nibabel reads them so.
        image = nib.AnalyzeImage(data, np.diag([-1.0, 1, 1, 1]), nib.AnalyzeHeader(endianness=">"))
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
