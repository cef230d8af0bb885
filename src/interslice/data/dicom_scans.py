"""A DICOM series as an image to interpolate: grey values as whole numbers where they are whole."""

from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.data.dicom import read_stack
from interslice.data.dicom_headers import only_series

WHOLE_TYPES = (np.int16, np.uint16, np.int32)


def read_series_image(folder: str | Path) -> nib.Nifti1Image:
    """The one series in a folder, 3-D or 4-D (phases), in scanner coordinates (RAS+, qform and sform code 1).

    Raises InputError where the folder holds no DICOM image, several series, or an irregular stack.
    """
    image = read_stack(only_series(folder)).to_nifti()
    whole = nib.Nifti1Image(smallest_type(np.asarray(image.dataobj)), image.affine, image.header)
    whole.set_qform(image.affine, code="scanner")
    whole.set_sform(image.affine, code="scanner")
    return whole


def smallest_type(values: np.ndarray) -> np.ndarray:
    """Values as the first of WHOLE_TYPES that holds every one of them exactly, else as they are.

    DICOM stores whole numbers; with a rescale slope of 1 they still are.
    """
    if (values == np.rint(values)).all():
        for kind in WHOLE_TYPES:
            if np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max:
                return values.astype(kind)
    return values
