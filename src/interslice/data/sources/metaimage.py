"""Source `metaimage`: MetaImage files (.mha, .mhd), one per subject, in a folder or in archives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib

from interslice.data.itk import read_itk
from interslice.data.sources import Found
from interslice.data.sources.folder import subject_of

COMPANIONS = ("*.raw", "*.zraw", "*.csv", "*.json", "*.txt", "*.md")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """One case per file, named by it."""
    paths = sorted(path for path in folder.glob(dataset["pattern"] or "**/*.mh[ad]") if path.is_file())
    return [Found(subject_of(path.stem), (path,)) for path in paths if not path.name.startswith(".")]


def convert(found: Found) -> nib.Nifti1Image:
    """The image as NIfTI, its geometry turned from LPS to RAS."""
    return read_itk(found.files[0])
