"""What the functions of `import interslice` do; see there."""

from pathlib import Path

import nibabel as nib

from interslice.common.errors import InputError, NothingToDo
from interslice.data.images import readable
from interslice.data.itk import image_from_itk
from interslice.scan.acquired import with_thickness
from interslice.scan.auto import choose_best
from interslice.scan.grid import grid_for
from interslice.scan.models import FAST, check_deblur, chosen_model, conventional, deblurring
from interslice.scan.scans import Scan, read_scan, scan_from_image
from interslice.scan.trust import Score, check_methods
from interslice.scan.upsampling import check_makes, label_reason, upsample_labels, upsample_scan

Image = nib.spatialimages.SpatialImage


def scan_of(image: Image | str | Path, axis: str | None, trust: str | None, nan: str) -> Scan:
    """The scan of a nibabel or SimpleITK image, or of whatever the command line reads from a path."""
    if isinstance(image, str | Path):
        return read_scan(image, axis, trust=trust, nan=nan)
    if type(image).__module__.startswith("SimpleITK"):
        image = image_from_itk(image, "image")
    if not isinstance(image, Image):
        raise InputError(
            f"image: found {type(image).__name__}, allowed is a nibabel or SimpleITK image, or the path of an image file or a "
            "DICOM folder; for an array nibabel.Nifti1Image(array, affine) says where its voxels are"
        )
    name = image.get_filename() or "image"
    with readable(name, "the voxels cannot be read"):  # the file may be gone
        return scan_from_image(image, name, axis, trust, nan)


def upsample_image(
    image: Image | str | Path,
    factor: int | None,
    method: str | None,
    spacing: float | None,
    isotropic: bool,
    axis: str | None,
    model: str | Path | None,
    keep_original: bool,
    trust: str | None,
    label: bool | None,
    nan: str,
    thickness: float | None,
    deblur: bool,
) -> nib.Nifti1Image:
    """What `interslice.upsample` does."""
    if deblur:
        check_deblur({"model": model}, method)
    scan = with_thickness(scan_of(image, axis, trust, nan), thickness)
    grid = grid_for(scan, factor, spacing, isotropic)
    chosen = deblurring() if deblur else chosen_model(method, model)
    if (reason := label_reason(scan, label, method)) and deblur:
        raise InputError(
            f"{scan.name}: a label map ({reason}) is only interpolated; label=False takes it for an image"
        )
    if reason:
        return image_of(upsample_labels(scan, grid))
    keep_original = keep_original and not deblur
    found = chosen or choose_best(scan, grid, keep_original).model
    check_makes(found.method, grid)
    return image_of(upsample_scan(scan, grid, found.method, keep_original))


def check_image(
    image: Image | str | Path,
    method: str | None,
    axis: str | None,
    model: str | Path | None,
    trust: str | None,
    nan: str,
    thickness: float | None,
) -> dict[str, Score]:
    """What `interslice.check` does."""
    scan = with_thickness(scan_of(image, axis, trust, nan), thickness).parts()[0]
    try:
        grid = grid_for(scan)
    except NothingToDo:
        grid = None
    found = chosen_model(method, model) or choose_best(scan, grid).model
    other = "linear" if found.name == FAST else FAST
    return check_methods(scan, {found.shown: found.method, other: conventional(other).method})


def image_of(scan: Scan) -> nib.Nifti1Image:
    """The NIfTI image of a scan, in memory."""
    if (scan.slope, scan.inter) == (1, 0):
        header = scan.header.copy()
        return (nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image)(
            scan.stored, scan.affine, header
        )
    # Scaled integers: only an image that reads from a file (here bytes) keeps values and scaling apart.
    written = scan.nifti()
    return type(written).from_bytes(written.to_bytes())
