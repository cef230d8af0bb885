"""What a BIDS tree says beside its images: which files are ignored, what is known of an image, what belongs to it."""

import fnmatch
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.files import replacing

# Of the acquired slices: not true of slices that are computed.
DROPPED = ("SliceTiming", "SliceEncodingDirection")
COMPANIONS = (
    ".bval",
    ".bvec",
)  # of diffusion images: one entry a volume, which interpolation along slices does not change


def walk(source: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links to folders are followed, each real folder once."""
    seen = set()
    for folder, names, files in os.walk(source, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(files))


def matcher(pattern: str) -> re.Pattern[str]:
    """A glob pattern of relative paths as a regular expression: * within a name, ** over any number of folders."""
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
    return image.with_name(re.sub(r"\.(nii|hdr|img|mgh|mgz)(\.gz)?$", "", image.name) + ending)


def source_metadata(image: Path) -> dict[str, Any]:
    """What the JSON beside an image says and is still true of the interpolated one; nothing where there is none."""
    file = beside(image, ".json")
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
    except (ValueError, OSError) as error:
        raise InputError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: found {type(content).__name__}, allowed is a JSON object")
    return {key: value for key, value in content.items() if key not in DROPPED}


def copy_companions(image: Path, target: Path) -> list[Path]:
    """Copy the files that belong to a diffusion image to the name of the interpolated one; those that were copied."""
    copied = []
    for ending in COMPANIONS:
        if beside(image, ending).is_file() and beside(image, ending) != beside(target, ending):
            with replacing(beside(target, ending)) as temporary:
                shutil.copyfile(beside(image, ending), temporary)
            copied.append(beside(target, ending))
    return copied
