"""Where the object is in a reference volume, and its tissue classes by intensity."""

import numpy as np
import scipy  # as skimage, it loads its parts where they are used: a workflow that reads names here needs none
import skimage

from interslice.common.errors import InputError

TISSUE_CLASSES = 3  # of a T1 head: dark (fluid, bone, air), grey, white


def foreground_mask(reference: np.ndarray) -> np.ndarray:
    """Where the head (or another bright object) is, from a volume (slices, rows, columns) of values >= 0.

    Otsu's threshold (scikit-image) on the square root of the volume, smoothed in-plane by a Gaussian of sigma
    1 voxel: the root keeps dark tissue above it, the smoothing keeps background noise below. Then a closing
    with a radius of 4 voxels in each slice (4 mm at 1 mm, which bridges the dark skull), the largest
    connected component of the volume, and the holes of every slice filled (ventricles, sinuses, airways).
    Only the choice of the component looks across slices, so thick slices work as well. Returns bool of the
    same shape; raises InputError for a constant volume.
    """
    if reference.ndim != 3 or not np.isfinite(reference).all() or reference.min() < 0:
        raise InputError(
            f"foreground mask: shape {reference.shape} and values in [{reference.min()}, {reference.max()}] "
            "found, allowed are (slices, rows, columns) and finite values of at least 0"
        )
    if reference.min() == reference.max():
        raise InputError(f"foreground mask: every voxel is {reference.min():g}, contrast is needed")
    root = np.sqrt(scipy.ndimage.gaussian_filter(reference.astype(np.float32), (0, 1, 1)))
    radius = 4
    in_plane = scipy.ndimage.generate_binary_structure(3, 1)
    in_plane[[0, 2]] = False
    # Padded by more than the radius, so that the closing does not eat the object at the image border.
    pad = radius + 1
    above = np.pad(root > skimage.filters.threshold_otsu(root), ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    closed = scipy.ndimage.binary_closing(above, in_plane, iterations=radius)[:, pad:-pad, pad:-pad]
    labels, _ = scipy.ndimage.label(closed)
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return largest | holes(largest, in_plane)


def holes(mask: np.ndarray, in_plane: np.ndarray) -> np.ndarray:
    """What of every slice of a mask (slices, rows, columns) no path outside the mask joins to the slice's border: as scipy's
    `binary_fill_holes` slice by slice, but of all slices at once. in_plane: the steps of a path, as scipy.ndimage.label has it.
    """
    labels, count = scipy.ndimage.label(~mask, in_plane)
    inside = np.ones(count + 1, dtype=bool)
    inside[0] = False  # the mask itself
    for border in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        inside[border] = False
    return inside[labels]


def tissue_classes(volume: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Class of every voxel, 0 the darkest, by the multi-Otsu thresholds (scikit-image) of the volume within the mask."""
    values = volume if mask is None else volume[mask]
    if values.size == 0:
        raise ValueError("no voxel to take thresholds of")
    return np.digitize(volume, skimage.filters.threshold_multiotsu(values, classes=TISSUE_CLASSES)).astype(
        np.uint8
    )
