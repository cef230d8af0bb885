"""Data steps: convert, index, normalise, decimate. A shard is every n-th case of the index; each case is its own file."""

import functools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.common.parallel import for_each
from interslice.data.index import (
    check_complete,
    check_copies,
    find_cases,
    folder_of,
    how_to_get,
    index_case,
    split_cases,
)
from interslice.data.misalignment import misalign
from interslice.data.preprocess import normalise_case
from interslice.data.sources import Case, Excluded, Found, read_cases, source_of, write_cases, write_excluded
from interslice.data.volumes import decimate, open_volume, write_volume


def convert_dataset(dataset: Mapping[str, Any], resources: str, output: Path, workers: int) -> None:
    """Write SUBJECT.nii for every case of a source that is not NIfTI, or SUBJECT.txt with why it cannot be read."""
    found = find_cases(dataset, resources)
    if not found:
        raise InputError(how_to_get(dataset, folder_of(dataset, resources)))
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(functools.partial(_convert, source=source_of(dataset), folder=folder), found, workers)


def _convert(found: Found, source: Any, folder: Path) -> None:
    if found.problem:
        return
    try:
        image = source.convert(found)
    except InputError as error:
        # The index decides whether a case that cannot be read stops the run.
        (folder / f"{found.subject}.txt").write_text(f"{error}\n")
    else:
        nib.save(image, folder / f"{found.subject}.nii")


def index_dataset(
    dataset: Mapping[str, Any],
    resources: str,
    converted: Path | None,
    output: Path,
    excluded: Path,
    workers: int,
) -> None:
    """Write the index and the table of excluded cases, sorted by subject.

    Every case is read once. With `on_bad_case: stop`, cases that cannot be used are all named in one
    InputError.
    """
    cases = split_cases(dataset, resources)
    index = functools.partial(index_case, dataset=dataset, converted=converted)
    outcomes = for_each(index, cases, workers)
    bad = [outcome for outcome in outcomes if isinstance(outcome, Excluded)]
    good = [outcome for outcome in outcomes if isinstance(outcome, Case)]
    if bad and dataset["on_bad_case"] == "stop":
        raise InputError(
            f"dataset {dataset['name']}: {len(bad)} of {len(cases)} cases cannot be used (on_bad_case: leave_out goes on "
            "without them): " + "; ".join(f"{one.subject}: {one.reason}" for one in bad)
        )
    check_complete(good, dataset)
    check_copies(good, dataset)
    write_excluded(bad, excluded)
    write_cases(good, output)


def shard_of(cases: Sequence[Case], shard: int, shards: int) -> list[Case]:
    """Every `shards`-th case from `shard` on; splits stay spread over the shards."""
    return sorted(cases, key=lambda case: (case.split, case.subject))[shard::shards]


def normalise_shard(index: Path, shard: int, dataset: Mapping[str, Any], output: Path, workers: int) -> None:
    """Write SPLIT/SUBJECT.nii for every case of the shard into the folder `output`."""
    cases = shard_of(read_cases(index), shard, dataset["shards"])
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(functools.partial(_normalise, dataset=dataset, folder=folder), cases, workers)


def _normalise(case: Case, dataset: Mapping[str, Any], folder: Path) -> None:
    write_volume(normalise_case(case, dataset), folder / case.split / f"{case.subject}.nii")


def decimate_shard(
    normalised: Path, factor: int, dataset: Mapping[str, Any], output: Path, workers: int
) -> None:
    """Write the low-resolution version of every volume of a normalised shard, in the same layout.

    dataset: `slice_profile`, `slice_shift` and `already_low` of its file; volumes of the splits in the last are taken
    as they are.
    """
    files = sorted(normalised.glob("*/*.nii"))
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(
            functools.partial(_decimate, factor=factor, dataset=dataset, folder=folder),
            files,
            workers,
        )


def _decimate(path: Path, factor: int, dataset: Mapping[str, Any], folder: Path) -> None:
    if path.parent.name in dataset["already_low"]:
        with replacing(folder / path.parent.name / path.name) as temporary:
            shutil.copyfile(path, temporary)
        return
    try:
        low = decimate(open_volume(path), factor, dataset["slice_profile"])
    except InputError as error:
        raise InputError(f"{path.stem}: {error}") from error
    if dataset["slice_shift"]:
        low = misalign(low, path.stem, factor, dataset["slice_shift"])
    write_volume(low, folder / path.parent.name / path.name)


def volumes_of(shards: Sequence[Path], split: str) -> dict[str, Path]:
    """Subject to file for one split over all shard folders, sorted by subject."""
    found = [path for shard in shards for path in Path(shard).glob(f"{split}/*.nii")]
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}
