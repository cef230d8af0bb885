"""What a BIDS tree says beside its images: which files are ignored, what is known of an image, what belongs to it."""

import fnmatch
import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.files import replacing

# Of the acquired slices: not true of slices that are computed.
DROPPED = ("SliceTiming", "SliceEncodingDirection", "NumberOfSlices", "dcmmeta_shape", "dcmmeta_affine")
SUFFIX = re.compile(r"\.(nii|hdr|img|mgh|mgz|nrrd|nhdr|mha|mhd)(\.gz)?$")  # of the images that are read
GRADIENTS = (".bval", ".bvec")  # one entry a volume, which interpolation along slices does not change


def matcher(pattern: str) -> re.Pattern[str]:
    """A glob pattern of relative paths as a regular expression: * within a name, ** over any number of folders."""
    if pattern.endswith("**"):
        pattern += "/*"
    parts = []
    for part in pattern.split("/"):
        within = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
        parts.append("(?:.*/)?" if part == "**" else within.replace(".*", "[^/]*") + "/")
    return re.compile("".join(parts).removesuffix("/"))


def ignored_patterns(source: Path) -> list[str]:
    """The patterns of .bidsignore, without comments."""
    file = source / ".bidsignore"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def is_ignored(relative: Path, patterns: Sequence[str]) -> bool:
    """Whether a path, or a folder that it is in, matches a pattern of .bidsignore (as of .gitignore)."""
    places = [relative, *relative.parents][:-1]
    for pattern in patterns:
        plain = pattern.rstrip("/")
        for place in places:
            if fnmatch.fnmatch(place.as_posix(), plain.lstrip("/")) or (
                "/" not in plain and fnmatch.fnmatch(place.name, plain)
            ):
                return True
    return False


def beside(image: Path, ending: str) -> Path:
    """The file of an image's name with another ending."""
    return image.with_name(SUFFIX.sub("", image.name) + ending)


def tree_of(path: Path) -> Path | None:
    """The BIDS tree that a path is in or is, None where it is in none."""
    path = path.absolute()
    found = (folder for folder in (path, *path.parents) if (folder / "dataset_description.json").is_file())
    return next(found, None)


def inherited(image: Path, root: Path, ending: str, suffix: str | None = None) -> list[Path]:
    """The files of an ending that hold for an image of a BIDS tree, the nearest last: those of its suffix (or another) in its
    folder and the folders above, up to root, whose entities it has (the inheritance principle); outside a tree the one of its
    name."""
    *entities, own_suffix = SUFFIX.sub("", image.name).split("_")
    above = [folder for folder in (image.parent, *image.parents) if folder == root or root in folder.parents]
    found = []
    for folder in reversed(list(dict.fromkeys(above)) or [image.parent]):
        for file in sorted(folder.glob(f"*{ending}"), key=lambda file: (file.name.count("_"), file.name)):
            *own, kind = file.name.removesuffix(ending).split("_")
            if kind == (suffix or own_suffix) and set(own) <= set(entities) and file.is_file():
                found.append(file)
    return found


def source_metadata(image: Path, root: Path) -> dict[str, Any]:
    """What the JSON files of an image say and is still true of the interpolated one; nothing where there are none."""
    known: dict[str, Any] = {}
    for file in inherited(image, root, ".json"):
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (ValueError, OSError) as error:
            raise InputError(f"{file}: not readable as JSON ({error})") from error
        if not isinstance(content, dict):
            raise InputError(f"{file}: found {type(content).__name__}, allowed is a JSON object")
        known |= content
    return {key: value for key, value in known.items() if key not in DROPPED}


def companions(image: Path, target: Path, root: Path | None = None) -> list[tuple[Path, Path]]:
    """What belongs to an image and holds for the interpolated one, and the name of its copy: its gradients, named as target,
    and in a tree (root) the events of its run, named as they are."""
    pairs = []
    for ending in GRADIENTS:
        held = inherited(image, root, ending) if root else [beside(image, ending)]
        pairs += [(file, beside(target, ending)) for file in held[-1:]]
    for ending in (".tsv", ".json"):
        held = (
            inherited(image, root, ending, "events") if root else []
        )  # which the echoes and parts of a run share
        pairs += [(file, target.with_name(file.name)) for file in held[-1:]]
    return [(file, goal) for file, goal in pairs if file.is_file() and file.resolve() != goal.resolve()]


def copy_companions(image: Path, target: Path, root: Path | None = None) -> list[Path]:
    """Copy the `companions` of an image; the copies."""
    pairs = companions(image, target, root)
    for file, goal in pairs:
        with replacing(goal) as temporary:
            shutil.copyfile(file, temporary)
    return [goal for _, goal in pairs]


def slice_facts(image: Path, spacing_mm: float) -> tuple[float | None, tuple[str, ...]]:
    """SliceThickness in mm of an image's JSON, None where it says none; and what is to be said of the JSON."""
    image = image.absolute()
    try:
        known = source_metadata(image, tree_of(image) or image.parent)
    except InputError as error:
        return None, (f"slice thickness not known: {error}",)
    thickness, stated = (
        float(value)
        if isinstance(value, int | float) and value is not True and 0 < value < math.inf
        else None
        for value in (known.get("SliceThickness"), known.get("SpacingBetweenSlices"))
    )
    if stated is None or abs(stated - spacing_mm) <= max(0.02, 0.02 * spacing_mm):
        return thickness, ()
    remark = f"SpacingBetweenSlices of the JSON says {stated:.4g} mm, the header {spacing_mm:.4g} mm: the header is taken"
    return thickness, (remark,)
