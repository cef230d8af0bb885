"""Where the volumes come from. Every source yields files; the index turns them into Case records; nothing after the
index knows the source.
"""

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interslice.errors import InputError
from interslice.files import replacing

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Case:
    """One subject's volume.

    shape: (x, y, z) voxels and spacing: mm, both in RAS order. slice_axis: 0, 1 or 2 of RAS. frames: 1 for 3-D.
    """

    dataset: str
    subject: str
    split: str
    path: str
    frames: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    slice_axis: int
    sha256: str


def write_cases(cases: Iterable[Case], path: Path) -> None:
    """Write cases as CSV; shape and spacing as numbers joined by "x"."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Case)])
        writer.writeheader()
        for case in cases:
            row = dataclasses.asdict(case)
            writer.writerow(row | {key: "x".join(map(str, row[key])) for key in ("shape", "spacing")})


def read_cases(path: Path, split: str | None = None) -> list[Case]:
    """Read the cases of one split (None: of all)."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if split in (None, row["split"])]
    return [
        Case(
            row["dataset"],
            row["subject"],
            row["split"],
            row["path"],
            int(row["frames"]),
            _triple(row["shape"], int),
            _triple(row["spacing"], float),
            int(row["slice_axis"]),
            row["sha256"],
        )
        for row in rows
    ]


def _triple(text: str, kind: type) -> Any:
    return tuple(kind(number) for number in text.split("x"))


def split_of(subject: str, dataset: Mapping[str, Any]) -> str:
    """The split of a subject by the dataset's `splits`; InputError if it is in none."""
    for split in SPLITS:
        if subject in dataset["splits"][split]:
            return split
    raise InputError(
        f"dataset {dataset['name']}: subject {subject} is in none of the splits {', '.join(SPLITS)}"
    )
