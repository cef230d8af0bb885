"""A volume that was made from a DICOM series, written as a derived series of its own (DICOM PS3.3, C.7.6.1.1.2 to C.7.6.1.1.4).

Patient, study, frame of reference and what the source says of the acquisition stay; identity, place, pixels and derivation are
new. Private elements go: some repeat the place of the source's slice.
"""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.files import remove, replacing
from interslice.data.dicom import SAME_PLACE_MM, Places
from interslice.data.dicom_frames import frame_headers
from interslice.data.dicom_headers import Slice, above_zero, read_dataset
from interslice.data.images import LPS_TO_RAS

NAME = "interslice-{:05d}.dcm"
OWN = re.compile(r"interslice-\d{5}\.dcm")
SINGLE = {  # the classes of single images for those of enhanced objects
    "1.2.840.10008.5.1.4.1.1.4.1": MRImageStorage,
    "1.2.840.10008.5.1.4.1.1.2.1": CTImageStorage,
    "1.2.840.10008.5.1.4.1.1.130": PositronEmissionTomographyImageStorage,
}
NOT_OF_SINGLE: tuple[str, ...] = (
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "DimensionIndexSequence",
)
NOT_OF_SINGLE += (
    "DimensionOrganizationSequence",
    "DimensionOrganizationType",
    "ConcatenationUID",
    "InConcatenationNumber",
)
OF_THE_PIXELS: tuple[str, ...] = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "IconImageSequence",
)
OF_THE_PIXELS += ("ModalityLUTSequence", "AcquisitionMatrix")
MOST_CODES = 1 << 16


def check_folder(folder: Path, force: bool) -> None:
    """Refuse a folder that holds anything but an earlier series of ours, and that too without `force`."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file, allowed is a folder for a DICOM series")
    held = sorted(folder.iterdir())
    strange = [path.name for path in held if not OWN.fullmatch(path.name)]
    if strange:
        raise InputError(
            f"{folder}: holds {strange[0]}, allowed is a new or an empty folder for a DICOM series"
        )
    if held and not force:
        raise InputError(f"{folder}: holds a series already; --force overwrites it")


def write_series(
    values: np.ndarray,
    affine: np.ndarray,
    places: Places,
    folder: Path,
    how: str,
    thickness_mm: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write `values` (columns, rows, slices) or (..., volumes) of `affine` (voxel to mm, RAS) as one file a slice and volume.

    places: the images that they were made from, by slice and volume. how: what was done, for DerivationDescription.
    thickness_mm: None for the source's own. The folder is new, empty, or holds an earlier series, see `check_folder`; it is
    written whole or not at all. Whole values that fit 16 bits come back exactly, others to half the source's rescale slope.
    """
    if not np.isfinite(values).all():
        raise InputError(f"{folder}: DICOM holds no NaN; --nan zero sets such voxels to 0")
    values = values[..., np.newaxis] if values.ndim == 3 else values
    headers = {
        path: read_dataset(path, stop_before_pixels=True)
        for path in {image.path for place in places for image in place}
    }
    slope, intercept, kind = encoding(values, [image for place in places for image in place])
    modality = str(next(iter(headers.values())).get("Modality", ""))
    common = series_header(values.shape, affine, modality, how, slope, intercept, kind)
    positions = [(LPS_TO_RAS @ affine @ [0, 0, index, 1])[:3] for index in range(values.shape[2])]
    with replacing(folder) as temporary:
        temporary.mkdir()
        for volume in range(values.shape[3]):
            images = [place[volume] for place in places]
            for index, position in enumerate(positions):
                near = sources(images, position)
                made = single_header(headers[near[0].path], near[0])
                made.update(copy.deepcopy(common))
                number = volume * len(positions) + index + 1
                place_header(made, near, headers, position, number, thickness_mm)
                pixels = np.rint((values[:, :, index, volume].astype(np.float64) - intercept) / slope)
                made.add_new("PixelData", "OW", np.ascontiguousarray(pixels.astype(kind).T).tobytes())
                made.save_as(temporary / NAME.format(number), enforce_file_format=True)
        check_folder(folder, overwrite)  # again: another run may have written meanwhile
        if folder.exists():
            remove(folder)


def encoding(values: np.ndarray, images: Iterable[Slice]) -> tuple[float, float, type]:
    """Rescale slope, intercept and type of 16 bits: the source's where it has one and the values fit, else the whole range."""
    low, high = float(values.min()), float(values.max())
    scales = {image.scale for image in images}
    for slope, intercept in (*([next(iter(scales))] if len(scales) == 1 else []), (1.0, 0.0)):
        if slope == 1 and intercept == 0 and not np.array_equal(values, np.rint(values)):
            continue
        first, last = sorted(((low - intercept) / slope, (high - intercept) / slope))
        if first > -0.5 and last < MOST_CODES - 0.5:
            return slope, intercept, np.uint16
        if first >= -MOST_CODES / 2 - 0.5 and last < MOST_CODES / 2 - 0.5:
            return slope, intercept, np.int16
    slope = float(format_number_as_ds((high - low) / (MOST_CODES - 2) or 1.0))
    return slope, float(format_number_as_ds(low)), np.uint16


