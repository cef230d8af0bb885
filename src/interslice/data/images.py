"""Image files, opened and checked in one way for the subjects of a study and for a person's own scan.

What a header says of the grid is read here alone: units, forms (sform, qform) and their codes, and pixdim.
"""

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
from nibabel.minc1 import MincError
from nibabel.parrec import PARRECError
from nibabel.spatialimages import HeaderDataError, SpatialImage

from interslice.common.errors import InputError

MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # of DICOM and ITK, to RAS
TRUSTED = ("sform", "qform", "pixdim")
SAME_SIZE = 0.01  # of a voxel: forms that differ by less say the same
GZIP_START = b"\x1f\x8b"
GZIP_MOST = 1032  # deflate cannot shrink data further than this
# What nibabel, gzip and numpy raise for a file that is missing, cut, not what its name says, or of a library that is not there.
READ_ERRORS = (
    ImageFileError, HeaderDataError, MGHError, MincError, PARRECError, OSError, EOFError, ValueError, TypeError,
    ArithmeticError, LookupError, AttributeError, ImportError, zlib.error, struct.error, ExpatError,
)  # fmt: skip
FORM_CODES = range(6)  # of NIfTI, which say what a form is


def open_image(path: str | Path) -> SpatialImage:
    """Open an image of any format that nibabel reads, as it is stored; no voxel is read yet.

    Raises InputError where it is no readable image of 3 or 4 dimensions, where nibabel would silently mend the voxel sizes, and
    where the header promises more voxels than the file can hold.
    """
    with readable(path):
        check_packed(Path(path))
        image = nib.load(path)
        shape = getattr(image, "shape", ())
        if not isinstance(image, SpatialImage):
            raise InputError(f"{path}: found {type(image).__name__}, allowed are 3-D and 4-D volumes")
        if len(significant(shape)) not in (3, 4) or 0 in shape:
            raise InputError(
                f"{path}: found {len(shape)}-D data of shape {tuple(shape)}, allowed are 3-D and 4-D volumes"
            )
        check_header(image, Path(path))
        return image


def check_packed(path: Path) -> None:
    """Refuse a file whose name and content say differently whether it is compressed."""
    with open(path, "rb") as file:
        start = file.read(len(GZIP_START))
    packed = start == GZIP_START
    suffix = path.suffix.lower()
    if packed and suffix not in (".gz", ".mgz"):
        raise InputError(
            f"{path}: is compressed by gzip, which its name does not say; rename it to {path.name}.gz"
        )
    if start and not packed and suffix == ".gz":
        raise InputError(
            f"{path}: not a readable image (not compressed by gzip, which its name says; an uncompressed image is {path.stem})"
        )


def load_image(path: str | Path, trust: str | None = None) -> SpatialImage:
    """Open an image file with RAS axes and an affine in mm; trust and InputError as in `voxel_affine` and `open_image`."""
    image = open_image(path)
    affine = affine_mm(image, str(path), trust)
    if not np.array_equal(affine, image.affine):
        header = image.header.copy()
        if isinstance(header, nib.Nifti1Header):
            header.set_xyzt_units("mm", header.get_xyzt_units()[1])
        image = type(image)(image.dataobj, affine, header, file_map=image.file_map)
    with readable(path, "the voxels cannot be read"):  # turning the axes reads them
        while len(image.shape) > 4:
            image = image.slicer[..., 0]
        return nib.as_closest_canonical(image)


def affine_mm(image: SpatialImage, name: str, trust: str | None = None) -> np.ndarray:
    """Voxel to world in mm, 4x4; trust and InputError as in `voxel_affine`."""
    affine = voxel_affine(image, name, trust)
    affine[:3] *= unit_mm(image)
    return affine


