"""Source `sunnybrook`: the Sunnybrook cardiac data (45 cases), short-axis cine MRI, test data only.

Two layouts are read, at any depth: a folder per case (SC-HF-I-1, SC-HF-NI-03, SC-HYP-01, SC-N-02, ...) with
its DICOM files, or the MetaImage stacks of end diastole and end systole with case and phase in their name
(SC-HF-I-01_ED.mhd).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from interslice.common.errors import InputError
from interslice.data.dicom import LPS_TO_RAS, read_stack
from interslice.data.dicom_headers import Slice
from interslice.data.dicom_series import Series, list_series
from interslice.data.sources import Found

CASE = re.compile(r"SC-(HF-I|HF-NI|HYP|N)-0*(\d{1,2})(?!\d)")
PHASE = re.compile(r"(?<![A-Za-z])(ED|ES)(?![A-Za-z])", re.IGNORECASE)
COMPANIONS = (
    "*.dcm",
    "*.raw",
    "*.zraw",
    "*-icontour-manual.txt",
    "*-ocontour-manual.txt",
    "*.csv",
    "*.txt",
    "DICOMDIR",
)


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """Every case: its ED and ES stacks where both are there, else its outermost folder, to be read as DICOM."""
    stacks: dict[str, dict[str, Path]] = defaultdict(dict)
    folders: dict[str, Path] = {}
    for path in sorted(folder.glob("**/*")):
        case = CASE.search(path.name)
        if case is None:
            case = CASE.search(path.parent.name)
        if case is None:
            continue
        subject = f"SC-{case[1]}-{int(case[2]):02d}"
        phase = PHASE.search(path.stem)
        if path.suffix in (".mhd", ".mha") and phase:
            stacks[subject][phase[1].upper()] = path
        elif path.is_dir() and CASE.fullmatch(path.name):
            folders.setdefault(subject, path)
    pairs = {subject: (both["ED"], both["ES"]) for subject, both in stacks.items() if len(both) == 2}
    files = {subject: (path,) for subject, path in folders.items()} | pairs
    incomplete = {subject: f"only {' and '.join(one)} of ED and ES" for subject, one in stacks.items()}
    cases = [Found(subject, files[subject], group=subject[3:-3]) for subject in files]
    cases += [
        Found(s, tuple(stacks[s].values()), s[3:-3], problem=incomplete[s]) for s in stacks if s not in files
    ]
    return sorted(cases, key=lambda found: found.subject)


def convert(found: Found) -> nib.Nifti1Image:
    """The case as one NIfTI: frames ED and ES of MetaImage stacks, all phases of a DICOM series."""
    if found.files[0].is_dir():
        return read_stack(short_axis(list_series(found.files[0]))).to_nifti()
    return join_stacks([read_metaimage(path) for path in found.files], found.subject)


def short_axis(series: Sequence[Series]) -> Series:
    """The largest stack of a case; scanners store it as one series or as one per slice, which are merged
    here.

    Long-axis views have one slice, so the short-axis stack is the one with the most slices.
    """
    candidates = [one for one in series if depths(one.slices) > 1]
    parallel: dict[tuple[float, ...], list[Series]] = defaultdict(list)
    for one in series:
        if depths(one.slices) == 1:
            # Adding 0 turns -0 into 0, which would be another key.
            parallel[tuple(one.slices[0].orientation.ravel().round(2) + 0.0)].append(one)
    for parts in parallel.values():
        candidates.append(Series(parts[0].name, tuple(image for part in parts for image in part.slices)))
    return max(candidates, key=lambda one: (depths(one.slices), len(one.slices)))


def depths(slices: Sequence[Slice]) -> int:
    """How many places along the normal the images have."""
    return len({round(image.depth, 1) for image in slices})


def read_metaimage(path: Path) -> nib.Nifti1Image:
    """A 3-D MetaImage with its geometry turned from LPS to RAS."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path}: not a readable MetaImage ({str(error).strip().splitlines()[-1]})"
        ) from error
    if image.GetDimension() != 3:
        raise InputError(f"{path}: found {image.GetDimension()} dimensions, allowed are 3")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return nib.Nifti1Image(sitk.GetArrayFromImage(image).astype(np.float32).T, LPS_TO_RAS @ affine)


def join_stacks(stacks: Sequence[nib.Nifti1Image], name: str) -> nib.Nifti1Image:
    """Several 3-D images of one geometry as the frames of one; InputError where they differ."""
    first = stacks[0]
    for other in stacks[1:]:
        if first.shape != other.shape or not np.allclose(first.affine, other.affine, atol=0.01):
            raise InputError(
                f"{name}: the ED and ES stacks differ in shape ({first.shape}, {other.shape}) or geometry"
            )
    return nib.Nifti1Image(np.stack([np.asarray(one.dataobj) for one in stacks], axis=3), first.affine)
