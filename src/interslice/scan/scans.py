"""A person's own scan, read and written without touching what interpolation does not change.

Nothing is reoriented: slices are added along one axis of the array as it is stored, and only the fields of
the header that describe that axis change. Stored values, their type, byte order and scaling, both transforms,
their codes and the units are those of the input.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import scipy
from nibabel.spatialimages import HeaderDataError

from interslice.common.errors import InputError
from interslice.common.memory import check_memory
from interslice.data.images import (
    MM_PER_UNIT,
    bytes_of,
    check_gzip,
    is_dicom,
    open_image,
    readable,
    significant,
    voxel_affine,
)
from interslice.data.itk import ITK_SUFFIXES, has_suffix, itk_remarks, nrrd_lines, read_itk
from interslice.data.volumes import ANATOMICAL_AXES
from interslice.scan.bids import slice_facts
from interslice.scan.checks import check_one_geometry, check_there, check_voxels

if TYPE_CHECKING:
    from interslice.data.dicom import Places
    from interslice.data.dicom_series import Series

ARRAY_AXES = {"i": 0, "j": 1, "k": 2}
UNWRITABLE_TYPES = {"bool": np.uint8, "float16": np.float32}  # NIfTI has none of these
SECONDS = {"msec": 1e-3, "usec": 1e-6}
AFNI_EXTENSION = 4  # repeats the grid of the image in its own words, which would be wrong for the output


@dataclass(frozen=True)
class Scan:
    """A scan as it is stored.

    stored: (i, j, k) or (i, j, k, frame), any real type; intensity = slope * stored + inter. header: NIfTI-1
    or NIfTI-2 of exactly this grid. affine: 4x4, voxel to world in the header's unit. axis: the array axis
    that counts slices. thickness_mm: of a slice, None where nothing says it. remarks: what its reader should know.
    places: the DICOM images that it was read from, None for other files. positions: of the slices in units of the slice
    spacing, where their gaps differ; empty where that is 0, 1, 2, ... nrrd: header lines for an NRRD output.
    """

    name: str
    stored: np.ndarray
    slope: float
    inter: float
    header: nib.Nifti1Header
    affine: np.ndarray
    axis: int
    thickness_mm: float | None = None
    remarks: tuple[str, ...] = ()
    places: "Places | None" = None
    positions: tuple[float, ...] = ()
    nrrd: tuple[str, ...] = ()

    @property
    def unit_mm(self) -> float:
        """The millimetres of the header's unit of length."""
        return MM_PER_UNIT[self.header.get_xyzt_units()[0]]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the three array axes in mm."""
        i, j, k = (float(size) * self.unit_mm for size in nib.affines.voxel_sizes(self.affine))
        return i, j, k

    @property
    def slice_spacing_mm(self) -> float:
        return self.spacing_mm[self.axis]

    @property
    def normal_spacing_mm(self) -> float:
        """From a slice to the next along their normal: less than the slice spacing where the grid is sheared."""
        first, second = (self.affine[:3, axis] for axis in range(3) if axis != self.axis)
        normal = np.cross(first, second)
        return float(abs(self.affine[:3, self.axis] @ normal) / np.linalg.norm(normal)) * self.unit_mm

    @property
    def gap_px(self) -> float:
        """The slice spacing in pixels, those of the mean size in the plane."""
        in_plane = [size for axis, size in enumerate(self.spacing_mm) if axis != self.axis]
        return 2 * self.slice_spacing_mm / sum(in_plane)

    @property
    def frames(self) -> int:
        return self.stored.shape[3] if self.stored.ndim == 4 else 1

    @property
    def frame_seconds(self) -> list[float]:
        """From a frame to the next, of a 4-D scan; in the header's own unit where that is no time, 0 where it says none."""
        seconds = SECONDS.get(self.header.get_xyzt_units()[1], 1.0)
        sizes = [float(size) for size in self.header.get_zooms()[3 : self.stored.ndim]]
        return [size * seconds if 0 < size < math.inf else 0.0 for size in sizes]

    def parts(self) -> list["Scan"]:
        """The scans of real numbers that this one is made of: itself, or of complex voxels the real and the imaginary part."""
        if self.stored.dtype.kind != "c":
            return [self]
        return [
            replace(self, stored=np.ascontiguousarray(part)) for part in (self.stored.real, self.stored.imag)
        ]

    def stored_frame(self, frame: int) -> np.ndarray:
        """A view (slices, rows, columns) of the stored values of one frame."""
        array = self.stored[..., frame] if self.stored.ndim == 4 else self.stored
        return np.moveaxis(array, self.axis, 0)

    def frame(self, frame: int) -> np.ndarray:
        """The intensities (slices, rows, columns) of one frame as float64."""
        return self.stored_frame(frame).astype(np.float64) * self.slope + self.inter

    def to_stored(self, intensities: np.ndarray) -> np.ndarray:
        """Intensities as stored values; whole-number types are rounded, and clipped to what they can hold."""
        values = (np.asarray(intensities, dtype=np.float64) - self.inter) / self.slope
        if self.stored.dtype.kind in "iu":
            limits = np.iinfo(self.stored.dtype)
            top = float(limits.max)
            if top > limits.max:  # of 64 bits
                top = np.nextafter(top, 0)
            values = np.clip(np.rint(values), limits.min, top)
        return values.astype(self.stored.dtype)

    def finer(self, stored: np.ndarray, ratio: float) -> "Scan":
        """`stored` on the grid with gaps `ratio` times as small: the first slice stays where it is."""
        header, affine = self.header.copy(), self.affine.copy()
        affine[:3, self.axis] /= ratio
        header["dim"][1 + self.axis] = stored.shape[self.axis]
        header["pixdim"][1 + self.axis] /= ratio
        for row in ("srow_x", "srow_y", "srow_z"):
            header[row][self.axis] = float(header[row][self.axis]) / ratio
        # The order and time in which slices were acquired says nothing about slices that were not.
        for field in ("slice_code", "slice_start", "slice_end", "slice_duration"):
            header[field] = 0
        kept = [extension for extension in header.extensions if extension.get_code() != AFNI_EXTENSION]
        header.extensions[:] = kept
        return replace(self, stored=stored, header=header, affine=affine, positions=())

    def nifti(self) -> nib.Nifti1Image:
        """The image whose file holds exactly `stored`; its header carries the scaling."""
        single = nib.Nifti2Image if isinstance(self.header, nib.Nifti2Header) else nib.Nifti1Image
        image = single(self.stored, self.affine, self.header)
        image.header.set_slope_inter(self.slope, self.inter)
        return image


