"""A scan whose odd slices have moved, made by scikit-image."""

import nibabel as nib
import numpy as np
from skimage.transform import EuclideanTransform, warp

from interslice.scan.scans import Scan, scan_from_image

SIZES = (1.5, 2.0)  # mm of a pixel along rows' and columns' index
OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([*SIZES, 4.0]), [4.0, -9.0, 2.0]
)


def as_scan(volume: np.ndarray, affine: np.ndarray = OBLIQUE) -> Scan:
    stored = np.rint(1000 * volume).astype(np.int16).transpose(1, 2, 0)
    return scan_from_image(nib.Nifti1Image(stored, affine), "scan", "k")


def moved(volume: np.ndarray, down_mm: float, right_mm: float, degrees: float) -> np.ndarray:
    """Odd slices moved in plane, in mm and about the middle of the slice."""
    rows, columns = volume.shape[1:]
    to_mm = np.diag([SIZES[1], SIZES[0], 1]) @ [
        [1, 0, -(columns - 1) / 2],
        [0, 1, -(rows - 1) / 2],
        [0, 0, 1],
    ]
    motion = EuclideanTransform(rotation=np.radians(degrees), translation=(right_mm, down_mm)).params
    back = np.linalg.inv(to_mm) @ np.linalg.inv(motion) @ to_mm
    result = volume.copy()
    for index in range(1, len(volume), 2):
        result[index] = warp(volume[index], back, order=3, mode="edge")
    return result
