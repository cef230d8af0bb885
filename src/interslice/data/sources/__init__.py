"""Where the volumes come from. Every source finds its cases; the index turns them into Case records; nothing
after the index knows the source.

Adding a source: a file here with `find(folder, dataset) -> list[Found]` and COMPANIONS (names of files that
lie beside the volumes and are not read), a line in SOURCES and its name in
workflow/schemas/dataset.schema.yaml. A source whose files are not NIfTI or Analyze also has `convert(found)
-> Nifti1Image`.
"""

import csv
import dataclasses
import functools
import glob
import importlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interslice.common.files import replacing
from interslice.data.sources.registry import SOURCES

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Found:
    """One subject as its source found it, before any voxel is read.

    files: what the case is read from, one image file or several files or folders. group: stratum of the
    split. frames: first and one past the last frame that the case has of its file, None for all. problem: why
    it cannot be used. split and members: of a source that draws its volumes, which decides the split itself; what
    the volume is drawn from. counted: whether splits by counts have it; lists may name any. spacing_mm: in-plane and
    through-plane, in place of the files', none where theirs are right. labels: frames, counted from 0 in the file, and the
    label maps that an expert drew of them.
    """

    subject: str
    files: tuple[Path, ...]
    group: str = ""
    frames: tuple[int, int] | None = None
    problem: str = ""
    split: str = ""
    members: tuple[int, ...] = ()
    counted: bool = True
    spacing_mm: tuple[float, ...] = ()
    labels: tuple[tuple[int, Path], ...] = ()


@dataclass(frozen=True)
class Excluded:
    """A case, or a frame of one, that is not used, with the reason in one sentence."""

    dataset: str
    subject: str
    path: str
    reason: str


@dataclass(frozen=True)
class Case:
    """One subject's volume.

    shape: (x, y, z) voxels and spacing: mm, both in RAS order. slice_axis: 0, 1 or 2 of RAS. frames: 1 for
    3-D; first_frame: where they begin in the file. trust: what is taken where forms conflict, see `images.voxel_affine`.
    left_out: frames of the file between these that are not used. labels: as in Found, of frames that are used.
    """

    dataset: str
    subject: str
    split: str
    path: str
    frames: int
    first_frame: int
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    slice_axis: int
    sha256: str
    trust: str = ""
    left_out: tuple[int, ...] = ()
    labels: tuple[tuple[int, str], ...] = ()

    @property
    def stop_frame(self) -> int:
        """One past the last frame in the file."""
        return self.first_frame + self.frames + len(self.left_out)


def write_cases(cases: Iterable[Case], path: Path) -> None:
    """Write cases as CSV; several numbers are joined by "x", labels are a JSON object."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Case)])
        writer.writeheader()
        for case in cases:
            row = dataclasses.asdict(case)
            row |= {key: "x".join(map(str, row[key])) for key in ("shape", "spacing", "left_out")}
            writer.writerow(row | {"labels": json.dumps(dict(case.labels))})


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
            int(row["first_frame"]),
            _several(row["shape"], int),
            _several(row["spacing"], float),
            int(row["slice_axis"]),
            row["sha256"],
            row["trust"],
            _several(row["left_out"], int),
            tuple((int(frame), path) for frame, path in json.loads(row["labels"]).items()),
        )
        for row in rows
    ]


def _several(text: str, kind: type) -> Any:
    return tuple(kind(number) for number in text.split("x") if number)


def files_below(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files below a folder that match, sorted, also behind links to folders, each once; none that is hidden (a dot before
    its name) or that a Macintosh added (__MACOSX)."""
    found: dict[tuple[str, str], Path] = {}
    real = functools.cache(os.path.realpath)
    for name in sorted(glob.glob(pattern, root_dir=folder, recursive=True)):
        inner, last = os.path.split(name)
        if "__MACOSX" not in inner.split(os.sep) and os.path.isfile(folder / name):
            found.setdefault((real(folder / inner), last), folder / name)  # links may go round in circles
    return sorted(found.values())


def source_of(dataset: Mapping[str, Any]) -> Any:
    """The module of a dataset's source."""
    return importlib.import_module(SOURCES[dataset["source"]])


def write_excluded(excluded: Iterable[Excluded], path: Path) -> None:
    """Write the cases that are not used as CSV."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Excluded)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(one) for one in excluded)


def read_excluded(path: Path) -> list[Excluded]:
    """Read what `write_excluded` wrote."""
    with open(path, newline="") as file:
        return [Excluded(**row) for row in csv.DictReader(file)]
