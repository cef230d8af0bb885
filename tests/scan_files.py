"""Image files of every kind that a person may have, small and generated."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from generators import write_dicom_series
from phantoms import ellipsoids

SHAPE = (20, 18, 7)
OBLIQUE = np.array([[0.98, -0.17, 0.5, -30], [0.17, 0.98, -0.2, 12], [-0.09, 0.07, 5.0, 7], [0, 0, 0, 1]])
PLAIN = np.diag([1.0, 1.1, 5.0, 1])
ROTATED = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([1, 1.1, 5]), [4, -9, 2]
)


def values(kind: type = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A phantom in stored units; another one per frame."""
    if len(shape) == 4:
        return np.stack([values(kind, shape[:3]) * (frame + 1) // 2 for frame in range(shape[3])], axis=3)
    return np.round(200 * ellipsoids(shape)).astype(kind)


def nifti(
    affine: np.ndarray = PLAIN,
    kind: type = np.int16,
    shape: tuple[int, ...] = SHAPE,
    *,
    single: type = nib.Nifti1Image,
    scaling: tuple[float, float] = (1, 0),
    endianness: str = "<",
) -> nib.Nifti1Image:
    """An image whose file holds `values` as they are, with that scaling."""
    data = values(kind, shape)
    header = single.header_class(endianness=endianness)
    header.set_data_dtype(data.dtype)
    header.set_data_shape(shape)
    image = single(data, affine, header)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(*scaling)
    image.header["descrip"] = b"made for a test"
    return image


def saved(image: nib.spatialimages.SpatialImage, path: Path) -> Path:
    nib.save(image, path)
    return path


def two_transforms(path: Path) -> Path:
    """qform and sform of the same voxel sizes that turn differently, with codes of their own."""
    image = nifti(ROTATED)
    turned = nib.eulerangles.euler2mat(-0.1, 0.05, 0.2) @ np.diag([1, 1.1, 5])
    image.set_sform(nib.affines.from_matvec(turned, [7, 1, -3]), code=4)
    image.set_qform(ROTATED, code=1)
    return saved(image, path / "scan.nii")


def no_transforms(path: Path) -> Path:
    """Both codes 0: readers fall back on the voxel sizes and the middle of the grid."""
    image = nifti()
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    image.header["pixdim"][1:4] = 1.0, 1.1, 5.0
    nib.save(image, path / "scan.nii")
    return path / "scan.nii"


def microns(path: Path) -> Path:
    image = nifti(PLAIN * [[1000], [1000], [1000], [1]])
    image.header.set_xyzt_units("micron", "msec")
    return saved(image, path / "scan.nii")


def extended(path: Path) -> Path:
    """A header extension (a comment), a slice axis and acquisition times."""
    image = nifti()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
    image.header.set_dim_info(0, 1, 2)
    image.header["slice_code"], image.header["slice_end"], image.header["slice_duration"] = 1, 6, 0.1
    return saved(image, path / "scan.nii.gz")


def analyze(path: Path) -> Path:
    image = nib.AnalyzeImage(values(), None)
    image.header.set_zooms((1.0, 1.1, 5.0))
    return saved(image, path / "scan.img")


def dicom(path: Path) -> Path:
    volume = ellipsoids((7, 20, 18))[..., np.newaxis]
    write_dicom_series(path / "series", volume, trigger=False)
    return path / "series"


def dicom_cine(path: Path) -> Path:
    write_dicom_series(path / "series", np.stack([ellipsoids((5, 20, 18), i) for i in range(3)], axis=3))
    return path / "series"


FLIPPED = PLAIN * [[-1], [-1], [1], [1]]
LEFT_HANDED = np.array([[-1.0, 0, 0, 90], [0, 1.1, 0, -70], [0, 0, 5, -60], [0, 0, 0, 1]])
SAGITTAL = np.array([[0, 0, 5.0, -40], [-1.0, 0, 0, 80], [0, 1.1, 0, -50], [0, 0, 0, 1]])
FIRST_AXIS = np.array([[5.0, 0, 0, -40], [0, 1.0, 0, 80], [0, 0, 1.1, -50], [0, 0, 0, 1]])
FILES: dict[str, Callable[[Path], Path]] = {
    "plain": lambda path: saved(nifti(), path / "scan.nii"),
    "gzipped": lambda path: saved(nifti(), path / "scan.nii.gz"),
    "oblique": lambda path: saved(nifti(ROTATED), path / "scan.nii.gz"),
    "left_handed": lambda path: saved(nifti(LEFT_HANDED), path / "scan.nii"),
    "flipped": lambda path: saved(nifti(FLIPPED), path / "scan.nii"),
    "flipped_slices": lambda path: saved(nifti(PLAIN * [[1], [1], [-1], [1]]), path / "scan.nii"),
    "sagittal": lambda path: saved(nifti(SAGITTAL), path / "scan.nii"),
    "first_axis": lambda path: saved(nifti(FIRST_AXIS, shape=(7, 20, 18)), path / "scan.nii"),
    "big_endian": lambda path: saved(nifti(endianness=">"), path / "scan.nii"),
    "big_endian_float": lambda path: saved(nifti(kind=np.float32, endianness=">"), path / "scan.nii"),
    "scaled": lambda path: saved(nifti(scaling=(0.037, -12.5)), path / "scan.nii.gz"),
    "scaled_negative": lambda path: saved(nifti(scaling=(-2.0, 1000)), path / "scan.nii"),
    "uint8": lambda path: saved(nifti(kind=np.uint8), path / "scan.nii"),
    "uint16": lambda path: saved(nifti(kind=np.uint16), path / "scan.nii"),
    "int32": lambda path: saved(nifti(kind=np.int32), path / "scan.nii"),
    "float64": lambda path: saved(nifti(kind=np.float64), path / "scan.nii"),
    "series_4d": lambda path: saved(nifti(ROTATED, shape=(*SHAPE, 3)), path / "scan.nii.gz"),
    "one_frame_4d": lambda path: saved(nifti(shape=(*SHAPE, 1)), path / "scan.nii"),
    "nifti_2": lambda path: saved(nifti(ROTATED, single=nib.Nifti2Image), path / "scan.nii"),
    "nifti_pair": lambda path: saved(nifti(ROTATED, single=nib.Nifti1Pair), path / "scan.img"),
    "two_transforms": two_transforms,
    "no_transforms": no_transforms,
    "microns": microns,
    "extended": extended,
    "analyze": analyze,
    "mgh": lambda path: saved(nib.MGHImage(values(), ROTATED), path / "scan.mgz"),
    "dicom": dicom,
    "dicom_cine": dicom_cine,
}
