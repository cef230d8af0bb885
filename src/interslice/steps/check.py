"""Check step: for every dataset what is present, missing, corrupt or surplus. No data is fetched, written or changed."""

import functools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TextIO

from interslice.common.errors import InputError
from interslice.common.files import sha256_of, shown, write_text
from interslice.common.parallel import for_each
from interslice.data.download import wanted_of
from interslice.data.index import folder_of, how_to_get, read_case
from interslice.data.sources import SPLITS, Found, files_below, source_of
from interslice.data.sources.registry import DRAWN
from interslice.data.splits import assign_splits

SHOWN = 8  # lines of a list
BY_ITSELF = ": the first run"  # of what is missing, and nobody has to do anything about


def check_data(
    datasets: Mapping[str, Mapping[str, Any]], resources: str, workers: int, output: TextIO, last: Path
) -> None:
    """Print a paragraph per dataset to `output`, and write what is missing and how to get it to the file `last`.

    Raises InputError, after all of them, where something is corrupt or missing that the first run does not get by itself.
    """
    wanting, needed = [], []
    for dataset in datasets.values():
        print(f"\n{dataset['name']}: {dataset['title']}", file=output)
        state = check_dataset(dataset, resources, workers)
        absent = [line for line in state["missing"] if BY_ITSELF not in line]
        needed += last_words(dataset, state, resources)
        if absent or state["corrupt"]:
            wanting.append(f"{dataset['name']} ({len(absent)} missing, {len(state['corrupt'])} corrupt)")
        for heading, lines in state.items():
            print(f"  {heading}: {len(lines)}", file=output)
            for line in lines[:SHOWN] if heading != "present" else []:
                print(f"    {line}", file=output)
            if heading != "present" and len(lines) > SHOWN:
                print(f"    and {len(lines) - SHOWN} more", file=output)
    write_text("\n".join(needed or ["Nothing is missing."]) + "\n", last)
    if wanting:
        raise InputError(f"check_data: not usable as configured: {', '.join(wanting)}")


def last_words(dataset: Mapping[str, Any], state: Mapping[str, list[str]], resources: str) -> list[str]:
    """How many subjects of a dataset cannot be used yet, and what to do about it; nothing where all are there."""
    present = sum(line not in dataset["archives"] for line in state["present"])
    total = subjects_of(dataset)
    if total is None or present >= total:
        return []
    line = f"{dataset['name']}: {total - present} of {total} subjects are missing"
    if state["corrupt"]:
        line += f", {len(state['corrupt'])} of them broken"
    if not state["corrupt"] and all(BY_ITSELF in one for one in state["missing"]):
        return [f"{line}; the first run gets them"]
    access, place = dataset["access"] or {}, shown(folder_of(dataset, resources))
    page = f" from {access['page']} ({access['terms']})" if access.get("page") else ""
    return [f"{line}; get {access.get('files', 'the files')}{page} and put them into {place}"]


def subjects_of(dataset: Mapping[str, Any]) -> int | None:
    """The subjects that a dataset's splits name or count, or that it has when it is complete; None where none of these says."""
    parts = [dataset["splits"].get(split) for split in SPLITS]
    if all(isinstance(part, list) for part in parts):
        return sum(map(len, parts))
    if dataset["expected"]:
        return int(dataset["expected"])
    drawn = dataset["source"] in DRAWN  # its counts are of digits or lines
    return None if drawn or not all(isinstance(part, int) for part in parts) else sum(parts)


def check_dataset(dataset: Mapping[str, Any], resources: str, workers: int) -> dict[str, list[str]]:
    """ "present", "missing", "corrupt" and "surplus" to what there is of each, a line per subject, archive or
    file.

    A present subject's files were read to their end. Surplus are files in the folder that no case is made of,
    and subjects that no split has.
    """
    state: dict[str, list[str]] = {"present": [], "missing": [], "corrupt": [], "surplus": []}
    folder = folder_of(dataset, resources)
    check_archives(dataset, Path(resources), state)
    try:
        found = source_of(dataset).find(folder, dataset)
        splits = assign_splits(found, dataset) if found else {}
    except InputError as error:
        state["corrupt"].append(str(error))
        found, splits = [], {}
    if not found:
        # An archive that a person has to get has a line of its own.
        by_itself = dataset["packages"] or (dataset["archives"] and not folder.exists())
        state["missing"].append(f"cases{BY_ITSELF} makes them" if by_itself else how_to_get(dataset, folder))
    names = {one.subject for one in found}
    state["missing"] += [f"{subject}: no file" for subject in sorted(set(splits) - names)]
    state["surplus"] += [
        f"{one.subject}: in no split" for one in found if one.subject not in splits and one.counted
    ]
    counted = sum(one.counted for one in found)
    if dataset["expected"] and 0 < counted < dataset["expected"]:
        state["missing"].append(f"{dataset['expected'] - counted} of {dataset['expected']} subjects")
    used = [one for one in found if one.subject in splits]
    check = functools.partial(check_case, dataset=dataset)
    for one, (heading, line) in zip(used, for_each(check, used, workers), strict=True):
        state[heading].append(f"{one.subject}: {line}" if line else one.subject)
    state["surplus"] += surplus_files(found, folder, dataset)
    return state


def check_archives(dataset: Mapping[str, Any], resources: Path, state: Mapping[str, list[str]]) -> None:
    """The archives of open data: there, right, or still to be downloaded."""
    for name, remote in dataset["archives"].items():
        path = resources / dataset["name"] / "archives" / name
        if not path.exists():
            state["missing"].append(
                f"{name}{BY_ITSELF} downloads it" if remote["urls"] else f"{name}: put it into {path.parent}"
            )
            continue
        problem = wanted_of(remote).mismatch(path)
        state["corrupt" if problem else "present"].append(f"{name}: {problem}" if problem else name)


def check_case(found: Found, dataset: Mapping[str, Any]) -> tuple[str, str]:
    """The heading of a case and why it is there."""
    absent = [path for path in found.files if not path.exists()]
    if absent:
        return "missing", f"no {absent[0]}" + (f"{BY_ITSELF} fetches it" if dataset["packages"] else "")
    try:
        if found.problem:
            raise InputError(found.problem)
        source = source_of(dataset)
        if hasattr(source, "convert"):
            source.convert(found)
        else:
            _, left_out = read_case(found.files[0], found, "", dataset)
            if left_out:
                raise InputError("; ".join(left_out.values()))
        entry = dataset["subjects"].get(found.subject)
        if entry and (digest := sha256_of(found.files[0])) != entry["sha256"]:
            raise InputError(f"found sha256 {digest}, expected {entry['sha256']}")
    except InputError as error:
        return "corrupt", str(error)
    return "present", ""


def surplus_files(found: Sequence[Found], folder: Path, dataset: Mapping[str, Any]) -> list[str]:
    """Files below the folder that belong to no case and are no known companion of the source."""
    used = {path for one in found for path in (*one.files, *(path for _, path in one.labels))}
    companions = source_of(dataset).COMPANIONS
    return [
        f"{path.relative_to(folder)}: not used"
        for path in files_below(folder)
        if path not in used and not any(fnmatch(path.name.lower(), pattern.lower()) for pattern in companions)
    ]
