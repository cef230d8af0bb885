"""Movement between the two passes of an interleaved stack: the odd slices lie in plane beside the even ones.

Every slice is compared with the mean of its two neighbours, which are of the other pass: what anatomy changes from slice to
slice is the same for both passes and averages out, a movement has the other sign in each.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import scipy

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.itk import itk_path
from interslice.scan.scans import Scan, without_nan

if TYPE_CHECKING:
    import SimpleITK

FEWEST = 8  # slices: below that a movement cannot be told from anatomy
LARGEST_SIDE = 256  # pixels that are looked at
SMOOTHING_PX = 1.5
SURE = 5  # standard errors
SMALLEST = 0.25  # of a pixel: less is not worth a word


@dataclass(frozen=True)
class Motion:
    """Of the odd slices against the even ones, about the middle of the slice: mm along rows' and columns' index, degrees."""

    down_mm: float
    right_mm: float
    degrees: float

    @property
    def shift_mm(self) -> float:
        return float(np.hypot(self.down_mm, self.right_mm))

    def __str__(self) -> str:
        return f"{self.shift_mm:.2g} mm and {abs(self.degrees):.2g} degrees"


def in_plane_mm(scan: Scan) -> tuple[float, float]:
    """Pixel sizes of `Scan.frame` along rows and columns."""
    first, second = (size for axis, size in enumerate(scan.spacing_mm) if axis != scan.axis)
    return first, second


def detect_motion(scan: Scan) -> Motion | None:
    """The movement between odd and even slices, None where none is sure; a first look without a registration.

    One step of least squares (Lucas and Kanade, IJCAI 1981) for shift, rotation, gain and offset of all slices together, with
    standard errors over slices. 4-D scans are not looked at: there every frame may have moved.
    """
    volume = without_nan(scan.frame(0))
    if scan.frames > 1 or len(volume) < FEWEST or min(volume.shape[1:]) < 2:
        return None
    step = max(1, -(-max(volume.shape[1:]) // LARGEST_SIDE))
    down, right = (smoothing(count, step) for count in volume.shape[1:])
    smooth = down @ volume @ right.T
    sizes = np.array(in_plane_mm(scan)) * step
    rows, columns = (
        (np.arange(count) - (count - 1) / 2) * size
        for count, size in zip(smooth.shape[1:], sizes, strict=True)
    )
    normal, scores, curvatures = np.zeros((5, 5)), [], []
    for index in range(1, len(smooth) - 1):
        other = (smooth[index - 1] + smooth[index + 1]) / 2
        down, right = np.gradient(other, *sizes)
        turn = down * columns - right * rows[:, np.newaxis]
        design = np.stack([down, right, turn, other, np.ones_like(other)], axis=-1).reshape(-1, 5)
        sign = 1 if index % 2 else -1
        design[:, :3] *= sign
        curvatures.append(design.T @ design)
        scores.append(design.T @ (other - smooth[index]).ravel())
        normal += curvatures[-1]
    try:
        inverse = np.linalg.inv(normal)
    except np.linalg.LinAlgError:  # slices without any structure
        return None
    found = inverse @ np.sum(scores, axis=0)
    left = np.array([score - curvature @ found for score, curvature in zip(scores, curvatures, strict=True)])
    errors = np.sqrt(np.diag(inverse @ left.T @ left @ inverse))
    edge_mm = (
        np.hypot(rows[-1], columns[-1]) / 2
    )  # half-way to the corner, where a rotation moves as a shift does
    moved = np.array([found[0], found[1], found[2] * edge_mm])
    sure = np.abs(found[:3]) > SURE * errors[:3]
    if not (sure & (np.abs(moved) > SMALLEST * min(in_plane_mm(scan)))).any():
        return None
    return Motion(float(found[0]), float(found[1]), float(np.degrees(found[2])))


def smoothing(count: int, step: int) -> np.ndarray:
    """(kept, count): Gaussian weights about every `step`-th of `count` pixels; those beyond the ends are left out."""
    distance = (np.arange(0, count, step)[:, np.newaxis] - np.arange(count)) / (SMOOTHING_PX * step)
    weights = np.exp(-(distance**2) / 2)
    return weights / weights.sum(axis=1, keepdims=True)


def register_halves(scan: Scan) -> "tuple[Motion, SimpleITK.Euler3DTransform]":
    """The movement by rigid in-plane registration, and the transform: points of the even slices to those of the odd ones.

    Its axes are the scan's (columns, rows, slices) in mm from the first voxel. SimpleITK: correlation, three levels.
    """
    import SimpleITK as sitk

    volume = without_nan(scan.frame(0)).astype(np.float32)
    own, between = volume[1:-1:2], (volume[:-2:2] + volume[2::2]) / 2
    fixed, moving = (sitk.GetImageFromArray(np.ascontiguousarray(part)) for part in (between, own))
    rows, columns = in_plane_mm(scan)
    for image in (fixed, moving):
        image.SetSpacing((columns, rows, 2 * scan.slice_spacing_mm))
    start = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform())
    start = sitk.Euler3DTransform(start)
    start.SetTranslation((0, 0, 0))
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums over threads are in no fixed order: one makes equal runs equal
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=200, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetOptimizerWeights([0, 0, 1, 1, 1, 0])  # in plane alone
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2 * columns, columns, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    _, _, angle, right, down, _ = start.GetParameters()
    return Motion(float(down), float(right), float(np.degrees(angle))), start


def corrected(scan: Scan, transform: "SimpleITK.Euler3DTransform") -> Scan:
    """The scan with its odd slices moved onto the even ones (cubic spline, edges repeated); even slices stay bit by bit."""
    volume = scan.frame(0)
    rows, columns = in_plane_mm(scan)
    sizes = np.array([rows, columns])
    turn = np.array(transform.GetMatrix()).reshape(3, 3)[:2, :2][::-1, ::-1]  # ITK counts (column, row)
    shift = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))[:2][::-1]
    stored = scan.stored.copy()
    result = replace(scan, stored=stored)
    for index in range(1, len(volume), 2):
        filled = without_nan(volume[index : index + 1])[0]
        moved = scipy.ndimage.affine_transform(
            filled, turn * sizes / sizes[:, np.newaxis], shift / sizes, order=3, mode="nearest"
        )
        moved = np.clip(moved, filled.min(), filled.max())
        moved[np.isnan(volume[index])] = np.nan
        result.stored_frame(0)[index] = scan.to_stored(moved)
    return result


def transform_path(output: Path) -> Path:
    """Where the transform of a result lies."""
    return output.with_name(f"{output.name.split('.')[0]}_odd-slices.tfm")


def write_transform(scan: Scan, transform: "SimpleITK.Euler3DTransform", output: Path) -> Path:
    """Write the transform beside a result, and return its path.

    As ITK's programs take it: world coordinates (LPS, mm) of the corrected odd slices to those of the scan's.
    """
    import SimpleITK as sitk

    # From (columns, rows, slices) in mm to the world.
    order = [axis for axis in (2, 1, 0) if axis != scan.axis] + [scan.axis]
    cosines = (scan.affine[:3, :3] / nib.affines.voxel_sizes(scan.affine))[:, order]
    unit = np.array(scan.spacing_mm) / nib.affines.voxel_sizes(scan.affine)
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = cosines, scan.affine[:3, 3] * unit[0]
    world = np.diag([-1.0, -1.0, 1.0, 1.0]) @ world
    own = np.eye(4)
    own[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    own[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    whole = world @ own @ np.linalg.inv(world)
    path = transform_path(output)
    made = sitk.AffineTransform(3)
    made.SetMatrix(whole[:3, :3].ravel().tolist())
    made.SetTranslation(whole[:3, 3].tolist())
    try:
        with replacing(path) as temporary:
            sitk.WriteTransform(made, itk_path(temporary))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from error
    return path
