"""The real scan that nibabel ships, and interpolations of it."""

import nibabel as nib
import numpy as np
from nibabel.testing import data_path


def head_volume() -> np.ndarray:
    """A real brain scan: (24, 96, 128) float32 in [0, 1], 2 mm, from nibabel's own test data."""
    volume = nib.load(f"{data_path}/example4d.nii.gz").get_fdata(dtype=np.float32)[..., 0].transpose(2, 1, 0)
    return np.clip(volume / np.percentile(volume, 99.8), 0, 1).astype(np.float32)


def neighbours(volume: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A slice and its linear interpolation from the slices around it: (image, reference)."""
    return (volume[index - 1] + volume[index + 1]) / 2, volume[index]
