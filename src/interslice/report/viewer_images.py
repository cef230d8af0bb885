"""Volumes as 8-bit picture stacks that a browser can scroll: what the page's viewer shows of one subject.

A stack is one WebP file with all slices side by side, row by row. It is for looking: scores are computed on
the float32 volumes, and the error of the packing is measured and told.
"""

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from interslice.common.errors import InputError

QUALITY = 90  # WebP; an error of about 0.007 rms on T1 heads, where interpolation errs by 0.05
SIDE_LIMIT = 16_383  # pixels of a WebP
BASE64 = 4 / 3  # characters of a page per byte
ERROR_PERCENTILE = 99.5  # of the absolute errors, where the scale of the difference maps ends


def quantise(volume: np.ndarray) -> np.ndarray:
    """(slices, rows, columns) in [0, 1] to 8 bit, turned like the figures: for superior, right, anterior, anterior is up."""
    grey = np.rint(np.clip(volume, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(grey, axes=(1, 2)))


def pack(stack: np.ndarray) -> bytes:
    """A stack (slices, height, width) uint8 as one WebP, `sprite_columns` slices to a row."""
    slices, height, width = stack.shape
    columns = sprite_columns(slices)
    rows = -(-slices // columns)
    if max(rows * height, columns * width) > SIDE_LIMIT:
        raise InputError(
            f"stack: {slices} slices of {height} x {width} pixels found, allowed are sprites of {SIDE_LIMIT} pixels a side"
        )
    sheet = np.zeros((rows * columns, height, width), np.uint8)
    sheet[:slices] = stack
    sheet = sheet.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    file = io.BytesIO()
    Image.fromarray(sheet).convert("RGB").save(file, format="webp", quality=QUALITY, method=4)
    return file.getvalue()


def unpack(packed: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The stack (slices, height, width) uint8 that a browser gets from `pack`."""
    slices, height, width = shape
    columns = sprite_columns(slices)
    with Image.open(io.BytesIO(packed)) as image:
        sheet = np.asarray(image.convert("RGB"))[..., 0]
    tiles = sheet.reshape(-1, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)
    return tiles[:slices]


def sprite_columns(slices: int) -> int:
    """Slices to a row of the sprite, about as many as there are rows."""
    return math.ceil(math.sqrt(slices))


def middle_slab(slices: int, factor: int, gaps: int) -> slice:
    """The slices of at most `gaps` whole gaps about the middle of a volume, from a kept slice to a kept slice."""
    whole = (slices - 1) // factor
    gaps = max(1, min(gaps, whole))
    first = (whole - gaps) // 2 * factor
    return slice(first, first + gaps * factor + 1)


def viewer_record(
    volumes: Mapping[str, np.ndarray],
    reference: np.ndarray,
    *,
    factor: int,
    spacing_mm: tuple[float, float, float],
    subject: str,
    title: str,
    opened: tuple[str, str],
    budget: int,
) -> dict[str, Any]:
    """One subject at one K as plain JSON types for the page: packed stacks of the reference and of every method.

    volumes: label to (slices, rows, columns) in [0, 1] of the reference's shape; spacing_mm: (slice, row,
    column) of it. opened: the labels of the two that the viewer begins with. budget: bytes of the page that
    the stacks may take; as many gaps about the middle are shown as fit, at least one. `error_max` is the end
    of the scale of all difference maps, `packing_rms` and `packing_max` the largest error of the packing, all
    in units of the [0, 1] intensities. Raises InputError for a volume of another shape.
    """
    for label, volume in volumes.items():
        if volume.shape != reference.shape:
            raise InputError(
                f"viewer: {label} of shape {volume.shape} found, allowed is the reference's {reference.shape}"
            )
    shown, cut, packed = _fitting({"Reference": reference, **volumes}, factor, budget)
    errors = [unpack(packed[label], stack.shape) - stack.astype(float) for label, stack in cut.items()]
    _, height, width = cut["Reference"].shape
    slice_mm, row_mm, column_mm = spacing_mm
    return {
        "title": title,
        "subject": subject,
        "opened": list(opened),
        "factor": factor,
        "first": shown.start,
        "slices": shown.stop - shown.start,
        "of": len(reference),
        "height": height,
        "width": width,
        "columns": sprite_columns(shown.stop - shown.start),
        "spacing": [slice_mm, column_mm, row_mm],  # slice, height, width: the pictures are turned
        "error_max": error_scale(cut),
        "packing_rms": round(max(float(np.sqrt(np.mean(e**2))) for e in errors) / 255, 4),
        "packing_max": round(max(float(np.abs(e).max()) for e in errors) / 255, 3),
        "stacks": [
            {"label": label, "source": f"data:image/webp;base64,{base64.b64encode(one).decode()}"}
            for label, one in packed.items()
        ],
    }


def _fitting(
    volumes: Mapping[str, np.ndarray], factor: int, budget: int
) -> tuple[slice, dict[str, np.ndarray], dict[str, bytes]]:
    """The most slices about the middle whose stacks take `budget` bytes of a page, the stacks, and these packed."""
    slices = len(volumes["Reference"])
    whole = BASE64 * len(pack(quantise(volumes["Reference"]))) * len(volumes)
    gaps = int(budget * slices / (whole * factor))
    while True:
        shown = middle_slab(slices, factor, gaps)
        gaps = (shown.stop - shown.start) // factor
        cut = {label: quantise(volume[shown]) for label, volume in volumes.items()}
        packed = {label: pack(stack) for label, stack in cut.items()}
        excess = BASE64 * sum(map(len, packed.values())) / budget
        if excess <= 1 or gaps == 1:
            return shown, cut, packed
        gaps = min(gaps - 1, int(gaps / excess))


def error_scale(stacks: Mapping[str, np.ndarray]) -> float:
    """The end of the one scale of the difference maps, in units of intensity, to two digits."""
    reference = stacks["Reference"].astype(np.int16)
    errors = [np.abs(stack - reference).ravel() for label, stack in stacks.items() if label != "Reference"]
    end = float(np.percentile(np.concatenate(errors), ERROR_PERCENTILE)) / 255 if errors else 0.0
    return max(round(end, 2), 0.01)
