"""The pixels of DICOM images, of single ones, enhanced multi-frame objects and Siemens mosaics."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

from interslice.common.errors import InputError
from interslice.common.memory import check_memory
from interslice.data.dicom_headers import UNREADABLE, Slice, read_dataset, shortened

# What a decoder has to know of the pixels.
LAYOUT = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelData",
)  # fmt: skip


def read_data(places: Sequence[Sequence[Slice]]) -> np.ndarray:
    """The grey values (columns, rows, slices, volumes) float32 of sorted images; every file is read once."""
    rows, columns = places[0][0].size
    check_memory(4 * rows * columns * len(places) * len(places[0]), str(places[0][0].path.parent))
    data = np.empty((columns, rows, len(places), len(places[0])), dtype=np.float32)
    files: dict[Path, list[tuple[int, int, Slice]]] = defaultdict(list)
    for index, place in enumerate(places):
        for volume, image in enumerate(place):
            files[image.path].append((index, volume, image))
    for images in files.values():
        for (index, volume, _), pixels in zip(
            images, read_pixels([image for _, _, image in images]), strict=True
        ):
            data[:, :, index, volume] = pixels.T
    return data


def check_layout(dataset: Any) -> None:
    """ValueError where pydicom would take the wrong bits, or the first of more pixels than the header says."""
    stored, high = (int(dataset.get(key) or 0) for key in ("BitsStored", "HighBit"))
    if stored and "HighBit" in dataset and high != stored - 1:
        raise ValueError(f"HighBit {high} of {stored} bits stored, allowed is {stored - 1}")
    frame = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    frames, held = int(dataset.get("NumberOfFrames") or 1), len(dataset.get("PixelData") or b"")
    if held >= (frames + 1) * frame > 0:
        raise ValueError(f"{held} bytes, the header says {frames * frame}")


def pixels_of(image: Slice) -> np.ndarray:
    return next(read_pixels([image]))


def read_pixels(images: Sequence[Slice]) -> Iterator[np.ndarray]:
    """The grey values (rows, columns) float32 of images of one file, rescale slope and intercept applied."""
    path, compressed = images[0].path, False
    try:
        dataset = read_dataset(path)
        compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
        if compressed:
            whole = decoded(dataset)
        else:
            check_layout(dataset)
            whole = dataset.pixel_array
        whole = whole[np.newaxis] if whole.ndim == 2 else whole
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":  # the largest value is black
            top = (1 << int(dataset.BitsStored)) - 1 if not dataset.PixelRepresentation else -1
            whole = top - whole.astype(np.int64)
    except UNREADABLE as error:
        reason = shortened(error)
        if compressed:
            reason = (
                f"compressed as {dataset.file_meta.TransferSyntaxUID.name}; dcm2niix or gdcmconv --raw may"
            )
        raise InputError(f"{path}: the pixels cannot be read ({reason})") from error
    for image in images:
        if image.mosaic:
            row, column = divmod(image.frame, image.mosaic)
            rows, columns = image.size
            pixels = whole[0, row * rows :, column * columns :][:rows, :columns]
        else:
            pixels = whole[image.frame] if image.frame < len(whole) else np.empty((0, 0))
        if pixels.shape != image.size:
            raise InputError(f"{path}: found {pixels.shape} pixels, the header says {image.size}")
        slope, intercept = image.scale
        yield pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def decoded(dataset: Dataset) -> np.ndarray:
    """The stored values (frames, rows, columns) of compressed pixels.

    SimpleITK carries the decoders (JPEG, JPEG-LS, JPEG 2000, RLE) that pydicom leaves to plug-ins. It is given the pixels
    alone: of a whole file it would rescale all frames as the first one.
    """
    alone = Dataset()
    alone.update({dataset[key].tag: dataset[key] for key in LAYOUT if key in dataset})
    alone.PhotometricInterpretation = "MONOCHROME2"
    alone.SOPClassUID, alone.SOPInstanceUID = (
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        generate_uid(),
    )
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels.dcm"
        alone.save_as(file, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
