"""The index: what a source found becomes Case records and excluded cases, one volume in memory at a time."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import sha256_of, shown
from interslice.data.images import READ_ERRORS, check_gzip, load_image
from interslice.data.labels import read_labels
from interslice.data.sources import Case, Excluded, Found, source_of
from interslice.data.sources.packages import file_name
from interslice.data.splits import assign_splits
from interslice.data.volumes import find_slice_axis, intensity_limits

MIN_SLICES = 3  # so that one can be dropped between two


def folder_of(dataset: Mapping[str, Any], resources: str | Path) -> Path:
    """Where a dataset's files are: its `folder`, or the place in `resources` where rules put what they fetched for it or
    its base.
    """
    if dataset["folder"]:
        return Path(dataset["folder"]).expanduser()
    own = Path(resources) / Path(dataset["base"] or dataset["name"]).stem
    return own / "unpacked" if dataset["archives"] else own


def find_cases(dataset: Mapping[str, Any], resources: str | Path) -> list[Found]:
    """The cases that the dataset's source finds in its folder."""
    return source_of(dataset).find(folder_of(dataset, resources), dataset)


def is_converted(dataset: Mapping[str, Any]) -> bool:
    """Whether the source's own files are first turned into NIfTI."""
    return hasattr(source_of(dataset), "convert")


def input_files(dataset: Mapping[str, Any], resources: str | Path) -> list[str]:
    """What the index (or the conversion) of a dataset reads, for the rules: files, or folders of unpacked
    archives.

    Empty where nothing is there yet: the job then says what to get from where.
    """
    folder = folder_of(dataset, resources)
    if dataset["packages"]:
        return [str(folder / file_name(subject, entry)) for subject, entry in dataset["subjects"].items()]
    if dataset["archives"]:
        return [str(folder / archive) for archive in dataset["archives"]]
    return [str(path) for found in find_cases(dataset, resources) for path in found.files]


def split_files(dataset: Mapping[str, Any], split: str, resources: str | Path) -> list[str]:
    """As input_files, of one split: dataset is `parts.part_of` it. Archives and list files are of all splits."""
    listed = [dataset["splits"]["file"]] if dataset["splits"].get("file") else []
    if dataset["packages"] or dataset["archives"]:
        return listed + input_files(dataset, resources)
    try:
        cases = split_cases(dataset, resources)
    except InputError:  # the job says it
        return listed
    return listed + [str(path) for one, found in cases if one == split for path in found.files]


def split_cases(dataset: Mapping[str, Any], resources: str | Path) -> list[tuple[str, Found]]:
    """(split, case) of every subject of the study, sorted; subjects that a list names and nobody found have a
    problem.

    Raises InputError, with how to get the data, where no case was found.
    """
    found = {one.subject: one for one in find_cases(dataset, resources)}
    if not found:
        raise InputError(how_to_get(dataset, folder_of(dataset, resources)))
    splits = assign_splits(list(found.values()), dataset)
    for subject in {*found, *splits}:
        check_name(subject, dataset)
    missing = f"no file was found in {shown(folder_of(dataset, resources))}"
    cases = [(split, found.get(s, Found(s, (), problem=missing))) for s, split in splits.items()]
    return sorted(cases, key=lambda case: case[1].subject)


def check_name(subject: str, dataset: Mapping[str, Any]) -> None:
    """Refuse a name from the data that could mean more than a name in a path."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", subject):
        raise InputError(
            f"dataset {dataset['name']}: found the subject {subject!r}, allowed are letters, digits, _ and -"
        )


def how_to_get(dataset: Mapping[str, Any], folder: Path) -> str:
    """One sentence: nothing was found; where to get it, which files are expected and where to put them."""
    access = dataset["access"] or {"page": None, "terms": "", "files": "image files"}
    source = f"get the data from {access['page']} ({access['terms']}) and " if access["page"] else ""
    place = shown(folder)
    return f"dataset {dataset['name']}: found no case in {place}; {source}put {access['files']} into {place}"


def index_case(
    case: tuple[str, Found], dataset: Mapping[str, Any], converted: Path | None
) -> list[Case | Excluded]:
    """Read and check one case; Excluded with the reason where it cannot be used, beside it for frames that are left out."""
    split, found = case
    path = found.files[0] if found.files else Path()
    try:
        if found.problem:
            raise InputError(found.problem)
        if converted is not None:
            path = converted_file(converted, found.subject)
        used, bad = read_case(path, found, split, dataset)
        left_out = [
            Excluded(dataset["name"], f"{found.subject} {what}", str(path), bad[what]) for what in bad
        ]
        return [used, *left_out]
    except InputError as error:
        place = str(found.files[0]) if found.files else ""
        return [Excluded(dataset["name"], found.subject, place, str(error))]


def converted_file(folder: Path, subject: str) -> Path:
    """The NIfTI of a converted case; InputError with the conversion's own reason where it failed."""
    reason = folder / f"{subject}.txt"
    if reason.exists():
        raise InputError(reason.read_text().strip())
    return folder / f"{subject}.nii"


