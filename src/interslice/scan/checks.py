"""What is no scan to interpolate: each refused with one sentence that names it."""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError

NAN = ("keep", "zero", "refuse")


def check_there(path: Path) -> None:
    """Refuse a path to nothing, or to a pipe or device."""
    if not (path.is_file() or path.is_dir()):
        found = "is neither a file nor a folder" if path.exists() else "no such file or folder"
        raise InputError(f"{path}: {found}")


def check_one_geometry(name: str, trust: str | None) -> None:
    """Refuse for DICOM what chooses between the geometries of a NIfTI header."""
    if trust is not None:
        raise InputError(
            f"{name}: found --trust for DICOM, whose headers say one geometry; allowed is it for NIfTI"
        )


def check_voxels(name: str, stored: np.ndarray, header: nib.Nifti1Header, nan: str = "keep") -> None:
    """Refuse values that cannot be interpolated, each with one sentence."""
    kind = stored.dtype.kind
    try:
        header.get_xyzt_units()
    except KeyError as error:
        raise InputError(
            f"{name}: found code {error.args[0]} of a unit in the header, which NIfTI has not"
        ) from error
    if nan not in NAN:
        raise InputError(f"nan: found {nan!r}, allowed are {', '.join(NAN)}")
    if stored.dtype.fields:
        raise InputError(
            f"{name}: found colour voxels ({', '.join(stored.dtype.fields)}), allowed are real numbers"
        )
    if kind not in "iufbc":
        raise InputError(f"{name}: found voxels of type {stored.dtype}, allowed are numbers")
    if stored.size == 0:
        raise InputError(
            f"{name}: found an empty image of shape {stored.shape}, allowed are images with voxels"
        )
    if kind in "fc":
        check_finite(stored, name, nan)


def check_finite(stored: np.ndarray, name: str, nan: str) -> None:
    """Refuse infinite voxels, nothing but NaN, and with nan "refuse" any NaN."""
    infinite, absent = int(np.isinf(stored).sum()), int(np.isnan(stored).sum())
    if infinite:
        raise InputError(f"{name}: found {infinite} infinite voxels, allowed are none")
    if absent == stored.size:
        raise InputError(f"{name}: every voxel is NaN, allowed are images with values")
    if absent and nan == "refuse":
        raise InputError(
            f"{name}: found {absent} voxels that are NaN; --nan keep leaves them, --nan zero sets them to 0"
        )


def check_series(name: str, dicom: bool, asked: Mapping[str, object]) -> None:
    """Refuse options, and what they are, that have a meaning for DICOM alone."""
    for option, value in asked.items():
        if value and not dicom:
            raise InputError(f"{name}: is no DICOM series, whose headers --{option} needs")
