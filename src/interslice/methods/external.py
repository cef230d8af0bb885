"""Programs from elsewhere as methods: a command that is run on a file for every volume, in a folder of its own.

A container is such a command too (`docker run`, `apptainer exec`). No shell reads it: it is split into words as a shell
would, and the placeholders in them are filled.
"""

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil

from interslice.common.errors import InputError
from interslice.data.alignment import check_aligned
from interslice.data.images import READ_ERRORS
from interslice.data.volumes import SLAB, output_positions
from interslice.methods.base import Method, Scan
from interslice.methods.conventional import BSpline

THICKNESS = {"gaussian": 1, "slab": SLAB}  # of input slices, of their distance; else that of an output slice
PLACEHOLDERS = ("input", "output", "folder", "factor", "spacing", "thickness")
NEEDED = ("{input}", "{output}")
LOOK_EVERY = 0.2  # seconds, for time and memory


class External(Method):
    """Settings: `command`, `files`, `grid`, `units`, `intensities`, `slice_profile`, `timeout_minutes`, `memory_mb`.

    The input is a float32 NIfTI (rows, columns, slices). grid field_of_view: the output has K times the slices, fine slice k at
    input position (k + 1/2) / K - 1/2. It is brought to the aligned grid by the cubic B-spline, and without a slice profile the
    input slices come back as they were.
    """

    needs_scan = True

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        settings, scan = self.settings, self.scan or Scan.of_pixels(factor)
        low, high = scan.limits if settings["intensities"] == "scan" else (0.0, 1.0)
        affine = scan.affine if settings["units"] == "mm" else Scan.of_pixels(factor).affine
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            given, made = folder / "input.nii", folder / "output.nii"
            voxels = np.moveaxis(volume * np.float32(high - low) + np.float32(low), 0, 2)
            nib.save(nib.Nifti1Image(voxels, affine), given)
            spacing = float(nib.affines.voxel_sizes(affine)[2]) / factor
            thickness = spacing * (THICKNESS.get(settings["slice_profile"], 1 / factor) * factor)
            values = {"input": given, "output": made, "folder": folder, "factor": factor}
            values |= {"spacing": f"{spacing:.6g}", "thickness": f"{thickness:.6g}"}
            words = fill(settings["command"], values, settings["files"])
            run(words, folder, settings["timeout_minutes"], settings["memory_mb"])
            fine = (read_result(made, words[0]) - np.float32(low)) / np.float32(high - low)
        return self.aligned(fine, volume, factor)

    def aligned(self, fine: np.ndarray, volume: np.ndarray, factor: int) -> np.ndarray:
        """(fine slices, rows, columns) of the command on the aligned grid; InputError where it is not on the grid of `grid`."""
        name = f"method {self.settings['label']}"
        if self.settings["grid"] == "field_of_view":
            expected = (len(volume) * factor, *volume.shape[1:])
            if fine.shape != expected or not np.isfinite(fine).all():
                raise InputError(
                    f"{name}: found (slices, rows, columns) {fine.shape}, {np.count_nonzero(~np.isfinite(fine))} voxels not "
                    f"finite; allowed are {expected} finite ones (grid: field_of_view)"
                )
            fine = BSpline({}).interpolate_at(
                fine, (output_positions(len(volume), factor) + 0.5) * factor - 0.5
            )
        check_aligned(fine, volume, factor, name)
        if self.settings["grid"] == "field_of_view" and self.settings["slice_profile"] == "none":
            fine[::factor] = volume
        return fine


def fill(command: str, values: Mapping[str, Any], files: Collection[str]) -> list[str]:
    """The words of a command with its placeholders filled; its program and `files`, from the project on, as absolute paths."""
    words = shlex.split(command)
    words = [
        os.path.abspath(word) if word in files or (index == 0 and "/" in word) else word
        for index, word in enumerate(words)
    ]
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", str(value)) for word in words]
    return words


def check_command(command: str, name: str) -> None:
    """InputError for a command that cannot be split into words, or has not the placeholders that it needs, or unknown ones."""
    try:
        shlex.split(command)
    except ValueError as error:
        raise InputError(f"{name}: key command: found {command!r} ({error})") from error
    unknown = set(re.findall(r"\{(\w+)\}", command)) - set(PLACEHOLDERS)
    missing = [one for one in NEEDED if one not in command]
    if unknown or missing:
        found = f"found {{{unknown.pop()}}}" if unknown else f"found no {missing[0]}"
        allowed = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
        raise InputError(
            f"{name}: key command: {found}, allowed are {allowed}; {' and '.join(NEEDED)} are needed"
        )


def run(words: list[str], folder: Path, minutes: float | None, memory_mb: float | None) -> None:
    """Run a command in a folder; InputError with its last line where it fails, takes too long or too much memory.

    memory_mb: of the command and all that it starts together (MiB, resident); what a container's daemon starts is not seen.
    """
    said = [folder / ".stderr", folder / ".stdout"]
    with open(said[0], "wb") as errors, open(said[1], "wb") as output:
        try:
            process = subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
            )
        except OSError as error:
            raise InputError(f"{words[0]}: cannot be run ({error.strerror})") from error
        try:
            problem = watch(process, minutes, memory_mb)
        finally:
            end(process)
    if problem:
        texts = [file.read_text(errors="replace").strip() for file in said]
        last = next((text.splitlines()[-1] for text in texts if text), "without a word")
        failure = InputError(f"{words[0]}: {problem} ({last.strip()})")
        failure.add_note(texts[0])
        raise failure


def watch(process: subprocess.Popen, minutes: float | None, memory_mb: float | None) -> str:
    """Wait for a command; what was wrong with it, nothing if all went well."""
    started = time.monotonic()
    while True:
        try:
            code = process.wait(LOOK_EVERY)
        except subprocess.TimeoutExpired:
            if minutes is not None and time.monotonic() - started > 60 * minutes:
                return f"took longer than {minutes:g} minutes (timeout_minutes)"
            if memory_mb is not None and memory_of(process) > memory_mb:
                return f"took more than {memory_mb:g} MiB of memory (memory_mb)"
        else:
            return f"stopped with exit code {code}" if code else ""


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """A process that was started here, and all that it has started."""
    try:
        first = psutil.Process(process.pid)
        return [*first.children(recursive=True), first]
    except psutil.NoSuchProcess:
        return []


def memory_of(process: subprocess.Popen) -> float:
    """MiB that a command and all that it has started have in memory."""
    total = 0
    for one in family(process):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total / 1024**2


def end(process: subprocess.Popen) -> None:
    """Kill what is left of a command."""
    if process.poll() is None:
        for one in family(process):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def read_result(path: Path, program: str) -> np.ndarray:
    """(fine slices, rows, columns) float32 that a command wrote as (rows, columns, fine slices)."""
    try:
        image: Any = nib.load(path)
        voxels = image.get_fdata(dtype=np.float32)
        return np.ascontiguousarray(np.moveaxis(voxels.reshape(voxels.shape[:3]), 2, 0))
    except (*READ_ERRORS, IndexError) as error:
        raise InputError(
            f"{program}: left no readable {{output}} ({' '.join(str(error).split())})"
        ) from error


CLASSES = {"external": External}
