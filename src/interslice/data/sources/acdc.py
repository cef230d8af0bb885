"""Source `acdc`: the Automated Cardiac Diagnosis Challenge (MICCAI 2017), short-axis cine MRI.

Layout: patientNNN/patientNNN_4d.nii.gz with an Info.cfg (ED, ES, Group, Height, NbFrame, Weight), at any
depth.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found

# The challenge's training set; its test set, patients 101-150, is no part of the paper's study.
PATIENTS = 100
COMPANIONS = ("patient*_frame*.nii*", "Info.cfg", "MANDATORY_CITATION.md", "README*")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """Patients 1 to 100, grouped by diagnosis (NOR, MINF, DCM, HCM, RV): numbers run by diagnosis, so splits must not."""
    found = []
    for path in sorted(folder.glob("**/patient*/patient*_4d.nii*")):
        match = re.fullmatch(r"(patient(\d{3}))_4d\.nii(\.gz)?", path.name)
        if match and path.parent.name == match[1] and 1 <= int(match[2]) <= PATIENTS:
            group = read_info(path.parent / "Info.cfg").get("Group", "")
            problem = "" if group else f"no Info.cfg with a Group in {path.parent}"
            found.append(Found(match[1], (path,), group, problem=problem))
    return found


def read_info(path: Path) -> dict[str, str]:
    """The "key: value" lines of an Info.cfg; empty where there is no such file."""
    if not path.is_file():
        return {}
    lines = [line.partition(":") for line in path.read_text(errors="replace").splitlines()]
    return {key.strip(): value.strip() for key, colon, value in lines if colon}