def significant(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the axes of length 1 that some programs write after the fourth."""
    kept = len(shape)
    while kept > 4 and shape[kept - 1] == 1:
        kept -= 1
    return tuple(shape[:kept])


def is_dicom(path: str | Path) -> bool:
    """Whether a file has DICOM's preamble, or begins as one without it."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM" or begins_bare(path)


def begins_bare(path: str | Path) -> bool:
    """Whether a file begins with an element of group 2 or 8 (little endian), as old archives write DICOM."""
    with open(path, "rb") as file:
        start = file.read(4)
    return len(start) == 4 and start[0] in (2, 8) and start[1] == 0 and start[3] == 0


@contextmanager
def readable(path: str | Path, what: str = "not a readable image") -> Iterator[None]:
    """Any error of a reader becomes one sentence; nibabel's own remarks about a header are not repeated."""
    logger = logging.getLogger("nibabel.global")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: {what} ({reason.removeprefix(str(path)).strip()})") from error
    finally:
        logger.setLevel(level)


def check_header(image: SpatialImage, path: Path) -> None:
    """Refuse a header that nibabel would silently mend, or that has more voxels than the file can hold."""
    header = stored_header(image)
    for form in ("sform", "qform"):  # nibabel takes an unknown code for "not set", and the form with it
        if isinstance(header, nib.Nifti1Header) and (code := int(header[f"{form}_code"])) not in FORM_CODES:
            raise InputError(f"{path}: found {form}_code {code} in the header, allowed are 0 to 5")
    sizes = header["pixdim"][1:4] if isinstance(header, nib.AnalyzeHeader) else header.get_zooms()[:3]
    spacing = np.array([float(size) for size in sizes])
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(
            f"{path}: found voxel sizes {spacing.tolist()} in the header, allowed are numbers above 0"
        )
    if not np.isfinite(image.affine).all():
        raise InputError(f"{path}: the affine holds numbers that are not finite")
    source = image.file_map["image"].filename
    if not isinstance(image, nib.AnalyzeImage) or source is None or image.get_data_dtype().fields:
        return
    check_held(path, image.shape, bytes_of(image), Path(source), str(source).lower().endswith("gz"))


def check_held(
    path: Path, shape: tuple[int, ...], promised: int, voxels: Path, compressed: bool = False, start: int = 0
) -> None:
    """Refuse a header that promises more bytes than the file of its voxels can hold, from `start` on."""
    held = (voxels.stat().st_size - start) * (GZIP_MOST if compressed else 1)
    if promised > held:
        size = "x".join(map(str, shape))
        raise InputError(
            f"{path}: found {size} voxels in the header ({promised} bytes), the file holds at most {held}"
        )


def bytes_of(image: SpatialImage) -> int:
    """What the voxels take in memory as they are stored."""
    return int(np.prod(image.shape, dtype=object)) * int(image.get_data_dtype().itemsize)


def stored_header(image: SpatialImage) -> Any:
    """The header as the file has it: of the family of Analyze and NIfTI nibabel silently mends some fields."""
    holder = image.file_map.get("header", image.file_map["image"])
    if not isinstance(image.header, nib.AnalyzeHeader) or holder.filename is None:
        return image.header
    with holder.get_prepare_fileobj("rb") as file:
        return type(image.header).from_fileobj(file, check=False)


def check_gzip(path: str | Path) -> None:
    """`check_deflated` where the name says that a file is compressed: nibabel stops at the last voxel."""
    if Path(path).name.lower().endswith("gz"):
        check_deflated(path)


def check_deflated(path: str | Path, start: int = 0, voxels: str | Path | None = None) -> int:
    """Read what is compressed, from a byte of a file (of the voxels, else the image's own) on, to its end, where the checksum
    is; the bytes that it holds. InputError where it is cut or damaged.

    What follows a whole member and is none itself, as copies from tapes and disks have it, is passed over as gunzip does.
    """
    held = 0
    with readable(path), open(voxels or path, "rb") as file:
        file.seek(start)
        left, first = file.read(1 << 20), True
        while first or left.startswith(GZIP_START):
            first = False
            member = zlib.decompressobj(wbits=47)  # of gzip or zlib, with its checksum
            while not member.eof:
                held += len(member.decompress(left, 1 << 20))
                left = member.unused_data if member.eof else member.unconsumed_tail or file.read(1 << 20)
                if not (left or member.eof):
                    raise EOFError("the file ends before its end-of-stream marker")
            left += file.read(max(0, len(GZIP_START) - len(left)))
    return held


def unit_mm(image: SpatialImage) -> float:
    """The millimetres of the header's unit of length; 1 where it says none."""
    header = image.header
    return MM_PER_UNIT[header.get_xyzt_units()[0]] if isinstance(header, nib.Nifti1Header) else 1.0


def voxel_affine(image: SpatialImage, name: str, trust: str | None = None) -> np.ndarray:
    """Voxel to world, 4x4, in the header's unit: the sform where its code is set, else the qform, else pixdim alone.

    The voxel sizes of an sform and pixdim's, which are the qform's, must be the same; trust: sform, qform or pixdim, the one to
    take where they are not (pixdim has sizes only: directions and origin stay the sform's). Raises InputError, with both, where
    they differ and none is trusted.
    """
    affine = np.eye(4) if image.affine is None else np.array(image.affine, dtype=np.float64)
    if trust not in (None, *TRUSTED):
        raise InputError(f"trust: found {trust!r}, allowed are {', '.join(TRUSTED)}")
    check_affine(affine, name)
    header = image.header
    if not isinstance(header, nib.Nifti1Header) or int(header["sform_code"]) == 0:
        return affine
    sizes = nib.affines.voxel_sizes(affine)
    stored = np.abs(np.array(header["pixdim"][1:4], dtype=np.float64))
    if trust == "sform" or np.allclose(sizes, stored, rtol=SAME_SIZE):
        return affine
    if trust is None:
        shown = [" x ".join(f"{size:.4g}" for size in found) for found in (sizes, stored)]
        other = "qform and the pixdim say" if int(header["qform_code"]) else "pixdim says"
        raise InputError(
            f"{name}: the sform says voxels of {shown[0]}, the {other} {shown[1]}; --trust sform or --trust pixdim "
            "(trust in a dataset file) takes one of them"
        )
    if trust == "qform" and int(header["qform_code"]):
        return np.array(header.get_qform(), dtype=np.float64)
    affine[:3, :3] *= stored / sizes
    return affine


def check_affine(affine: np.ndarray, name: str) -> None:
    """Refuse a grid without an extent along each of its axes."""
    sizes = nib.affines.voxel_sizes(affine)
    if not (np.isfinite(affine).all() and (sizes > 0).all()):
        raise InputError(
            f"{name}: found voxel sizes {sizes.tolist()} in the affine, allowed are numbers above 0"
        )
    if abs(np.linalg.det(affine[:3, :3])) < 1e-6 * np.prod(sizes):
        raise InputError(
            f"{name}: the affine maps the volume onto a plane, allowed are three independent axes"
        )