def read_case(
    path: Path, found: Found, split: str, dataset: Mapping[str, Any]
) -> tuple[Case, dict[str, str]]:
    """The record of one file, and the frames and labels that are left out of it with why; InputError for a file that is broken
    or odd.

    Bad frames of several are left out where `on_bad_case` says so of cases; bad labels always: few studies ask for them.
    """
    image = load_image(path, dataset.get("trust"))
    check_gzip(path)
    x, y, z = (round(float(size), 6) for size in nib.affines.voxel_sizes(image.affine))
    slice_axis = find_slice_axis((x, y, z), dataset["slice_axis"])
    stored = image.shape[3] if len(image.shape) == 4 else 1
    first, stop = found.frames or (0, stored)
    if not first < stop <= stored:
        raise InputError(f"{path}: found {stored} frames, the frames {first} to {stop - 1} are asked for")
    needed = max([MIN_SLICES, *(factor + 1 for factor in dataset["factors"] or [])])
    if image.shape[slice_axis] < needed:
        raise InputError(f"{path}: found {image.shape[slice_axis]} slices, at least {needed} are needed")
    bad = check_voxels(image, path, first, stop, dataset["intensity"])
    labels, wrong = check_labels(found, path, dataset.get("trust"))
    if bad and (dataset["on_bad_case"] == "stop" or len(bad) == stop - first):
        raise InputError("; ".join(bad.values()))
    case = Case(
        dataset=dataset["name"],
        subject=found.subject,
        split=split,
        path=str(path),
        frames=stop - first - len(bad),
        first_frame=first,
        shape=(image.shape[0], image.shape[1], image.shape[2]),
        spacing=(x, y, z),
        slice_axis=slice_axis,
        sha256=sha256_of_image(path),
        trust=dataset.get("trust") or "",
        left_out=tuple(bad),
        labels=tuple((frame, label) for frame, label in labels if first <= frame < stop and frame not in bad),
    )
    return case, {f"frame {frame}": reason for frame, reason in bad.items()} | wrong


def check_labels(
    found: Found, image: Path, trust: str | None
) -> tuple[list[tuple[int, str]], dict[str, str]]:
    """The label maps of a case that can be used, and of each of the others in words which it is and why it cannot."""
    good, wrong = [], {}
    for frame, path in found.labels:
        try:
            read_labels(path, image, trust)
            good.append((frame, str(path)))
        except InputError as error:
            wrong[f"labels of frame {frame}"] = str(error)
    return good, wrong


def sha256_of_image(path: Path) -> str:
    """Of an image in one file that file's; of a pair such as Analyze's .hdr and .img, of both: equal headers are common."""
    parts = (holder.filename for holder in nib.load(path).file_map.values())
    digests = [sha256_of(Path(part)) for part in dict.fromkeys(parts) if part and Path(part).is_file()]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def check_voxels(
    image: Any, path: Path, first: int, stop: int, intensity: Mapping[str, Any]
) -> dict[int, str]:
    """The frames whose voxels are not finite or have no contrast, with a sentence; InputError for voxels that cannot be read.

    Contrast is between the limits that a frame is scaled by, where each is scaled by its own.
    """
    bad = {}
    for frame in range(first, stop):
        where = f"frame {frame} of {path}" if stop - first > 1 else str(path)
        try:
            data = np.asarray(image.dataobj[..., frame] if len(image.shape) == 4 else image.dataobj)
        except READ_ERRORS as error:
            raise InputError(f"{path}: the voxels cannot be read ({' '.join(str(error).split())})") from error
        if data.dtype.kind not in "iuf":
            raise InputError(f"{where}: found voxels of type {data.dtype}, allowed are grey values")
        try:
            if data.min() == data.max():
                raise InputError(
                    f"{where}: found a constant image (all {data.min():g}), allowed is one with contrast"
                )
            intensity_limits(
                data, intensity if intensity.get("per") == "frame" else {"scaling": "minmax"}, where
            )
        except InputError as error:
            bad[frame] = str(error)
    return bad


def check_copies(cases: Sequence[Case], dataset: Mapping[str, Any]) -> None:
    """Refuse the same volume under two names in two splits: a test subject that a training has seen."""
    owners: dict[tuple[str, int], Case] = {}
    for case in cases:
        # Frames of one file may be cases of their own.
        first = owners.setdefault((case.sha256, case.first_frame), case)
        if first.split != case.split:
            raise InputError(
                f"dataset {dataset['name']}: {first.path} ({first.split}) and {case.path} ({case.split}) are the same file "
                "byte by byte; a volume may be in one split only"
            )
