"""interslice: a benchmark of through-plane MRI interpolation, and a tool for a scan of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from interslice.common.errors import InputError, NothingToDo

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image
    from nibabel.spatialimages import SpatialImage

    from interslice.scan.trust import Score

__all__ = ["InputError", "NothingToDo", "check", "read", "read_dicom", "upsample"]
__version__ = "0.2.0"


def upsample(
    image: "SpatialImage | str | Path",
    factor: int | None = None,
    method: str | None = "auto",
    *,
    spacing: float | None = None,
    isotropic: bool = False,
    axis: str | None = None,
    model: str | Path | None = None,
    keep_original: bool = True,
    trust: str | None = None,
    label: bool | None = None,
    nan: str = "keep",
    thickness: float | None = None,
    deblur: bool = False,
) -> "Nifti1Image":
    """Add slices between those of a scan: factor - 1 in every gap, or as many as `spacing` (mm) or `isotropic` need.

    image: a nibabel or SimpleITK image, or a path (an image file, a DICOM folder); 3-D or 4-D (frame by frame), any
    orientation; it is not reoriented. With none of factor, spacing and isotropic: the whole factor nearest to isotropic.
    method: auto (the best on held-out slices of the scan), bspline, lanczos, linear, nearest or registration, or with `model`
    (a checkpoint file, or the name of a finished model) the method of that checkpoint. axis: the slice axis as i, j, k of the
    array or sagittal, coronal, axial; by default the axis of largest spacing. keep_original: copy the original slices bit by
    bit, where the new ones meet them. trust: sform, qform or pixdim says the voxel sizes where a header contradicts itself.
    label: whether it is a label map, whose labels are interpolated by shape (None: by header, name or values). nan: keep, zero
    or refuse voxels that are NaN. thickness: of a slice in mm, where the headers do not say it or are wrong. deblur: undo that
    slices are averages over their thickness (by motion_spline, whole factors; original slices change too). Returns a NIfTI
    image of the same data type, with intensities on the scale of the input and the first slice where it was in the world.
    Raises InputError, with one sentence, for anything that cannot be interpolated, and its kind NothingToDo for a scan that is
    fine enough.

    >>> import nibabel as nib, numpy as np, interslice
    >>> slices = np.arange(24 * 24 * 10).reshape(24, 24, 10).astype(np.int16)
    >>> scan = nib.Nifti1Image(slices, np.diag([1.0, 1.0, 4.0, 1.0]))
    >>> fine = interslice.upsample(scan, factor=4, method="bspline")
    >>> fine.shape, nib.affines.voxel_sizes(fine.affine).tolist()
    ((24, 24, 37), [1.0, 1.0, 1.0])
    >>> bool((np.asarray(fine.dataobj)[:, :, ::4] == slices).all())
    True
    >>> interslice.upsample(scan, spacing=1.6, method="linear").shape
    (24, 24, 23)
    """
    from interslice.scan.api import upsample_image

    return upsample_image(
        image,
        factor,
        method,
        spacing,
        isotropic,
        axis,
        model,
        keep_original,
        trust,
        label,
        nan,
        thickness,
        deblur,
    )


def check(
    image: "SpatialImage | str | Path",
    method: str | None = "auto",
    *,
    axis: str | None = None,
    model: str | Path | None = None,
    trust: str | None = None,
    nan: str = "keep",
    thickness: float | None = None,
) -> "dict[str, Score]":
    """Hold out every second slice of a scan and predict it back: `ssim` and `psnr` (dB) of the method and the spline, by name.

    Arguments and InputError as of `upsample`; at least 4 slices are needed. Twice the spacing is harder than the real task:
    read which method is ahead, not the numbers.
    """
    from interslice.scan.api import check_image

    return check_image(image, method, axis, model, trust, nan, thickness)


def read(path: str | Path, series: str | None = None, *, trust: str | None = None) -> "Nifti1Image":
    """A scan as `upsample` reads it, as a NIfTI image: NIfTI, Analyze, MGH, NRRD or MetaImage, or as of `read_dicom`."""
    from interslice.scan.api import image_of
    from interslice.scan.checks import check_series
    from interslice.scan.scans import read_scan

    scan = read_scan(path, trust=trust, series=series)
    check_series(scan.name, scan.places is not None, {"series": series})
    return image_of(scan)


def read_dicom(path: str | Path, series: str | None = None) -> "Nifti1Image":
    """The one series of a DICOM folder, or of one of its slices, as a NIfTI image in scanner coordinates.

    series: which one, where there are several: its number, description or UID. Raises InputError where there is no image, where
    there are several series and none is named, and for a stack with missing slices.
    """
    from interslice.data.dicom import read_own_series

    return read_own_series(Path(path), series).to_scanner()
