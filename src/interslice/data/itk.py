"""NRRD and MetaImage, by SimpleITK, as NIfTI images."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.data.images import LPS_TO_RAS

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")


def has_suffix(path: str | Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file name, not all of it, ends in one of the suffixes, in whatever case."""
    name = Path(path).name.lower()
    return name.endswith(suffixes) and name not in suffixes


def read_itk(path: Path) -> nib.Nifti1Image:
    """Read NRRD or MetaImage; InputError where it is not readable."""
    import SimpleITK as sitk

    try:
        return image_from_itk(sitk.ReadImage(itk_path(path), imageIO=itk_format(path)), str(path))
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{path}: not a readable image ({lines[-1].strip()})") from error


def itk_path(path: Path) -> str:
    """A path for SimpleITK, which ends the whole program at a name that is not UTF-8; InputError for such a one."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: its name is not UTF-8, allowed for this format is one that is") from error
    return str(path)


def itk_format(path: Path) -> str:
    """ITK's name of the format: it does not know suffixes in capitals."""
    return "NrrdImageIO" if has_suffix(path, (".nrrd", ".nhdr")) else "MetaImageIO"


def image_from_itk(image: Any, name: str) -> nib.Nifti1Image:
    """A SimpleITK image of 3 or 4 dimensions, or 3 with several values a voxel, as NIfTI in mm with RAS axes' affine."""
    import SimpleITK as sitk

    dimensions, values = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimensions not in (3, 4):
        raise InputError(f"{name}: found {dimensions}-D data, allowed are 3-D and 4-D images")
    array = sitk.GetArrayFromImage(image)  # counts z, y, x, and the values last
    if values > 1 and (dimensions > 3 or array.dtype == np.uint8):
        raise InputError(f"{name}: found colour voxels ({values} values each), allowed are real numbers")
    data = np.ascontiguousarray(array.transpose(2, 1, 0, 3) if values > 1 else array.T)
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dimensions, dimensions)[:3, :3]
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    found = nib.Nifti1Image(data, LPS_TO_RAS @ affine, dtype=data.dtype)
    found.header.set_xyzt_units("mm", "sec" if data.ndim == 4 else None)
    if dimensions == 4:
        found.header.set_zooms((*found.header.get_zooms()[:3], image.GetSpacing()[3]))
    return found
