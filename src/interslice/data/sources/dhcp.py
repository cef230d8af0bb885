"""Source `dhcp`: the developing Human Connectome Project, neonatal T2-weighted brain MRI in BIDS, releases 1 to 3.

Layout, at any depth: sub-CC*/ses-*/anat/ with sub-CC*_ses-*_T2w.nii.gz and the same image with its bias removed, which is
*_T2w_restore.nii.gz in release 1, perhaps alone, and *_desc-restore_T2w.nii.gz in releases 2 and 3; sub-CC*_sessions.tsv.
"""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found, files_below

NAME = re.compile(r"(sub-CC[A-Za-z0-9]+)_(ses-[A-Za-z0-9]+)(_desc-restore)?_T2w(_restore)?\.nii(\.gz)?")
COMPANIONS = (
    *("*.json", "*.tsv", "*.gii", "*.dlabel.nii", "*.dscalar.nii", "*.pdf", "*.spec", "README*", "CHANGES"),
    *("*_T1w*.nii*", "*_T2w*.nii*", "*mask.nii*", "*dseg.nii*", "*probseg.nii*", "*biasfield*.nii*"),
    *("*_mode-image.nii*", "*_drawem*.nii*", "*_xfm.*"),
)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """The first session of every infant (a repeat scan is no further subject); the native image before the restored.

    First is the smallest scan_number of the infant's sessions.tsv, or where that says none the smallest number in the session's
    name: as text 9300 would come after 10700.
    """
    candidates: dict[str, list[tuple[float, str, bool, Path]]] = defaultdict(list)
    for path in files_below(folder, "**/sub-CC*/ses-*/anat/*_T2w*.nii*"):
        if match := NAME.fullmatch(path.name):
            order = scan_numbers(path.parents[2], match[1]).get(match[2], session_number(match[2]))
            candidates[match[1]].append((order, match[2], bool(match[3] or match[4]), path))
    return [Found(subject, (min(images)[3],)) for subject, images in sorted(candidates.items())]


def session_number(session: str) -> float:
    """The number in ses-NUMBER; infinite for a name without one."""
    digits = re.fullmatch(r"ses-(\d+)", session)
    return float(digits[1]) if digits else math.inf


def scan_numbers(folder: Path, subject: str) -> dict[str, float]:
    """Session to scan_number of SUBJECT_sessions.tsv in a subject's folder, where there is such a file and column.

    Empty where it does not number every session: numbers of scans and of sessions do not mix.
    """
    path = folder / f"{subject}_sessions.tsv"
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = {}
    for row in rows:
        session, number = row.get("session_id") or "", row.get("scan_number") or ""
        if number.isdigit():
            found[f"ses-{session.removeprefix('ses-')}"] = float(number)
    present = {path.name for path in folder.glob("ses-*")}
    return found if present <= set(found) else {}
