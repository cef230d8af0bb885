"""interslice: a benchmark of through-plane MRI interpolation, and a tool for a scan of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from interslice.common.errors import InputError

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image
    from nibabel.spatialimages import SpatialImage

__all__ = ["InputError", "upsample"]
__version__ = "0.1.0"


def upsample(
    image: "SpatialImage",
    factor: int = 4,
    method: str | None = None,
    *,
    axis: str | None = None,
    model: str | Path | None = None,
    keep_original: bool = True,
    trust: str | None = None,
    label: bool | None = None,
    nan: str = "keep",
) -> "Nifti1Image":
    """Add factor - 1 slices between every two slices of a nibabel image; n slices become (n - 1) factor + 1.

    image: 3-D or 4-D (frame by frame), real voxels, any orientation; it is not reoriented. method: bspline
    (the default), lanczos, linear or nearest, or with `model` (a checkpoint file, or the name of a pretrained
    model) the method of that checkpoint. axis: the slice axis as i, j, k of the array or sagittal, coronal,
    axial; by default the axis of largest spacing. keep_original: copy the original slices bit by bit. trust: sform,
    qform or pixdim says the voxel sizes where a header contradicts itself. label: whether it is a label map, whose labels are
    interpolated by shape (None: by header, name or values). nan: keep, zero or refuse voxels that are NaN. Returns
    a NIfTI image of the same data type, with intensities on the scale of the input and the original slices
    where they were in the world. Raises interslice.InputError, with one sentence, for anything that
    cannot be interpolated.

    >>> import nibabel as nib, numpy as np, interslice
    >>> slices = np.arange(24 * 24 * 10).reshape(24, 24, 10).astype(np.int16)
    >>> scan = nib.Nifti1Image(slices, np.diag([1.0, 1.0, 4.0, 1.0]))
    >>> fine = interslice.upsample(scan, factor=4, method="bspline")
    >>> fine.shape, nib.affines.voxel_sizes(fine.affine).tolist()
    ((24, 24, 37), [1.0, 1.0, 1.0])
    >>> bool((np.asarray(fine.dataobj)[:, :, ::4] == slices).all())
    True
    """
    from interslice.scan.upsampling import upsample_image

    return upsample_image(image, factor, method, axis, model, keep_original, trust, label, nan)
