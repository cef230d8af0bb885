"""Source `folder`: NIfTI or Analyze files of one's own, 3-D or 4-D, in one folder or in a BIDS tree."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.data.sources import Found, files_below

ENDINGS = (".nii", ".nii.gz", ".hdr")
# Label images of BIDS: nobody means to interpolate them.
LABELS = re.compile(r"_(mask|dseg|probseg|seg|gt|label)$")
COMPANIONS = (
    "*.json",
    "*.tsv",
    "*.bval",
    "*.bvec",
    "*.txt",
    "*.md",
    "README*",
    "CHANGES",
    "LICENSE",
    "*.img",
)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """One case per subject among the files that the dataset's `pattern` matches.

    The subject is the BIDS entity sub-LABEL of a file name, or the whole name without its ending. Raises
    InputError where a subject has several files: a study has one volume per subject, and only the user knows
    which.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder, dataset["pattern"] or "**/*"):
        stem = stem_of(path)
        if stem and not LABELS.search(stem) and "derivatives" not in path.relative_to(folder).parts:
            files[subject_of(stem)].append(path)
    several = {subject: paths for subject, paths in files.items() if len(paths) > 1}
    if several:
        subject, paths = next(iter(several.items()))
        names = ", ".join(str(path.relative_to(folder)) for path in paths[:4])
        raise InputError(
            f"dataset {dataset['name']}: key pattern: found {len(paths)} files of subject {subject} ({names}), allowed is one; "
            'choose with a pattern such as "sub-*/ses-1/anat/*_T2w.nii.gz"'
        )
    frames = tuple(dataset["frames"]) if dataset.get("frames") else None
    return [
        Found(subject, (path,), frames=frames, labels=labels(path, frames))
        for subject, (path,) in sorted(files.items())
    ]


def labels(image: Path, frames: tuple[int, ...] | None) -> tuple[tuple[int, Path], ...]:
    """The label map of an image in a folder images..., in labels... beside it under the same name, as the Medical Segmentation
    Decathlon has them: of the first frame that is used.
    """
    folder = image.parent
    path = folder.with_name(f"labels{folder.name.removeprefix('images')}") / image.name
    found = folder.name.startswith("images") and path.is_file()
    return (((frames or (0,))[0], path),) if found else ()


def stem_of(path: Path) -> str:
    """The name without its image ending, or nothing for a file that is not an image."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if path.name.lower().endswith(ending) and not path.name.startswith("."):
            return path.name[: -len(ending)]
    return ""


def subject_of(stem: str) -> str:
    """The BIDS subject of a file's stem, or the stem; what cannot stand in a file name of ours becomes a hyphen, an accented
    letter the plain one and one of another alphabet its number in Unicode, so that these names stay different."""
    if bids := re.match(r"sub-[A-Za-z0-9]+", stem):
        return bids[0]
    letters = [one for one in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(one)]
    plain = "".join(one if one.isascii() or not one.isalnum() else f"u{ord(one):x}" for one in letters)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain)