def read_scan(
    path: str | Path,
    axis: str | None = None,
    *,
    trust: str | None = None,
    nan: str = "keep",
    series: str | None = None,
    fill: bool = False,
) -> Scan:
    """Read a file that nibabel knows (NIfTI-1/2, Analyze, MGH, ...), NRRD, MetaImage, or a folder that is one DICOM series.

    axis: None (the axis of largest spacing), i, j, k (of the array), or sagittal, coronal, axial. trust: what says the voxel
    sizes where the header contradicts itself, see `images.voxel_affine`. nan: keep (NaN stays where it is and is not spread),
    zero or refuse. series: which of a DICOM folder's, by number, description or UID; fill: slices may be missing from it.
    Raises InputError for what cannot be interpolated; see `check_voxels`.
    """
    path = Path(path)
    check_there(path)
    if path.is_dir() or is_dicom(path):
        check_one_geometry(str(path), trust)
        return read_dicom(path, str(path), axis, series, fill, nan)
    if has_suffix(path, ITK_SUFFIXES):
        scan = scan_from_image(read_itk(path), str(path), axis, trust, nan)
        return replace(scan, remarks=itk_remarks(path), nrrd=nrrd_lines(path))
    if has_suffix(path, (".bz2", ".zst")):  # of which nothing says how much they may hold
        raise InputError(f"{path}: found {path.suffix}, of compressed files .gz is allowed")
    image = open_image(path)
    check_memory(bytes_of(image), str(path))
    check_gzip(image.get_filename() or path)
    with readable(path):
        scan = scan_from_image(image, str(path), axis, trust, nan)
    if scan.axis != choose_axis(scan, None):  # what is known of the slices is of those along another axis
        return scan
    thickness, remarks = slice_facts(path, scan.slice_spacing_mm)
    return replace(scan, thickness_mm=thickness, remarks=remarks)


def read_dicom(
    source: "Path | Series",
    name: str,
    axis: str | None,
    series: str | None = None,
    fill: bool = False,
    nan: str = "keep",
) -> Scan:
    """The Scan of a DICOM series, whose gaps may differ along its own slice axis; raises InputError as `check_voxels`."""
    from interslice.data.dicom import read_own_series

    stack = read_own_series(source, series, unequal=True, fill=fill)
    uneven = stack.positions is not None
    scan = scan_from_image(stack.to_scanner(), name, "k" if uneven and axis is None else axis, nan=nan)
    if uneven and scan.axis != 2:
        raise InputError(f"{name}: its slices lie at unequal distances, allowed is --axis k, across them")
    return replace(
        scan, thickness_mm=stack.thickness_mm if scan.axis == 2 else None, remarks=stack.remarks, places=stack.places,
        positions=tuple(stack.positions.tolist()) if stack.positions is not None else (),
    )  # fmt: skip


