"""ECLARE (S. W. Remedios et al.), the successor of SMORE, as an external peer: a command that trains on the scan it is given.

It is a program of its own, under the GPL-3.0, in an environment of its own (`make eclare`). Nothing of it is imported: it
is run as a person would run it, on a NIfTI file, and its result is read back.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.data.images import READ_ERRORS
from interslice.data.volumes import output_positions
from interslice.methods.base import Method
from interslice.methods.conventional import BSpline

# ECLARE seeds torch alone; what it draws with Python and numpy is seeded here, before it starts.
SEEDING = "import random, numpy\nrandom.seed({seed})\nnumpy.random.seed({seed})\n"
# Mixed precision, which the program itself turns on for a GPU alone. It holds for the patches that it prepares, too.
BFLOAT16 = (
    "import torch\ntorch.set_autocast_dtype('cpu', torch.bfloat16)\ntorch.set_autocast_enabled('cpu', True)\n"
)


class Eclare(Method):
    """Settings: `command`, `optional`, `slice_profile`, `patches`, `batch`, `gpu`, `cpu_precision`, `threads`,
    `seed`.

    Its output keeps the field of view: fine slice k lies at input position (k + 1/2) / K - 1/2. It is brought to the aligned
    grid by the cubic B-spline, which for even K is half a fine slice from every slice of its own and costs some sharpness.
    Without a slice profile the input slices come back as they were.
    """

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            # Pixels of 1 mm, slices K mm apart: the command takes the factor from the spacing.
            given = nib.Nifti1Image(np.moveaxis(volume, 0, 2), np.diag([1.0, 1.0, factor, 1.0]))
            nib.save(given, folder / "scan.nii")
            self.run(folder, factor)
            fine, affine = read_result(folder / "scan_eclare.nii", volume.shape, self.settings["command"])
        # Where the output slices of the aligned grid lie, in fine slices: from the affine that the command wrote.
        positions = (output_positions(len(volume), factor) * factor - affine[2, 3]) / affine[2, 2]
        result = BSpline({}).interpolate_at(fine, positions)
        if self.settings["slice_profile"] == "none":
            result[::factor] = volume
        return result

    def run(self, folder: Path, factor: int) -> None:
        """Run the command on folder/scan.nii; InputError with its last words where it is missing or fails."""
        settings = self.settings
        command = shutil.which(settings["command"])
        if command is None:
            raise InputError(
                f"method eclare: found no command {settings['command']}; install it (`make eclare`) or leave the method out"
            )
        before = SEEDING.format(seed=settings["seed"])
        if settings["gpu"] is None and settings["cpu_precision"] == "bfloat16":
            before += BFLOAT16
        (folder / "sitecustomize.py").write_text(before)
        words = [command, "--in-fpath", folder / "scan.nii", "--out-dir", folder]
        words += ["--n-patches", settings["patches"], "--batch-size", settings["batch"]]
        words += ["--gpu-id", -1 if settings["gpu"] is None else settings["gpu"]]
        thickness = {"none": 1, "gaussian": factor, "estimated": None}[settings["slice_profile"]]
        if thickness is not None:
            words += ["--relative-slice-thickness", thickness]
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "OMP_NUM_THREADS": str(settings["threads"]),
            "MPLBACKEND": "agg",
        }
        try:
            run = subprocess.run(
                [str(word) for word in words],
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise InputError(f"method eclare: {command} cannot be run ({error.strerror})") from error
        if run.returncode:
            said = (run.stderr.strip() or run.stdout.strip() or "without a word").splitlines()[-1]
            failure = InputError(f"method eclare: {command} stopped with exit code {run.returncode} ({said})")
            failure.add_note(run.stderr)
            raise failure


def read_result(path: Path, shape: tuple[int, ...], command: str) -> tuple[np.ndarray, np.ndarray]:
    """(fine slices, rows, columns) float32 that the command wrote for slices of `shape`, and its affine."""
    try:
        image: Any = nib.load(path)
        fine = np.moveaxis(image.get_fdata(dtype=np.float32), 2, 0)
    except READ_ERRORS as error:
        raise InputError(f"method eclare: {command} left no readable {path.name} ({error})") from error
    if fine.shape[1:] != shape[1:] or not np.isfinite(fine).all():
        raise InputError(
            f"method eclare: {command} left slices of {fine.shape[1:]} pixels, {np.count_nonzero(~np.isfinite(fine))} of "
            f"them not finite; allowed are finite ones of {shape[1:]}"
        )
    return np.ascontiguousarray(fine), image.affine


CLASSES = {"eclare": Eclare}
