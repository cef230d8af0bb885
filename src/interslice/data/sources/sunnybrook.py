"""Source `sunnybrook`: the Sunnybrook cardiac data (45 cases), short-axis cine MRI, test data only.

Three layouts are read, at any depth: the atlas archives (SCD0000101/CINESAX_300/*.dcm, with CINELAX, PERF and others beside it;
scd_patientdata.csv says which SC-… a SCD… is), the challenge's of 2009 (SC-HF-I-01/DICOM/*.dcm, contours in folders of the same
names), and the MetaImage stacks of end diastole and end systole with case and phase in their name (SC-HF-I-01_ED.mhd).
"""

import csv
import functools
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
from interslice.data.sources import Found, files_below

CASE = re.compile(r"(?<![A-Za-z])SC[-_ ](HF[-_ ]N?I|HYP|N)[-_ ]0*(\d{1,2})(?!\d)", re.IGNORECASE)
ATLAS_CASE = re.compile(r"SCD\d{7}(?!\d)", re.IGNORECASE)
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
    folders: dict[str, dict[Path, None]] = defaultdict(dict)
    below = files_below(folder)
    names = original_names(below)

    @functools.cache
    def case_folder(parent: Path) -> tuple[str, Path] | None:
        """The case and the outermost folder below `folder` that has its name and holds this one; None where none has one."""
        for place in (*reversed(parent.relative_to(folder).parents), parent.relative_to(folder)):
            if subject := case_of(place.name, names):
                return subject, folder / place
        return None

    for path in below:
        phase = PHASE.search(path.stem)
        if path.suffix in (".mhd", ".mha") and phase:
            if subject := case_of(path.name, names) or case_of(path.parent.name, names):
                stacks[subject][phase[1].upper()] = path
        elif named := case_folder(path.parent):
            subject, place = named
            if place not in folders[subject] and has_image(path):
                folders[subject][place] = None
    spacing = tuple(dataset["spacing_mm"] or ())
    cases = []
    for subject in sorted({*stacks, *(name for name, places in folders.items() if places)}):
        stored, places = stacks[subject], list(folders[subject])
        files, problem = tuple(places[:1]), ""
        if len(stored) == 2:
            files = (stored["ED"], stored["ES"])
        elif not places:
            files, problem = tuple(stored.values()), f"only {' and '.join(stored)} of ED and ES"
        elif len(places) > 1:
            problem = f"found {len(places)} folders of it, {' and '.join(map(str, places))}, allowed is one"
        cases.append(Found(subject, files, group_of(subject), problem=problem, spacing_mm=spacing))
    return cases


def case_of(name: str, names: Mapping[str, str]) -> str:
    """The case that a name has in it, SC-HF-I-01 or, where no table says which that is, SCD0000101; nothing for other names."""
    if match := CASE.search(name):
        return f"SC-{re.sub('[_ ]', '-', match[1]).upper()}-{int(match[2]):02d}"
    match = ATLAS_CASE.search(name)
    return names.get(match[0].upper(), match[0].upper()) if match else ""


def group_of(subject: str) -> str:
    """The pathology in a name: HF-I, HF-NI, HYP or N."""
    match = CASE.search(subject)
    return match[1] if match else ""


def original_names(files: Sequence[Path]) -> dict[str, str]:
    """SCD0000101 to SC-HF-I-01, from the atlas's table of patients where it is among the files.

    Raises InputError for a table without its two columns, and for two patients of one name.
    """
    names: dict[str, str] = {}
    for path in (path for path in files if path.name.lower() == TABLE):
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        rows = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count) if lines else ",")
        if not {"PatientID", "OriginalID"} <= set(rows.fieldnames or ()):
            raise InputError(
                f"{path}: found the columns {rows.fieldnames}, needed are PatientID and OriginalID"
            )
        for row in rows:
            patient, original = (row["PatientID"] or "").strip().upper(), case_of(row["OriginalID"] or "", {})
            if patient and original:
                owner = next((one for one, name in names.items() if name == original), patient)
                if owner != patient:
                    raise InputError(
                        f"{path}: found {owner} and {patient} as {original}, allowed is one of a name"
                    )
                names[patient] = original
    return names


def has_image(path: Path) -> bool:
    """Whether a file is a DICOM image by its name, or by its content where the name says nothing: contours are text alone."""
    ending = path.suffix.lower()
    return ending == ".dcm" or (ending in ("", ".ima") and is_dicom(path))


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
    return Series(str(chosen[0].path.parent), tuple(chosen))


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
