"""What counts gave each subject when they were first used: a subject that comes or goes later must move no other."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.index import find_cases
from interslice.data.sources import SPLITS
from interslice.data.sources.registry import DRAWN
from interslice.data.splits import assign_splits, read_split_file


def refuse_moves(dataset: Mapping[str, Any], resources: str | Path, folder: Path) -> None:
    """InputError where the counts of a dataset now put a subject into another split than the record in `folder` has it in."""
    record = record_of(dataset, folder)
    if not record.is_file():
        return
    now, first = counted(dataset, resources), read_split_file(record)
    moved = sorted(subject for subject in first.keys() & now.keys() if now[subject] != first[subject])
    if moved:
        subject = moved[0]
        raise InputError(
            f"dataset {dataset['name']}: key splits: the subjects that are there have changed, and by the counts {len(moved)} "
            f"would change their split ({subject} from {first[subject]} to {now[subject] or 'none'}); write lists of subjects, "
            f"or splits: {{file: COPY}} with a copy of {record}, which says who was where; to assign all anew, delete that file"
        )


def record_splits(dataset: Mapping[str, Any], resources: str | Path, folder: Path) -> None:
    """Write or extend the record of what the counts of a dataset give its subjects; nothing for other kinds of splits."""
    now, record = counted(dataset, resources), record_of(dataset, folder)
    if not now:
        return
    first = read_split_file(record) if record.is_file() else {}
    rows = {**first, **{subject: split for subject, split in now.items() if split}}
    if rows == first:
        return
    with replacing(record) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "split"])
        writer.writerows(sorted(rows.items()))


def record_of(dataset: Mapping[str, Any], folder: Path) -> Path:
    """The record of a dataset and its counts: other counts are another assignment, which somebody wanted."""
    splits = dataset["splits"]
    counts = "-".join(str(splits.get(split)) for split in SPLITS)
    return folder / f"{dataset['name']}_{counts}_{splits.get('order', 'sorted')}.csv"


def counted(dataset: Mapping[str, Any], resources: str | Path) -> dict[str, str]:
    """Every subject that is there to its split by the counts, "" for none.

    Empty where the splits are lists or a file, the source draws its volumes, or the data cannot be used yet: the job that
    indexes them says so.
    """
    splits = dataset["splits"]
    if splits.get("file") or isinstance(splits["test"], list) or dataset["source"] in DRAWN:
        return {}
    try:
        found = find_cases(dataset, resources)
        assigned = assign_splits(found, dataset) if found else {}
    except InputError:
        return {}
    return {one.subject: assigned.get(one.subject, "") for one in found if one.counted}
