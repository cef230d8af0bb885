"""Inputs of a study for methods that run elsewhere, and the check of what they made of them before it is submitted."""

from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.alignment import check_aligned
from interslice.data.volumes import Volume, in_frame_order, open_volume
from interslice.methods.base import Scan
from interslice.methods.precomputed import read_frame
from interslice.report.reader_study import files_of, first_seed

INPUTS, RESULTS = "inputs", "results"
ABOUT = """\
The low-resolution test volumes of the study {study}: inputs/DATASET_KN/SUBJECT.nii.gz, intensities in [0, 1], spacing in mm.

Compute N - 1 slices in every gap between two slices and write results/DATASET_KN/SUBJECT.nii.gz: of n slices (n - 1) N + 1,
output slice iN where input slice i is, everything else as in the input (rows, columns, frames, intensities). Then run

    interslice submit-check FOLDER

with this folder. A study scores the results with a method file:

    method: precomputed
    label: the name in tables
    role: baseline
    learns_from: nothing   # or scan (the input alone), low or high (low- or high-resolution scans of other subjects)
    results: FOLDER/results/{{dataset}}_K{{K}}/{{subject}}.nii.gz
"""


def export_inputs(study: Path, output: Path) -> list[str]:
    """Write the low-resolution test volumes of a study's results into a new folder, without any reference.

    study: results/NAME, of which at least one method was scored. Returns a line for every dataset and K.
    """
    places = sorted(path for path in (study / "score_method").glob("*/K*") if path.is_dir())
    if not places:
        raise InputError(f"{study}: found no results of a study, allowed is results/NAME after a run")
    if output.exists():
        raise InputError(f"{output}: is there already, allowed is a new folder")
    said = []
    with replacing(output) as folder:
        for place in places:
            name = f"{place.parent.name}_{place.name}"
            shards = first_seed(next(iter(sorted(place.glob("*/")))), study.parent.parent)
            lows = files_of([shard["low"] for shard in shards], ".nii")
            (folder / INPUTS / name).mkdir(parents=True)
            for subject, path in sorted(lows.items()):
                nib.save(plain_image(open_volume(path)), folder / INPUTS / name / f"{subject}.nii.gz")
            (folder / RESULTS / name).mkdir(parents=True)
            said.append(f"{name}: {len(lows)} volumes")
        (folder / "README.txt").write_text(ABOUT.format(study=study.name))
    return said


def plain_image(volume: Volume) -> nib.Nifti1Image:
    """A volume as NIfTI that says its geometry and no more: not what of the scan became 0 and 1."""
    array = np.moveaxis(np.asarray(volume.data), (0, 1), (3, volume.slice_axis))
    image = nib.Nifti1Image(array[..., 0] if array.shape[3] == 1 else array, volume.affine)
    image.header.set_dim_info(slice=volume.slice_axis)
    image.header.set_xyzt_units("mm", "sec")
    return image


def submit_check(folder: Path) -> tuple[list[str], int]:
    """Check the results beside the inputs of `export_inputs`: lines for every dataset, K and fault; the number of faults."""
    places = sorted(path for path in (folder / INPUTS).glob("*_K*") if path.is_dir())
    if not places:
        raise InputError(f"{folder}: found no {INPUTS}/DATASET_KN, allowed is a folder of export-inputs")
    lines, faults, good = [], 0, 0
    for place in places:
        factor = int(place.name.rpartition("_K")[2])
        inputs = files_of([place], ".nii.gz")
        there = [folder / RESULTS / place.name]
        found = files_of(there, ".nii") | files_of(there, ".nii.gz")
        results = {subject: found[subject] for subject in inputs if subject in found}
        if not results:
            lines.append(f"{place.name}: nothing submitted")
            continue
        problems = [f"{subject}: no result" for subject in sorted(set(inputs) - set(results))]
        for subject, path in results.items():
            try:
                check_result(path, inputs[subject], factor)
            except InputError as error:
                problems.append(str(error))
        lines.append(f"{place.name}: {len(inputs) - len(problems)} of {len(inputs)} would be scored")
        lines += [f"  {problem}" for problem in problems]
        faults, good = faults + len(problems), good + len(inputs) - len(problems)
    if not good + faults:
        raise InputError(f"{folder}: found no result, allowed are files {RESULTS}/DATASET_KN/SUBJECT.nii.gz")
    return lines, faults


def check_result(path: Path, given: Path, factor: int) -> None:
    """InputError for a result that would not be scored."""
    low = open_volume(given)
    for frame in range(len(low.data)):
        fine = read_frame(
            path, Scan(in_frame_order(low), subject=path.stem, frame=frame, frames=len(low.data))
        )
        check_aligned(fine, low.data[frame], factor, str(path))
