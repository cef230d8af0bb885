"""Label maps that experts drew of a dataset's images, on the grid of the normalised volumes.

They lie beside a volume as SUBJECT.labels.nii.gz, uint8, with the volume's axes and frames; frames without labels are 0.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.images import affine_mm, open_image, readable
from interslice.data.sources import Case
from interslice.data.volumes import Volume, open_volume

ENDING = ".labels.nii.gz"


def read_labels(path: str | Path, image: str | Path, trust: str | None = None) -> nib.Nifti1Image:
    """The labels of one frame, 3-D uint8 with RAS axes, on the grid of the image that they were drawn in.

    The image's header says where the voxels are. The labels' own must say the same, except where the dataset says which part
    of a header to `trust`, because some are wrong. Raises InputError for another grid, and for values other than whole numbers
    from 0 to 255.
    """
    drawn, of = open_image(path), open_image(image)
    if drawn.shape != of.shape[:3]:
        raise InputError(
            f"{path}: found labels of {drawn.shape} voxels, allowed are the image's {of.shape[:3]}"
        )
    affine = affine_mm(of, str(image), trust)
    if not trust and not np.allclose(affine_mm(drawn, str(path)), affine, atol=0.01):
        raise InputError(f"{path}: found labels on another grid than that of {image}, allowed is the same")
    with readable(path, "the voxels cannot be read"):
        values = np.asarray(drawn.dataobj)
    if values.dtype.kind not in "iufb" or not np.isin(values, np.arange(256)).all():
        raise InputError(f"{path}: found voxels that are no labels, allowed are whole numbers from 0 to 255")
    return nib.as_closest_canonical(nib.Nifti1Image(values.astype(np.uint8), affine))


def labels_of(case: Case, volume: Volume) -> np.ndarray:
    """(frames, slices, rows, columns) uint8 on the grid of a case's normalised volume, by nearest neighbour."""
    result = np.zeros(volume.data.shape, np.uint8)
    grid = (np.moveaxis(volume.data[0], 0, volume.slice_axis).shape, volume.affine)
    kept = [n for n in range(case.first_frame, case.stop_frame) if n not in case.left_out]
    for frame, path in case.labels:
        drawn = read_labels(path, case.path, case.trust or None)
        placed = np.asarray(resample_from_to(drawn, grid, order=0).dataobj)
        result[kept.index(frame)] = np.moveaxis(placed, volume.slice_axis, 0)
    return result


def write_labels(labels: np.ndarray, volume: Volume, path: Path) -> None:
    """Write labels (frames, slices, rows, columns) of a volume beside it."""
    image = nib.Nifti1Image(np.moveaxis(labels, (0, 1), (3, volume.slice_axis)), volume.affine)
    with replacing(path) as temporary:
        nib.save(image, temporary)


def labels_beside(volume: Path) -> Path | None:
    """The file of the labels of a normalised volume; None where it has none."""
    path = volume.with_name(volume.name.removesuffix(".nii") + ENDING)
    return path if path.is_file() else None


def open_labels(volume: Path) -> np.ndarray | None:
    """(frames, slices, rows, columns) uint8 of the labels beside a normalised volume; None where it has none."""
    if (path := labels_beside(volume)) is None:
        return None
    return np.moveaxis(np.asarray(open_image(path).dataobj), (3, open_volume(volume).slice_axis), (0, 1))
