"""Data steps: index, normalise, decimate. A shard is every n-th case of the index; each case is its own file."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interslice.datasets import Case, read_cases, write_cases
from interslice.datasets.index import index_case
from interslice.files import replacing
from interslice.parallel import for_each
from interslice.volumes import decimate, normalise, open_volume, write_volume


def index_dataset(files: Mapping[str, str], dataset: Mapping[str, Any], output: Path, workers: int) -> None:
    """Write the index of `files` (subject to path), sorted by subject."""
    index = functools.partial(_index, dataset=dataset)
    write_cases(for_each(index, sorted(files.items()), workers), output)


def _index(item: tuple[str, str], dataset: Mapping[str, Any]) -> Case:
    subject, path = item
    return index_case(path, subject, dataset)


def shard_of(cases: Sequence[Case], shard: int, shards: int) -> list[Case]:
    """Every `shards`-th case from `shard` on; splits stay spread over the shards."""
    return sorted(cases, key=lambda case: (case.split, case.subject))[shard::shards]


def normalise_shard(index: Path, shard: int, dataset: Mapping[str, Any], output: Path, workers: int) -> None:
    """Write SPLIT/SUBJECT.nii for every case of the shard into the folder `output`."""
    cases = shard_of(read_cases(index), shard, dataset["shards"])
    with replacing(output) as folder:
        for_each(functools.partial(_normalise, dataset=dataset, folder=folder), cases, workers)


def _normalise(case: Case, dataset: Mapping[str, Any], folder: Path) -> None:
    volume = normalise(case.path, case.slice_axis, dataset["intensity"], dataset["crop"]["margin_mm"])
    write_volume(volume, folder / case.split / f"{case.subject}.nii")


def decimate_shard(normalised: Path, factor: int, slice_profile: str, output: Path, workers: int) -> None:
    """Write the low-resolution version of every volume of a normalised shard, in the same layout."""
    files = sorted(normalised.glob("*/*.nii"))
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(
            functools.partial(_decimate, factor=factor, slice_profile=slice_profile, folder=folder),
            files,
            workers,
        )


def _decimate(path: Path, factor: int, slice_profile: str, folder: Path) -> None:
    write_volume(decimate(open_volume(path), factor, slice_profile), folder / path.parent.name / path.name)


def volumes_of(shards: Sequence[Path], split: str) -> dict[str, Path]:
    """Subject to file for one split over all shard folders, sorted by subject."""
    found = [path for shard in shards for path in Path(shard).glob(f"{split}/*.nii")]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}
