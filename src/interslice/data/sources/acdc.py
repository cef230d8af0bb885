"""Source `acdc`: the Automated Cardiac Diagnosis Challenge (MICCAI 2017), short-axis cine MRI.

Layout, at any depth: training/patient001 to 100 and testing/patient101 to 150, each with Info.cfg (ED, ES, Group, Height,
NbFrame, Weight), patientNNN_4d.nii.gz, and patientNNN_frameMM.nii.gz with labels patientNNN_frameMM_gt.nii.gz of ED and ES.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found

# The challenge's training set, which the paper's study is made of; its test set, 101 to 150, is there for lists of subjects.
PATIENTS = 100
# Frames from 20 on have invalid intensities; the paper's code leaves them out.
CUT, CUT_AT = ("patient015", "patient034", "patient045"), 20
COMPANIONS = ("patient*_frame*.nii*", "Info.cfg", "MANDATORY_CITATION.md", "README*")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """All patients, grouped by diagnosis (NOR, MINF, DCM, HCM, RV): numbers run by diagnosis, so splits must not.

    Counts are over patients 1 to 100; a list may name the others.
    """
    found = {}
    for path in sorted(folder.glob("**/patient*/patient*_4d.nii*")):
        match = re.fullmatch(r"(patient(\d{3}))_4d\.nii(\.gz)?", path.name)
        if not match or path.parent.name != match[1] or match[1] in found:
            continue
        info, counted = read_info(path.parent / "Info.cfg"), int(match[2]) <= PATIENTS
        problem = "" if info.get("Group") or not counted else f"no Info.cfg with a Group in {path.parent}"
        stored = info.get("NbFrame", "")
        frames = (0, min(CUT_AT, int(stored)) if stored.isdigit() else CUT_AT) if match[1] in CUT else None
        group = info.get("Group", "")
        found[match[1]] = Found(
            match[1], (path,), group, frames, problem, counted=counted, labels=labels(path)
        )
    return sorted(found.values(), key=lambda one: one.subject)


def labels(cine: Path) -> tuple[tuple[int, Path], ...]:
    """The frames of a patient that come with labels, counted from 0, and the files of these: end diastole and end systole."""
    frames = {}
    for path in sorted(cine.parent.glob(f"{cine.parent.name}_frame*_gt.nii*")):
        if match := re.fullmatch(r".*_frame(\d+)_gt\.nii(\.gz)?", path.name):
            frames[int(match[1]) - 1] = path
    return tuple(sorted(frames.items()))


def read_info(path: Path) -> dict[str, str]:
    """The "key: value" lines of an Info.cfg; empty where there is no such file."""
    if not path.is_file():
        return {}
    lines = [line.partition(":") for line in path.read_text(errors="replace").splitlines()]
    return {key.strip(): value.strip() for key, colon, value in lines if colon}
