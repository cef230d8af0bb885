"""Dataset files, config/datasets/NAME.yaml: read, completed from their base and the schema's defaults, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.schemas import check, locate, override, read_yaml, relative, with_defaults
from interslice.data.sources import SPLITS
from interslice.data.splits import REST


def load_dataset(entry: str, schema: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Read and check a dataset file; keys that it leaves out are those of its base or get the schema's defaults."""
    path = locate(entry, "datasets", root)
    dataset = read_yaml(path)
    name = relative(path, root)
    if isinstance(dataset.get("base"), str):
        base = load_dataset(dataset["base"], schema, root)
        if dataset.get("folder"):  # files that are there already, in place of the base's archives
            base["archives"] = {}
        dataset = override(base, dataset | {"base": base["base"] or dataset["base"]}, name)
    check(dataset, schema, name)
    dataset = with_defaults(dataset, schema)
    check_source(dataset, name)
    dataset["splits"] = complete_splits(dataset["splits"])
    check_splits(dataset, name)
    return dataset


def check_source(dataset: Mapping[str, Any], name: str) -> None:
    """Refuse keys that do not go together: each source needs its own."""
    needed = {"packages": ("packages", "subjects"), "folder": ("folder",)}.get(dataset["source"], ())
    if dataset["source"] == "folder" and dataset["archives"]:
        needed = ()
    for key in needed:
        if not dataset[key]:
            raise InputError(
                f"{name}: the key {key!r} is missing, source {dataset['source']} needs {' and '.join(needed)}"
            )
    if dataset["folder"] and dataset["archives"]:
        raise InputError(
            f"{name}: found the keys folder and archives, allowed is one: what is there, or what is unpacked"
        )
    for subject, entry in dataset["subjects"].items():
        if entry["package"] not in dataset["packages"]:
            raise InputError(
                f"{name}: key subjects.{subject}.package: found {entry['package']!r}, "
                f"allowed are {', '.join(dataset['packages'])}"
            )
    named = {*dataset["seen"], *(subject for group in dataset["groups"].values() for subject in group)}
    if dataset["subjects"] and (unknown := sorted(named - set(dataset["subjects"]))):
        raise InputError(
            f"{name}: keys groups and seen: found {', '.join(unknown)}, allowed are {', '.join(dataset['subjects'])}"
        )


def complete_splits(splits: Mapping[str, Any]) -> dict[str, Any]:
    """`splits` with no subject in a split that a file leaves out: data to test finished models on have test subjects alone."""
    if splits.get("file"):
        return dict(splits)
    empty: Any = [] if any(isinstance(part, list) for part in splits.values()) else 0
    return {**splits, **{split: splits.get(split, empty) for split in SPLITS}}


def check_splits(dataset: Mapping[str, Any], name: str) -> None:
    """Refuse splits that mix lists, counts and a file, have no test subject, or have a subject twice.

    Whether a study needs the other splits depends on its methods (`config.check_splits_to_train_on`).
    """
    splits = dataset["splits"]
    parts = [splits.get(split) for split in SPLITS]
    kinds = {"lists" if isinstance(part, list) else "counts" for part in parts if part is not None}
    if splits.get("file"):
        kinds.add("a file")
    if len(kinds) > 1:
        raise InputError(
            f"{name}: key splits: found {' and '.join(sorted(kinds))}, allowed is one of lists, counts and a file"
        )
    if parts.count(REST) > 1:
        raise InputError(f"{name}: key splits: found {REST} {parts.count(REST)} times, allowed is once")
    if parts[-1] in ([], 0):
        raise InputError(f"{name}: key splits.test: found no subject, at least 1 is needed")
    check_lists(
        {split: part for split, part in zip(SPLITS, parts, strict=True) if isinstance(part, list)}, name
    )


def check_lists(splits: Mapping[str, list[str]], name: str) -> None:
    """Refuse a subject that is in two splits or twice in one."""
    seen: dict[str, str] = {}
    for split, subjects in splits.items():
        for subject in subjects:
            if subject in seen:
                raise InputError(
                    f"{name}: key splits: subject {subject} is in {seen[subject]} and in {split}, allowed is one split"
                )
            seen[subject] = split
