"""What of a dataset's file makes the volumes of one split, and the record of it that lies beside them.

Folders of volumes are named by it, so that two preprocessings of one dataset, or two choices of its subjects, lie side
by side; and a title, a test subject more or another K leave the training volumes where they are.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.files import write_text
from interslice.data.sources import SPLITS

SOURCE = (
    "source",
    "folder",
    "pattern",
    "on_bad_case",
    "slice_axis",
    "trust",
    "spacing_mm",
    "frames",
)
PREPROCESSING = ("in_plane_mm", "intensity", "crop", "background", "pad_px", "appearance")
DEGRADATION = ("slice_profile", "noise", "slice_shift", "already_low")
RECORD = "made_of.json"


def key_of(content: Any) -> str:
    """Ten hexadecimal digits that stand for plain values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def home_of(dataset: Mapping[str, Any]) -> str:
    """The dataset under whose name its files and the volumes that are made of them lie: itself, or its base, unless it has
    a folder of its own."""
    return Path(dataset["name" if dataset["folder"] else "base"] or dataset["name"]).stem


def part_of(dataset: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The keys that make the normalised volumes of a split: where its subjects come from, which they are, what is done to them.

    A copy of a dataset (`base`) has its base's name here: where it changes none of these keys, they share their volumes.
    Of splits that are lists the split's own: a new test subject is no part of the training volumes. Counts and list
    files say all at once. The factors K count only where a volume that is too short for one is left out.
    """
    splits, subjects = dataset["splits"], dataset["subjects"]
    if isinstance(splits.get(split), list):
        subjects = {name: subjects[name] for name in splits[split] if name in subjects}
        splits = {one: splits[one] if one == split else [] for one in SPLITS}
    return {
        "name": home_of(dataset),
        "base": None,
        **{key: dataset[key] for key in (*SOURCE, *PREPROCESSING)},
        "archives": list(dataset["archives"]),
        "packages": bool(dataset["packages"]),
        "splits": splits,
        "subjects": subjects,
        "factors": dataset["factors"] if dataset["on_bad_case"] == "leave_out" else None,
    }


def low_part_of(dataset: Mapping[str, Any], split: str) -> dict[str, Any]:
    """As part_of for the low-resolution volumes, which K is not a part of: `decimate_shard` is given all but `volumes`."""
    return {
        "volumes": part_of(dataset, split),
        "slice_profile": dataset["slice_profile"],
        "slice_shift": dataset["slice_shift"],
        "noise": dataset["noise"],
        "already_low": split in dataset["already_low"],
    }


def write_record(folder: Path, made_of: str) -> None:
    """Write the digest of the part that the reference volumes are of, into a folder of volumes that were made of them."""
    write_text(json.dumps({"reference": made_of}) + "\n", folder / RECORD)


def read_record(folder: Path) -> str:
    """The digest that `write_record` wrote; InputError where there is none."""
    try:
        return str(json.loads((folder / RECORD).read_text(encoding="utf-8"))["reference"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder}: found no {RECORD} that says what the volumes were made of; let Snakemake make them anew"
        ) from error


def check_same_reference(folders: Iterable[Path]) -> None:
    """Refuse folders of volumes that were not all made of the same subjects with the same preprocessing."""
    first, *others = [(folder, read_record(folder)) for folder in map(Path, folders)]
    for folder, made_of in others:
        if made_of != first[1]:
            raise InputError(
                f"{folder}: its volumes were made of the preprocessing {made_of}, those of {first[0]} of {first[1]}; "
                "allowed are volumes of one preprocessing"
            )
