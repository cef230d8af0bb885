"""What the sources that draw their volumes share."""

import nibabel as nib
import numpy as np


def upright(images: np.ndarray) -> nib.Nifti1Image:
    """Pictures (frames, slices, rows, columns) as a NIfTI image (x, y, z, t) that viewers and our figures show upright.

    Columns run to the right, which is x; rows run down, which is against y.
    """
    turned = np.rot90(images, -1, axes=(2, 3))
    return nib.Nifti1Image(np.moveaxis(turned, (0, 1), (3, 2)), np.eye(4))
