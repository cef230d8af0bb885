"""Source `sunnybrook`: the Sunnybrook cardiac data (45 cases), short-axis cine MRI, test data only.

Three layouts are read, at any depth: the atlas archives (SCD0000101/CINESAX_300/*.dcm, with CINELAX, PERF and others beside it;
scd_patientdata.csv says which SC-… a SCD… is), the challenge's of 2009 (SC-HF-I-01/DICOM/*.dcm, contours in folders of the same
names), and the MetaImage stacks of end diastole and end systole with case and phase in their name (SC-HF-I-01_ED.mhd).
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.data.dicom import read_stack
from interslice.data.dicom_headers import Slice
from interslice.data.dicom_series import Series, list_series
from interslice.data.images import is_dicom
from interslice.data.itk import read_itk
from interslice.data.sources import Found

CASE = re.compile(r"SC-(HF-I|HF-NI|HYP|N)-0*(\d{1,2})(?!\d)")
ATLAS_CASE = re.compile(r"SCD\d{7}(?!\d)")
PHASE = re.compile(r"(?<![A-Za-z])(ED|ES)(?![A-Za-z])", re.IGNORECASE)
SHORT_AXIS_FOLDER = "CINESAX"
TABLE = "scd_patientdata.csv"
COMPANIONS = (
    *("*.dcm", "DICOMDIR", "*.raw", "*.zraw", "*contour-manual.txt", "*.csv", "*.txt"),
    *("*.htm", "*.html", "*.pdf"),  # licence and norms of the contours
)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """Every case: its ED and ES stacks where both are there, else the outermost folder of its name that holds DICOM images."""
    stacks: dict[str, dict[str, Path]] = defaultdict(dict)
    folders: dict[str, Path] = {}
    names = original_names(folder)
    for path in sorted(folder.glob("**/*")):
        phase = PHASE.search(path.stem)
        if path.suffix in (".mhd", ".mha") and phase:
            if subject := case_of(path.name, names) or case_of(path.parent.name, names):
                stacks[subject][phase[1].upper()] = path
        elif (
            path.is_dir()
            and (subject := case_of(path.name, names)) not in ("", *folders)
            and holds_dicom(path)
        ):
            folders[subject] = path
    pairs = {subject: (both["ED"], both["ES"]) for subject, both in stacks.items() if len(both) == 2}
    files = {subject: (path,) for subject, path in folders.items()} | pairs
    spacing = tuple(dataset["spacing_mm"] or ())
    cases = [Found(subject, files[subject], group_of(subject), spacing_mm=spacing) for subject in files]
    for subject, one in stacks.items():
        if subject not in files:
            problem = f"only {' and '.join(one)} of ED and ES"
            cases.append(Found(subject, tuple(one.values()), group_of(subject), problem=problem))
    return sorted(cases, key=lambda found: found.subject)


def case_of(name: str, names: Mapping[str, str]) -> str:
    """The case that a name has in it, SC-HF-I-01 or, where no table says which that is, SCD0000101; nothing for other names."""
    if match := CASE.search(name):
        return f"SC-{match[1]}-{int(match[2]):02d}"
    match = ATLAS_CASE.search(name)
    return names.get(match[0], match[0]) if match else ""


def group_of(subject: str) -> str:
    """The pathology in a name: HF-I, HF-NI, HYP or N."""
    match = CASE.search(subject)
    return match[1] if match else ""


def original_names(folder: Path) -> dict[str, str]:
    """SCD0000101 to SC-HF-I-01, from the atlas's table of patients where it lies below the folder."""
    names = {}
    for path in sorted(folder.glob(f"**/{TABLE}")):
        if path.is_file():
            with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
                for row in csv.DictReader(file):
                    names[row.get("PatientID") or ""] = case_of(row.get("OriginalID") or "", {})
    return {name: original for name, original in names.items() if name and original}


def holds_dicom(folder: Path) -> bool:
    """Whether a folder has a DICOM image in it, at any depth: those of contours have text alone."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = any(path.suffix.lower() == ".dcm" for path in files)
    return named or any(is_dicom(path) for path in files if path.suffix in ("", ".ima", ".IMA"))


def convert(found: Found) -> nib.Nifti1Image:
    """The case as one NIfTI: frames ED and ES of MetaImage stacks, all phases of the short-axis DICOM images.

    In-plane and slice spacing are those of the files, or `found.spacing_mm`.
    """
    if found.files[0].is_dir():
        image = read_stack(short_axis(list_series(found.files[0]))).to_nifti()
    else:
        image = join_stacks([read_itk(path) for path in found.files], found.subject)
    if found.spacing_mm:
        in_plane, between = found.spacing_mm
        sizes = nib.affines.voxel_sizes(image.affine)
        wanted = np.where(np.arange(3) == np.argmax(sizes), between, in_plane)
        image = nib.Nifti1Image(image.dataobj, image.affine @ np.diag([*(wanted / sizes), 1.0]), image.header)
    return image


def short_axis(series: Sequence[Series]) -> Series:
    """The largest stack of a case, of the folders named CINESAX where there are any.

    Images are told apart by folder, description, size and orientation, because the atlas has one SeriesInstanceUID for all
    images of a case. Others have one per slice: what is a single slice of the same orientation is merged. Long-axis views have
    one slice, so the short-axis stack is the one with the most slices.
    """
    images = [image for one in series for image in one.slices]
    named = [image for image in images if image.path.parent.name.upper().startswith(SHORT_AXIS_FOLDER)]
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    for image in named or images:
        # Adding 0 turns -0 into 0, which would be another key.
        turned = tuple(image.orientation.ravel().round(2) + 0.0)
        groups[
            image.path.parent, image.group if not named else (), image.description, image.size, turned
        ].append(image)
    candidates = [parts for parts in groups.values() if depths(parts) > 1]
    parallel: dict[object, list[Slice]] = defaultdict(list)
    for key, parts in groups.items():
        if depths(parts) == 1:
            parallel[key[-2:]] += parts
    chosen = max([*candidates, *parallel.values()], key=lambda parts: (depths(parts), len(parts)))
    return Series(series[0].name, tuple(chosen))


def depths(slices: Sequence[Slice]) -> int:
    """How many places along the normal the images have."""
    return len({round(image.depth, 1) for image in slices})


def join_stacks(stacks: Sequence[nib.Nifti1Image], name: str) -> nib.Nifti1Image:
    """Several 3-D images of one geometry as the frames of one; InputError where they differ."""
    first = stacks[0]
    for other in stacks[1:]:
        if first.shape != other.shape or not np.allclose(first.affine, other.affine, atol=0.01):
            raise InputError(
                f"{name}: the ED and ES stacks differ in shape ({first.shape}, {other.shape}) or geometry"
            )
    return nib.Nifti1Image(np.stack([np.asarray(one.dataobj) for one in stacks], axis=3), first.affine)