def series_header(
    shape: tuple[int, ...],
    affine: np.ndarray,
    modality: str,
    how: str,
    slope: float,
    intercept: float,
    kind: type,
) -> Dataset:
    """What all images of the new series have in common."""
    now = datetime.now()
    lps = (LPS_TO_RAS @ affine)[:3, :3]
    sizes = np.linalg.norm(lps, axis=0)
    made = Dataset()
    made.SeriesInstanceUID = generate_uid()
    made.InstanceCreationDate = made.ContentDate = now.strftime("%Y%m%d")
    made.InstanceCreationTime = made.ContentTime = now.strftime("%H%M%S")
    made.Columns, made.Rows = shape[:2]
    made.ImageOrientationPatient = decimals(np.concatenate([lps[:, 0] / sizes[0], lps[:, 1] / sizes[1]]))
    made.PixelSpacing = decimals(sizes[[1, 0]])
    normal = np.cross(lps[:, 0] / sizes[0], lps[:, 1] / sizes[1])
    made.SpacingBetweenSlices = decimals([abs(float(lps[:, 2] @ normal))])[0]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(kind is np.int16)
    if (slope, intercept) != (1, 0) or modality != "MR":
        made.RescaleSlope, made.RescaleIntercept = decimals([slope, intercept])
    made.DerivationDescription = how[:1024]
    made.DerivationCodeSequence = [coded(codes.DCM.SpatialResampling)]
    tool = Dataset()
    tool.Manufacturer, tool.SoftwareVersions = "interslice", __version__
    tool.PurposeOfReferenceCodeSequence = [coded(codes.DCM.ModifyingEquipment)]
    made.ContributingEquipmentSequence = [tool]
    return made


def single_header(source: Dataset, image: Slice) -> Dataset:
    """The header of one source image without what is true of that image's pixels alone."""
    list(source.iterall())  # reads what is still bytes, which may be big endian
    made = Dataset()
    made.update({element.tag: copy.deepcopy(element) for element in source})
    if source.get("PerFrameFunctionalGroupsSequence"):
        frame = list(frame_headers(source))[image.frame]
        made.update({e.tag: copy.deepcopy(e) for e in frame if e.tag.group > 2})
    made.remove_private_tags()
    for key in (*NOT_OF_SINGLE, *OF_THE_PIXELS, "RescaleSlope", "RescaleIntercept"):
        if key in made:
            delattr(made, key)
    for tag in [element.tag for element in made if 0x6000 <= element.tag.group < 0x6100]:  # overlays
        del made[tag]
    made.SOPClassUID = UID(SINGLE.get(class_of(source), class_of(source)))
    return made


def class_of(header: Dataset) -> str:
    """The SOP class of an image; anonymisers may have taken it."""
    return str(header.get("SOPClassUID") or MRImageStorage)


def place_header(
    made: Dataset,
    near: Sequence[Slice],
    headers: Mapping[Path, Dataset],
    position: np.ndarray,
    number: int,
    thickness_mm: float | None,
) -> None:
    """Set what is another for every image: identity, place and sources."""
    made.SOPInstanceUID, made.InstanceNumber = generate_uid(), number
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.ImageType = ["DERIVED", "SECONDARY", *(value for value in near[0].kind if value != "MOSAIC")]
    made.SeriesDescription = f"{near[0].description} interslice"[:64]
    made.SeriesNumber = int(above_zero(made.get("SeriesNumber")) or 0) % 1_000_000 + 1_000_000
    made.ImagePositionPatient = decimals(position)
    made.SliceLocation = decimals([float(position @ np.cross(*near[0].orientation))])[0]
    if thickness_mm is not None:
        made.SliceThickness = decimals([thickness_mm])[0]
    made.SourceImageSequence = [
        reference(image, headers[image.path]) for image in near if "SOPInstanceUID" in headers[image.path]
    ]


def sources(images: Sequence[Slice], position: np.ndarray) -> list[Slice]:
    """The slice at a position, or the two around it, the nearer one first."""
    distances = [float(np.linalg.norm(image.position - position)) for image in images]
    near = sorted(zip(distances, range(len(images)), strict=True))[:2]
    return [images[index] for distance, index in near[: 1 if near[0][0] < SAME_PLACE_MM else 2]]


def reference(image: Slice, header: Dataset) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = class_of(header), header.SOPInstanceUID
    if int(header.get("NumberOfFrames") or 1) > 1:
        made.ReferencedFrameNumber = image.frame + 1
    made.PurposeOfReferenceCodeSequence = [coded(codes.DCM.SourceImageForImageProcessingOperation)]
    return made


def coded(code: Any) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    return made


def decimals(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM's decimal strings, of 16 characters at most."""
    return [format_number_as_ds(float(value)) for value in values]
