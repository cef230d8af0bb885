"""The interpolated volumes that the evaluation kept for people to look at, one subject of each dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from interslice.data.volumes import Volume, open_volume, reference_slices
from interslice.steps.data import volumes_of


def kept_volumes(
    normalised: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    subject: str | None,
    factor: int,
) -> tuple[str, Volume, dict[str, np.ndarray]]:
    """The subject, its reference cut to what factor gives back, and the first frame of every method's volume.

    normalised, interpolated: shard folders of the reference volumes, and method to those of the kept volumes.
    With None the subject is the first that was kept.
    """
    subject = subject or first_kept(interpolated)
    reference = open_volume(volumes_of(normalised, "test")[subject])
    name = f"{subject}.nii"
    volumes = {
        method: open_volume(next(Path(f) / name for f in folders if (Path(f) / name).exists())).data[0]
        for method, folders in interpolated.items()
    }
    return subject, replace(reference, data=reference_slices(reference.data, factor)), volumes


def first_kept(interpolated: Mapping[str, Sequence[Path]]) -> str:
    """The first subject by name among the kept volumes; every method kept the same ones."""
    return min(
        path.stem
        for folders in interpolated.values()
        for folder in folders
        for path in Path(folder).glob("*.nii")
    )
