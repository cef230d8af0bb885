"""The index: files to Case records, one header read at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.datasets import Case, split_of
from interslice.files import sha256_of
from interslice.volumes import find_slice_axis, load_image


def index_case(path: str | Path, subject: str, dataset: Mapping[str, Any]) -> Case:
    """Read one file's header and checksum. `dataset` is a validated dataset configuration."""
    image = load_image(path)
    x, y, z = (round(float(size), 6) for size in image.header.get_zooms()[:3])
    spacing, shape = (x, y, z), image.shape
    return Case(
        dataset=dataset["name"],
        subject=subject,
        split=split_of(subject, dataset),
        path=str(path),
        frames=shape[3] if len(shape) == 4 else 1,
        shape=(shape[0], shape[1], shape[2]),
        spacing=spacing,
        slice_axis=find_slice_axis(spacing, dataset["slice_axis"]),
        sha256=sha256_of(path),
    )
