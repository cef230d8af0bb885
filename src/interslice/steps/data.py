"""Data steps, each of one split: convert, index, normalise, decimate. A shard is every n-th case; each case is its own file."""

import functools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import nibabel as nib

from interslice.common.errors import InputError
from interslice.common.files import replacing, write_text
from interslice.common.parallel import for_each
from interslice.data.index import (
    check_copies,
    folder_of,
    how_to_get,
    index_case,
    split_cases,
)
from interslice.data.labels import ENDING as LABELS
from interslice.data.labels import labels_of, write_labels
from interslice.data.misalignment import misalign
from interslice.data.parts import read_record, write_record
from interslice.data.perturbations import add_noise
from interslice.data.preprocess import normalise_case
from interslice.data.sources import Case, Excluded, Found, read_cases, source_of, write_cases, write_excluded
from interslice.data.volumes import decimate, open_volume, write_volume


def convert_split(dataset: Mapping[str, Any], split: str, resources: str, output: Path, workers: int) -> None:
    """Write SUBJECT.nii for every case of a source that is not NIfTI, or SUBJECT.txt with why it cannot be read.

    dataset: `parts.part_of` the split, with `access`.
    """
    found = cases_of(dataset, split, resources)
    if not found:
        raise InputError(how_to_get(dataset, folder_of(dataset, resources)))
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(functools.partial(_convert, source=source_of(dataset), folder=folder), found, workers)


def cases_of(dataset: Mapping[str, Any], split: str, resources: str) -> list[Found]:
    """What the source found of the subjects of a split, and of those that it did not find why."""
    return [found for one, found in split_cases(dataset, resources) if one == split]


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


def index_split(
    dataset: Mapping[str, Any],
    split: str,
    resources: str,
    converted: Path | None,
    cases: Path,
    excluded: Path,
    workers: int,
) -> None:
    """Write the index of a split and the table of its excluded cases, sorted by subject.

    dataset: `parts.part_of` the split, with `access`. Every case is read once. With `on_bad_case: stop`, cases that
    cannot be used are all named in one InputError.
    """
    found = [(split, one) for one in cases_of(dataset, split, resources)]
    index = functools.partial(index_case, dataset=dataset, converted=converted)
    outcomes = list(chain.from_iterable(for_each(index, found, workers)))
    bad = [outcome for outcome in outcomes if isinstance(outcome, Excluded)]
    good = [outcome for outcome in outcomes if isinstance(outcome, Case)]
    usable = {case.subject for case in good}
    lost = [one for one in bad if one.subject.split()[0] not in usable]  # of the others a part is left out
    if lost and dataset["on_bad_case"] == "stop":
        raise InputError(
            f"dataset {dataset['name']}: {len(lost)} of {len(found)} cases of split {split} cannot be used (on_bad_case: "
            "leave_out goes on without them): " + "; ".join(f"{one.subject}: {one.reason}" for one in lost)
        )
    if not good:
        raise InputError(f"dataset {dataset['name']}: found no usable case of split {split}")
    write_excluded(bad, excluded)
    write_cases(good, cases)


def check_splits(indexes: Sequence[str], dataset: str, output: Path) -> None:
    """Refuse the same volume in two splits; else write how many cases were compared."""
    cases = [case for index in indexes for case in read_cases(Path(index))]
    check_copies(cases, {"name": dataset})
    write_text(f"{dataset}: no volume of {len(cases)} is in two splits\n", output)


def shard_of(cases: Sequence[Case], shard: int, shards: int) -> list[Case]:
    """Every `shards`-th case from `shard` on, by subject."""
    return sorted(cases, key=lambda case: case.subject)[shard::shards]


def normalise_shard(
    index: Path, shard: int, shards: int, dataset: Mapping[str, Any], made_of: str, output: Path, workers: int
) -> None:
    """Write SUBJECT.nii for every case of the shard into the folder `output`, and the record that they are `made_of`.

    dataset: `parts.PREPROCESSING` of its file.
    """
    cases = shard_of(read_cases(index), shard, shards)
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(functools.partial(_normalise, dataset=dataset, folder=folder), cases, workers)
        write_record(folder, made_of)


def _normalise(case: Case, dataset: Mapping[str, Any], folder: Path) -> None:
    volume = normalise_case(case, dataset)
    write_volume(volume, folder / f"{case.subject}.nii")
    if case.labels:
        write_labels(labels_of(case, volume), volume, folder / f"{case.subject}{LABELS}")


def decimate_shard(
    normalised: Path, factor: int, dataset: Mapping[str, Any], output: Path, workers: int
) -> None:
    """Write the low-resolution version of every volume of a normalised shard, in the same layout.

    dataset: `parts.DEGRADATION` of `parts.low_part_of`; volumes that are low already are
    taken as they are.
    """
    files = list(volumes_of([normalised]).values())
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        for_each(functools.partial(_decimate, factor=factor, dataset=dataset, folder=folder), files, workers)
        write_record(folder, read_record(Path(normalised)))


def _decimate(path: Path, factor: int, dataset: Mapping[str, Any], folder: Path) -> None:
    if dataset["already_low"]:
        with replacing(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
        return
    try:
        low = decimate(open_volume(path), factor, dataset["slice_profile"])
    except InputError as error:
        raise InputError(f"{path.stem}: {error}") from error
    if dataset["slice_shift"]:
        low = misalign(low, path.stem, factor, dataset["slice_shift"])
    if dataset["noise"]:
        low = add_noise(low, path.stem, factor, dataset["noise"])
    write_volume(low, folder / path.name)


def volumes_of(shards: Iterable[str | Path], ending: str = ".nii") -> dict[str, Path]:
    """Subject to file over all shard folders, sorted by subject."""
    found = [path for shard in shards for path in Path(shard).glob(f"*{ending}")]
    return {path.name.removesuffix(ending): path for path in sorted(found, key=lambda path: path.name)}
