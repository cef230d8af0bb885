"""Source `dhcp`: the developing Human Connectome Project, neonatal T2-weighted brain MRI in BIDS.

Layout: sub-CC*/ses-*/anat/sub-CC*_ses-*_T2w.nii.gz, at any depth; later releases have it as
*_desc-restore_T2w.nii.gz.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found

NAME = re.compile(r"(sub-CC[A-Za-z0-9]+)_(ses-[A-Za-z0-9]+)(_desc-restore)?_T2w\.nii(\.gz)?")
COMPANIONS = (
    "*.json",
    "*.tsv",
    "*_T1w.nii*",
    "*mask.nii*",
    "*dseg.nii*",
    "*probseg.nii*",
    "README*",
    "CHANGES",
)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """The first session of every infant (a repeat scan is no further subject); the native image before the restored."""
    subjects: dict[str, tuple[str, str, Path]] = {}
    for path in sorted(folder.glob("**/sub-CC*/ses-*/anat/*_T2w.nii*")):
        match = NAME.fullmatch(path.name)
        if match:
            candidate = (match[2], match[3] or "", path)
            subjects[match[1]] = min(subjects.get(match[1], candidate), candidate)
    return [Found(subject, (path,)) for subject, (_, _, path) in sorted(subjects.items())]
