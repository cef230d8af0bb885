"""NRRD and MetaImage, by SimpleITK, as NIfTI images."""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.memory import check_memory
from interslice.data.images import LPS_TO_RAS, check_deflated, check_held

NRRD, META = (".nrrd", ".nhdr"), (".mha", ".mhd")
ITK_SUFFIXES = (*NRRD, *META)
FIELD = re.compile(r"\s*([^:=]+?)\s*(:=|:|=)\s*(.*)")  # of a header in text
NEEDED = (
    "NDims",
    "DimSize",
    "ElementType",
    "ElementDataFile",
)  # of a MetaImage; ITK does not say which is missing
SIZES = ("spacings", "space directions", "elementspacing", "elementsize")
UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001, "micron": 0.001, "microns": 0.001}
NO_LENGTH = ("", "s", "ms", "sec", "msec")  # of the units of axes
SKIPS = {
    "byte skip",
    "byteskip",
    "line skip",
    "lineskip",
    "headersize",
}  # what stands before the voxels in their file
PAIR = ":="
VALUE_KINDS = ("list", "vector")  # of an axis that counts the values of a voxel
MOST_LINES = 100_000


def has_suffix(path: str | Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a file name, not all of it, ends in one of the suffixes, in whatever case."""
    name = Path(path).name.lower()
    return name.endswith(suffixes) and name not in suffixes


def read_itk(path: Path) -> nib.Nifti1Image:
    """Read NRRD or MetaImage; InputError where it is not readable."""
    import SimpleITK as sitk

    fields, start = header_of(path)
    voxels = voxel_file(path, fields)
    start = start if voxels == path else 0
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_path(path))
    reader.SetImageIO(itk_format(path))
    try:
        reader.ReadImageInformation()
        bits = int(re.findall(r"\d+", sitk.GetPixelIDValueAsString(reader.GetPixelID()))[0])
        promised = math.prod(reader.GetSize()) * reader.GetNumberOfComponents() * bits // 8
        check_memory(promised, str(path))
        if voxels and (encoding := encoding_of(fields)) in ("raw", "gzip", "gz"):
            check_held(path, reader.GetSize(), promised, voxels, encoding != "raw", start)
            # Of a damaged one ITK gives what it got, and writes to the screen.
            if encoding != "raw" and not SKIPS & set(fields):
                check_unpacked(path, voxels, start, promised)
        listed = VALUE_KINDS[0] in fields.get("kinds", "").split()  # of Slicer's overlapping segments, say
        return in_mm(image_from_itk(reader.Execute(), str(path), listed), fields, path)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = "it is cut, or not what its header says" if "Reason:" in lines[-1] else lines[-1]
        raise InputError(f"{path}: not a readable image ({why})") from error


def itk_remarks(path: Path) -> tuple[str, ...]:
    """What a person should know of the header of an NRRD or MetaImage file."""
    fields = header_fields(path)
    said = [] if any(name in fields for name in SIZES) else ["the header says no voxel sizes, 1 mm is taken"]
    if pairs := [name.removeprefix(PAIR) for name in fields if name.startswith(PAIR)]:
        said.append(
            f"{len(pairs)} key/value pair(s) of the header are for NRRD alone ({', '.join(pairs[:3])})"
        )
    return tuple(said)


def nrrd_lines(path: Path) -> tuple[str, ...]:
    """The lines of an NRRD header that ITK leaves out and that hold for finer slices too: key/value pairs as they are (but the
    extents of Slicer's segments, which count slices), a list of values as a kind, and the measurement frame, in ITK's space."""
    if not has_suffix(path, NRRD):
        return ()
    fields = header_fields(path)
    found = [
        name.removeprefix(PAIR) + PAIR + value
        for name, value in fields.items()
        if name.startswith(PAIR) and "Extent" not in name
    ]
    if any(kind in fields.get("kinds", "").split() for kind in VALUE_KINDS):
        found.insert(0, f"kinds: {VALUE_KINDS[0]} domain domain domain")
    space = fields.get("space", "").lower()
    signs = (
        -1 if space.startswith(("right", "ras")) else 1,
        -1 if "anterior" in space or space[1:2] == "a" else 1,
        1,
    )
    if vectors := re.findall(r"\(([^)]*)\)", fields.get("measurement frame", "")):
        frame = np.array([vector.split(",") for vector in vectors], dtype=float) * signs + 0.0  # no -0
        found.insert(
            0, f"measurement frame: {' '.join(f'({x:.17g},{y:.17g},{z:.17g})' for x, y, z in frame)}"
        )
    return tuple(found)


def add_lines(path: Path, lines: Sequence[str]) -> None:
    """Put `nrrd_lines` into the header of an NRRD file, in place of those of its own fields."""
    head, rest = path.read_bytes().split(b"\n\n", 1)
    fields = {line.split(": ")[0] for line in lines if PAIR not in line}
    kept = [line for line in head.decode().split("\n") if line.split(": ")[0] not in fields]
    path.write_bytes("\n".join([*kept, *lines]).encode() + b"\n\n" + rest)


def check_unpacked(path: Path, voxels: Path, start: int, promised: int) -> None:
    """Refuse compressed voxels that are damaged, or fewer bytes than the header promises."""
    if (held := check_deflated(path, start, voxels)) < promised:
        raise InputError(f"{path}: found {held} bytes of voxels, the header says {promised}")


def header_fields(path: Path) -> dict[str, str]:
    return header_of(path)[0]


def header_of(path: Path) -> tuple[dict[str, str], int]:
    """The fields of a text header by their names in lower case, and NRRD's key/value pairs, which begin with PAIR; its bytes.

    NRRD's ends with an empty line, MetaImage's with the name of its data. InputError where MetaImage lacks one that it needs.
    """
    found: dict[str, str] = {}
    with open(path, "rb") as file:
        for line in itertools.islice(iter(lambda: file.readline(1 << 16), b""), MOST_LINES):
            text = line.decode("utf-8", "replace").strip()
            if match := FIELD.fullmatch(text):
                found[PAIR + match[1] if match[2] == PAIR else match[1].lower()] = match[3]
            if not text or "elementdatafile" in found:
                break
        end = file.tell()
    missing = [name for name in NEEDED if name.lower() not in found]
    if has_suffix(path, META) and missing:
        raise InputError(f"{path}: found no {missing[0]} in the header, needed are {', '.join(NEEDED)}")
    return found, end


def voxel_file(path: Path, fields: dict[str, str]) -> Path | None:
    """The file of the voxels, None where they are in several; InputError where it is not there."""
    named = fields.get("elementdatafile") or fields.get("data file") or fields.get("datafile") or "LOCAL"
    if named.upper() == "LOCAL":
        return path
    if named.upper().startswith("LIST") or "%" in named:
        return None
    if not (file := path.parent / named).is_file():
        raise InputError(f"{path}: its voxels are in {file}, which is not there")
    return file


def encoding_of(fields: dict[str, str]) -> str:
    """How the voxels are stored, in NRRD's words."""
    if fields.get("binarydata", "true").lower() != "true":
        return "text"
    packed = fields.get("compresseddata", "").lower() == "true"
    return "gzip" if packed else fields.get("encoding", "raw").lower()


def in_mm(image: nib.Nifti1Image, fields: dict[str, str], path: Path) -> nib.Nifti1Image:
    """The image in mm, whatever the unit of the axes that NRRD says; ITK leaves it out."""
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", "") + fields.get("units", "")))
    lengths = {unit.lower() for unit in units if unit.lower() not in NO_LENGTH}
    if lengths <= {"mm"}:
        return image
    if len(lengths) > 1 or not lengths <= set(UNITS_MM):
        raise InputError(
            f"{path}: found units {', '.join(sorted(lengths))} of the axes, allowed is one of {', '.join(UNITS_MM)}"
        )
    affine = image.affine.copy()
    affine[:3] *= UNITS_MM[lengths.pop()]
    return nib.Nifti1Image(image.dataobj, affine, image.header)


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


def image_from_itk(image: Any, name: str, listed: bool = False) -> nib.Nifti1Image:
    """A SimpleITK image of 3 or 4 dimensions, or 3 with several values a voxel, as NIfTI in mm with RAS axes' affine.

    listed: several values are no colour, even in 8 bits.
    """
    import SimpleITK as sitk

    dimensions, values = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimensions not in (3, 4):
        raise InputError(f"{name}: found {dimensions}-D data, allowed are 3-D and 4-D images")
    array = sitk.GetArrayFromImage(image)  # counts z, y, x, and the values last
    if values > 1 and (dimensions > 3 or (array.dtype == np.uint8 and not listed)):
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
