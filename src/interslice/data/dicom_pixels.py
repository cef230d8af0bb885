"""The pixels of DICOM images, of single ones, enhanced multi-frame objects and Siemens mosaics."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from interslice.common.errors import InputError
from interslice.common.memory import check_memory
from interslice.data.dicom_headers import Slice, read_dataset
from interslice.data.itk import itk_path

UNREADABLE = (ValueError, AttributeError, RuntimeError, OSError, EOFError, KeyError, NotImplementedError)


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


def check_length(dataset: Any) -> None:
    """ValueError where there are more pixels than the header says: pydicom would take the first of them."""
    frame = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    frames, held = int(dataset.get("NumberOfFrames") or 1), len(dataset.get("PixelData") or b"")
    if held >= (frames + 1) * frame > 0:
        raise ValueError(f"{held} bytes, the header says {frames * frame}")


def pixels_of(image: Slice) -> np.ndarray:
    return next(read_pixels([image]))


def read_pixels(images: Sequence[Slice]) -> Iterator[np.ndarray]:
    """The grey values (rows, columns) float32 of images of one file, rescale slope and intercept applied."""
    path, scaled = images[0].path, False
    try:
        dataset = read_dataset(path)
        scaled = dataset.file_meta.TransferSyntaxUID.is_compressed
        if scaled:
            # SimpleITK carries the decoders (JPEG, JPEG 2000, RLE) that pydicom leaves to plug-ins; it
            # rescales itself.
            whole = sitk.GetArrayFromImage(sitk.ReadImage(itk_path(path)))
        else:
            check_length(dataset)
            whole = dataset.pixel_array
            whole = whole[np.newaxis] if whole.ndim == 2 else whole
            if dataset.get("PhotometricInterpretation") == "MONOCHROME1":  # the largest value is black
                top = (1 << int(dataset.BitsStored)) - 1 if not dataset.PixelRepresentation else -1
                whole = top - whole.astype(np.int64)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        if scaled:
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
        slope, intercept = (1.0, 0.0) if scaled else image.scale
        yield pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)
