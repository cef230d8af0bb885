"""Which subject is in which split: lists, counts by rule, or a list file. Decided before any file is opened.

A case that turns out to be broken is taken out afterwards, so that it never moves another subject to another
split.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.data.sources import SPLITS, Found

REST = "rest"


def assign_splits(found: Sequence[Found], dataset: Mapping[str, Any]) -> dict[str, str]:
    """Subject to split; a subject that no split has is not in the result, one that was not found may be.

    Raises InputError for a list file that cannot be used, and for counts that are more than the subjects
    found.
    """
    splits = dataset["splits"]
    if any(one.split for one in found):
        return {one.subject: one.split for one in found}
    if splits.get("file"):
        return read_split_file(Path(splits["file"]))
    if isinstance(splits["train"], list):
        return {subject: split for split in SPLITS for subject in splits[split]}
    found = [one for one in found if one.counted]
    order = interleave(found) if splits.get("order") == "grouped" else sorted(one.subject for one in found)
    return count_out(order, {split: splits[split] for split in SPLITS}, dataset["name"])


def declared_splits(dataset: Mapping[str, Any]) -> list[str]:
    """The splits that a dataset's file gives subjects to, before any are found; InputError for an unreadable list file."""
    splits = dataset["splits"]
    if splits.get("file"):
        present = set(read_split_file(Path(splits["file"])).values())
        return [split for split in SPLITS if split in present]
    return [split for split in SPLITS if splits[split]]


def interleave(found: Sequence[Found]) -> list[str]:
    """The subjects, sorted, one of each group in turn, so that any stretch of the list has the groups in proportion."""
    groups: dict[str, list[str]] = defaultdict(list)
    for one in found:
        groups[one.group].append(one.subject)
    ranked = [
        ((rank + 0.5) / len(subjects), group, subject)
        for group, subjects in groups.items()
        for rank, subject in enumerate(sorted(subjects))
    ]
    return [subject for _, _, subject in sorted(ranked)]


def count_out(order: Sequence[str], counts: Mapping[str, int | str], name: str) -> dict[str, str]:
    """The first `train` subjects, the next `validation`, the last `test`; "rest" is what the others leave."""
    wanted = sum(count for count in counts.values() if isinstance(count, int))
    if wanted > len(order):
        raise InputError(
            f"dataset {name}: key splits: found {len(order)} subjects, the counts need {wanted}; "
            "complete the data or lower the counts"
        )
    sizes = {split: len(order) - wanted if count == REST else int(count) for split, count in counts.items()}
    train, validation, test = (sizes[split] for split in SPLITS)
    parts = (order[:train], order[train : train + validation], order[len(order) - test :])
    return {subject: split for split, part in zip(SPLITS, parts, strict=True) for subject in part}


def read_split_file(path: Path) -> dict[str, str]:
    """A CSV file with the columns subject and split; InputError names the line that cannot be used."""
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: the split file cannot be read ({error.strerror})") from error
    assigned: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        subject, split = row.get("subject"), row.get("split")
        if not subject or split not in SPLITS:
            raise InputError(
                f"{path}, line {number}: found {row}, needed are a subject and a split ({', '.join(SPLITS)})"
            )
        if subject in assigned:
            raise InputError(f"{path}, line {number}: subject {subject} is there twice, allowed is one split")
        assigned[subject] = split
    if not assigned:
        raise InputError(f"{path}: found no line, needed are the columns subject and split")
    return assigned
