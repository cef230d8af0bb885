"""Source `acdc`: the Automated Cardiac Diagnosis Challenge (MICCAI 2017), short-axis cine MRI.

Layout, at any depth: training/patient001 to 100 and testing/patient101 to 150, each with Info.cfg (ED, ES, Group, Height,
NbFrame, Weight), patientNNN_4d.nii.gz, and patientNNN_frameMM.nii.gz with labels patientNNN_frameMM_gt.nii.gz of ED and ES.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found, files_below

# The challenge's training set, which the paper's study is made of; its test set, 101 to 150, is there for lists of subjects.
PATIENTS = 100
# Frames from 20 on have invalid intensities; the paper's code leaves them out.
CUT, CUT_AT = ("patient015", "patient034", "patient045"), 20
# A cine, or the labels of one of its frames: end diastole and end systole have them, counted from 1.
IMAGE = re.compile(r"(patient\d{3})_(?:4d|frame(\d+)_gt)\.nii(?:\.gz)?", re.IGNORECASE)
COMPANIONS = ("patient*_frame*.nii*", "Info.cfg", "MANDATORY_CITATION.md", "README*")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """All patients, grouped by diagnosis (NOR, MINF, DCM, HCM, RV): numbers run by diagnosis, so splits must not.

    Files are told by their names, wherever they lie; Info.cfg by the nearest folder with a patient's name. Counts are over
    patients 1 to 100; a list may name the others.
    """
    cines: dict[str, Path] = {}
    labels: dict[str, dict[int, Path]] = defaultdict(dict)
    infos: dict[str, Path] = {}
    for path in files_below(folder):
        if match := IMAGE.fullmatch(path.name):
            subject = match[1].lower()
            if match[2]:
                labels[subject].setdefault(int(match[2]) - 1, path)
            else:
                cines.setdefault(subject, path)
        elif path.name.lower() == "info.cfg":
            names = [
                name.lower() for name in path.parts if re.fullmatch(r"patient\d{3}", name, re.IGNORECASE)
            ]
            infos.setdefault(names[-1] if names else "", path)
    found = []
    for subject, path in sorted(cines.items()):
        info, counted = read_info(infos.get(subject)), int(subject[-3:]) <= PATIENTS
        group, stored = info.get("Group", ""), info.get("NbFrame", "")
        problem = "" if group or not counted else f"no Info.cfg with a Group of {subject} in {folder}"
        frames = (0, min(CUT_AT, int(stored)) if stored.isdigit() else CUT_AT) if subject in CUT else None
        drawn = tuple(sorted(labels[subject].items()))
        found.append(Found(subject, (path,), group, frames, problem, counted=counted, labels=drawn))
    return found


def read_info(path: Path | None) -> dict[str, str]:
    """The "key: value" lines of an Info.cfg; empty where there is no such file."""
    if path is None:
        return {}
    lines = [line.partition(":") for line in path.read_text(errors="replace").splitlines()]
    return {key.strip(): value.strip() for key, colon, value in lines if colon}
