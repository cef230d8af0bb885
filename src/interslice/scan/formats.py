"""Formats: NRRD and MetaImage by SimpleITK, NIfTI, its pairs and MGH by nibabel; written whole or not at all."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import replacing, unfinished
from interslice.data.images import LPS_TO_RAS
from interslice.data.itk import META, NRRD, add_lines, has_suffix, itk_format, itk_path
from interslice.scan.scans import Scan

NIFTI, MGH, PAIR = (".nii", ".nii.gz"), (".mgz", ".mgh"), (".img", ".hdr")
OUTPUT_SUFFIXES = (*NIFTI, *MGH, ".nrrd", ".mha", ".mhd", *PAIR)
MGH_TYPES = (np.uint8, np.int16, np.int32, np.float32)


def write_scan(scan: Scan, path: str | Path, overwrite: bool = True) -> None:
    """Write in the format of the suffix, whole or not at all; InputError where folder, disk or another file do not allow it."""
    path = Path(path)
    try:
        if has_suffix(path, (*PAIR, ".mhd")):
            write_parts(scan, path, overwrite)
            return
        with replacing(path) as made:
            save(scan, made)
            check_still_absent(path, overwrite)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().split("\n")[-1]
        raise InputError(f"{path}: cannot be written ({reason})") from error


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files that an image is written as: of a format of two, the other one as well."""
    if not has_suffix(path, (*PAIR, ".mhd")):
        return (path,)
    others = {".img": ".hdr", ".hdr": ".img", ".mhd": ".raw"}
    other = others[path.suffix.lower()]
    return path, path.with_suffix(other.upper() if path.suffix.isupper() and other != ".raw" else other)


def check_still_absent(path: Path, overwrite: bool) -> None:
    """Refuse to replace what another run has written since this one began."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: was written by something else meanwhile; --force overwrites it")


def write_parts(scan: Scan, path: Path, overwrite: bool) -> None:
    """A format of two files, header and voxels: the one that is named appears last."""
    with unfinished(path) as folder:
        folder.mkdir()
        save(scan, folder / path.name)
        check_still_absent(path, overwrite)
        written = {part.suffix.lower(): part for part in folder.iterdir()}
        for goal in reversed(parts_of(path)):
            os.replace(written[goal.suffix.lower()], goal)


def save(scan: Scan, path: Path) -> None:
    """Write the format of the suffix."""
    if has_suffix(path, NIFTI):
        nib.save(scan.nifti(), path)
    elif has_suffix(path, PAIR):
        kind = nib.Nifti2Pair if isinstance(scan.header, nib.Nifti2Header) else nib.Nifti1Pair
        pair = kind(scan.stored, scan.affine, scan.header)
        pair.header.set_slope_inter(scan.slope, scan.inter)
        nib.save(pair, path)
    elif has_suffix(path, MGH):
        nib.save(mgh_image(scan), path)
    else:
        write_itk(scan, path)


def in_mm(scan: Scan) -> np.ndarray:
    """Voxel to world in mm, whatever the unit of the scan's header."""
    affine = scan.affine.copy()
    affine[:3] *= scan.unit_mm
    return affine


def intensities(scan: Scan) -> np.ndarray:
    """The values that a format without a scaling of its own holds: as stored where that is what they are, else of
    32 bits, or 64 where they are too large."""
    stored = scan.stored.astype(scan.stored.dtype.newbyteorder("="), copy=False)
    if (scan.slope, scan.inter) == (1, 0):
        return stored
    values = stored * scan.slope + scan.inter
    with np.errstate(over="ignore"):
        small = values.astype(np.complex64 if values.dtype.kind == "c" else np.float32)
    return values if np.isinf(small).any() else small


def mgh_image(scan: Scan) -> nib.MGHImage:
    """MGH knows four types: the first that holds every value; InputError where none does."""
    values = intensities(scan)
    for kind in (values.dtype.type, *MGH_TYPES):
        with np.errstate(over="ignore", invalid="ignore"):
            held = values.astype(kind)
        if kind in MGH_TYPES and np.array_equal(held, values, equal_nan=values.dtype.kind == "f"):
            image = nib.MGHImage(held, in_mm(scan))
            image.header.set_zooms(tuple(scan.spacing_mm) + tuple(1000 * time for time in scan.frame_seconds))
            return image
    raise InputError(f"{scan.name}: MGH files hold no {values.dtype} values; .nii.gz does")


def write_itk(scan: Scan, path: Path) -> None:
    """NRRD or MetaImage, compressed."""
    import SimpleITK as sitk

    values = intensities(scan)
    if values.dtype.kind == "c" and has_suffix(path, META):
        raise InputError(f"{scan.name}: MetaImage files hold no {values.dtype} values; .nii.gz and .nrrd do")
    lines = scan.nrrd if has_suffix(path, NRRD) else ()
    listed = values.ndim == 4 and values.dtype.kind != "c" and any(line.startswith("kinds") for line in lines)
    array = np.moveaxis(values.T, 0, -1) if listed else values.T
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=listed)
    extra = image.GetDimension() - 3
    affine = LPS_TO_RAS @ in_mm(scan)
    sizes = nib.affines.voxel_sizes(affine)
    direction = np.eye(3 + extra)
    direction[:3, :3] = affine[:3, :3] / sizes
    image.SetSpacing([*sizes.tolist(), *(seconds or 1.0 for seconds in scan.frame_seconds[:extra])])
    image.SetOrigin([*affine[:3, 3].tolist(), *([0.0] * extra)])
    image.SetDirection(direction.ravel().tolist())
    compressed = not has_suffix(path, (".mhd",))
    lower = path.with_suffix(path.suffix.lower())  # ITK writes no suffix in capitals
    try:
        sitk.WriteImage(image, itk_path(lower), useCompression=compressed, imageIO=itk_format(path))
        if lines:
            add_lines(lower, lines)
        os.replace(lower, path)
    finally:
        if lower.name != path.name:
            lower.unlink(missing_ok=True)