def scan_from_image(
    image: nib.spatialimages.SpatialImage,
    name: str,
    axis: str | None = None,
    trust: str | None = None,
    nan: str = "keep",
) -> Scan:
    """The Scan of a nibabel image, in memory or on disk; raises InputError as `check_voxels`."""
    shape = significant(image.shape)
    if len(shape) not in (3, 4):
        raise InputError(
            f"{name}: found {len(image.shape)}-D data of shape {image.shape}, allowed are 3-D and 4-D images"
        )
    proxy: Any = image.dataobj
    # Its subclasses, of AFNI and PAR/REC, have a scale of every volume or slice.
    if type(proxy) is nib.arrayproxy.ArrayProxy:
        stored, slope, inter = proxy.get_unscaled(), float(proxy.slope), float(proxy.inter)
    else:
        stored, slope, inter = np.asanyarray(proxy), 1.0, 0.0
    stored = stored.reshape(shape, order="A").astype(
        UNWRITABLE_TYPES.get(stored.dtype.name, stored.dtype), copy=False
    )
    affine = voxel_affine(image, name, trust)
    header = nifti_header(image, stored, name)
    if trust is not None:  # the file that is written contradicts itself no more
        header.set_qform(affine, int(header["qform_code"]))
        header.set_sform(affine, int(header["sform_code"]))
    scan = Scan(name, np.asarray(stored), slope, inter, header, affine, 0)
    check_voxels(scan.name, scan.stored, scan.header, nan)
    if nan == "zero" and scan.stored.dtype.kind in "fc":
        scan = replace(scan, stored=np.nan_to_num(scan.stored, nan=0.0))
    scan = replace(scan, axis=choose_axis(scan, axis))
    if scan.stored.shape[scan.axis] < 2:
        raise InputError(f"{name}: found 1 slice along axis {'ijk'[scan.axis]}, at least 2 are needed")
    return scan


def nifti_header(image: nib.spatialimages.SpatialImage, stored: np.ndarray, name: str) -> nib.Nifti1Header:
    """A NIfTI header for the stored values: the image's own, or one made from another format's.

    Raises InputError for a type that NIfTI has not.
    """
    header = image.header
    if isinstance(header, nib.Nifti1Header):
        single = nib.Nifti2Header if isinstance(header, nib.Nifti2Header) else nib.Nifti1Header
        made = single(header.binaryblock, header.endianness, check=False)
        made.extensions.extend(header.extensions)
    else:
        made = nib.Nifti1Image(np.broadcast_to(np.uint8(0), image.shape), image.affine).header.copy()
        made.set_xyzt_units("mm", "sec" if stored.ndim == 4 else None)
        times = [float(time) for time in header.get_zooms()[3 : stored.ndim]]
        if isinstance(header, nib.freesurfer.mghformat.MGHHeader):  # ms
            times = [time / 1000 for time in times]
        made.set_zooms((*made.get_zooms()[:3], *times))
    try:
        made.set_data_dtype(stored.dtype.newbyteorder("="))
    except HeaderDataError as error:
        raise InputError(
            f"{name}: found voxels of type {stored.dtype}, allowed are those of NIfTI"
        ) from error
    return made


def without_nan(frame: np.ndarray) -> np.ndarray:
    """(slices, rows, columns) with every NaN replaced by the value of the nearest voxel that has one."""
    absent = np.isnan(frame)
    if not absent.any():
        return frame
    if absent.all():  # a frame of a series
        return np.zeros_like(frame)
    nearest = scipy.ndimage.distance_transform_edt(absent, return_distances=False, return_indices=True)
    filled: np.ndarray = frame[tuple(nearest)]
    return filled


def choose_axis(scan: Scan, setting: str | None) -> int:
    """The slice axis: the given one, else of largest spacing; on a tie the header's, else the most axial."""
    anatomical = nib.io_orientation(scan.affine)[:, 0]
    if setting in ARRAY_AXES:
        return ARRAY_AXES[setting]
    if setting in ANATOMICAL_AXES:
        return int(np.flatnonzero(anatomical == ANATOMICAL_AXES[setting])[0])
    if setting is not None:
        raise InputError(f"axis: found {setting!r}, allowed are {', '.join([*ARRAY_AXES, *ANATOMICAL_AXES])}")
    spacing = np.array(scan.spacing_mm)
    largest = np.flatnonzero(spacing >= 0.99 * spacing.max())
    recorded = scan.header.get_dim_info()[2]
    if recorded in largest:
        return int(recorded)
    return int(max(largest, key=lambda axis: anatomical[axis]))
