"""Interpolation of a person's own scan: the factor, the method, the frames, the scale of the intensities."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.common.extras import require
from interslice.common.files import sha256_of
from interslice.data.volumes import output_size
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.registry import METHODS
from interslice.methods.shipped import PRETRAINED, read_settings
from interslice.scan.labels import holds_whole_values, interpolate_labels, why_labels
from interslice.scan.scans import Scan, check_contrast, check_memory, scan_from_image, without_nan

CONVENTIONAL = ("bspline", "lanczos", "linear", "nearest", "registration")
# Not for the tool: a control needs the reference, the others are peers with settings of a study.
STUDIES_ONLY = ("oracle", "total_variation", "fourier_burst", "coupled_dictionary", "self_sr", "eclare")
MAX_FACTOR = 32
PERCENTILES = (1, 99.8)  # of a frame, to 0 and 1 of a trained method: as the default study normalises
FLOAT32_COPIES = 4  # of an output frame that are in memory at the same time, with room to spare


class NothingToDo(InputError):
    """The scan is as fine already as was asked for."""


@dataclass(frozen=True)
class Model:
    """A method ready to interpolate; of a trained one also file name, sha256 and training subjects."""

    name: str
    method: Method
    file: str | None = None
    sha256: str | None = None
    subjects: tuple[str, ...] = ()


def known_methods() -> list[str]:
    """The names that --method takes."""
    return [*CONVENTIONAL, *(name for name in METHODS if name not in (*CONVENTIONAL, *STUDIES_ONLY))]


def check_method_name(name: str) -> None:
    if name not in known_methods():
        raise InputError(f"method: found {name!r}, allowed are {', '.join(known_methods())}")


def conventional(name: str) -> Model:
    """A method that needs no training."""
    check_method_name(name)
    if name not in CONVENTIONAL:
        raise InputError(f"method {name}: is a trained method, it needs --model FILE or --train-here")
    return Model(name, build_method(read_settings(name)))


def load_model(file: str | Path, method: str | None = None) -> Model:
    """A trained method from a checkpoint of ours, or the finished model of a bare NAME.

    The checkpoint says what it is; `method`, if given, must agree. Raises InputError for a missing, damaged
    or foreign file and for weights that do not fit the architecture that the file names.
    """
    path = find_model(file)
    require("torch", "model", f"the model {path.name}")
    from interslice.common.checkpoints import read_checkpoint

    state = read_checkpoint(path)
    settings = state.get("settings")
    if not isinstance(settings, Mapping) or settings.get("method") not in METHODS:
        found = settings.get("method") if isinstance(settings, Mapping) else None
        raise InputError(f"{path}: found a checkpoint of method {found}, allowed are {', '.join(METHODS)}")
    name = settings["method"]
    if method is not None and method != name:
        raise InputError(f"{path}: found a checkpoint of method {name}, --method asks for {method}")
    try:
        built = build_method(settings)
        built.load(path)
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{path}: the weights do not fit the {name} network that the file names ({reason})"
        ) from error
    subjects = tuple(map(str, state.get("subjects", ())))
    return Model(name, built, path.name, sha256_of(path), subjects)


def choose_model(method: str | None, model: str | Path | None) -> Model:
    """The method that --method and --model ask for together: cubic B-spline where neither is given."""
    if method is not None:
        check_method_name(method)
    if model is None:
        return conventional(method or "bspline")
    if method in CONVENTIONAL:
        raise InputError(
            f"model: found {model} with method {method}, which is not trained; leave one of them out"
        )
    return load_model(model, method)


def find_model(file: str | Path) -> Path:
    """The path of a checkpoint that is given as a file or as a name."""
    path = Path(file)
    if path.exists():
        if path.is_dir():
            raise InputError(f"{path}: found a folder, allowed is a checkpoint file")
        return path
    named = PRETRAINED / f"{file}.pt"
    if named.is_file():
        return named
    names = ", ".join(sorted(path.stem for path in PRETRAINED.glob("*.pt"))) or "none in this installation"
    raise InputError(f"model: found no file {file}; models known by name: {names}")


def parse_factor(text: str | int | float) -> int:
    """A factor from what a person typed."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer() or not 2 <= value <= MAX_FACTOR:
        raise InputError(f"factor: found {text}, allowed are whole numbers from 2 to {MAX_FACTOR}")
    return int(value)


def factor_for(scan: Scan, spacing_mm: float | None = None) -> int:
    """The factor that brings the slice spacing nearest to `spacing_mm` (None: the in-plane spacing)."""
    goal = min(scan.spacing_mm) if spacing_mm is None else spacing_mm
    if not (math.isfinite(goal) and goal > 0):
        raise InputError(f"spacing: found {goal:g}, allowed are millimetres above 0")
    factor = round(scan.slice_spacing_mm / goal)
    if factor < 2:
        raise NothingToDo(
            f"{scan.name}: the slices are {scan.slice_spacing_mm:.4g} mm apart already, "
            f"the nearest factor for {goal:.4g} mm is 1"
        )
    if factor > MAX_FACTOR:
        raise InputError(
            f"{scan.name}: {scan.slice_spacing_mm:.4g} mm to {goal:.4g} mm is a factor of {factor}, "
            f"allowed is up to {MAX_FACTOR}"
        )
    return factor


def limits_of(frame: np.ndarray, trained: bool) -> tuple[float, float]:
    """The intensities of `frame` that become 0 and 1: its range, or for a trained method the percentiles."""
    low, high = (float(value) for value in np.percentile(frame, PERCENTILES)) if trained else (0.0, 0.0)
    return (low, high) if high > low else (float(frame.min()), float(frame.max()))


def predict(method: Method, scaled: np.ndarray, factor: int, keep_original: bool) -> np.ndarray:
    """(n, rows, columns) float32, mostly in [0, 1], to ((n - 1) K + 1, rows, columns) on the same scale.

    A trained method sees the slices cut to [0, 1]. What it does not give back at the original slices is
    interpolated linearly and added: with `keep_original` its whole error there, so that sharp original slices
    do not alternate with new ones that lack what the network loses; else only what was cut off.
    """
    if not method.trained:
        return method.interpolate(scaled, factor)
    seen = np.clip(scaled, 0, 1)
    result = method.interpolate(seen, factor)
    missing = scaled - (result[::factor] if keep_original else seen)
    if missing.any():
        result = result + linear(missing, factor)
    return result


def linear(volume: np.ndarray, factor: int) -> np.ndarray:
    return build_method(read_settings("linear")).interpolate(volume, factor)


def interpolate_scaled(
    method: Method, frame: np.ndarray, factor: int, keep_original: bool
) -> tuple[np.ndarray, float, float]:
    """(slices, rows, columns) of any scale to ((n - 1) K + 1, rows, columns) float32 r, and low, span.

    The intensities are low + span * r; see `predict`. No new value lies outside the range of the frame: cubic
    and Lanczos kernels overshoot at edges, and a magnitude image has no negative values.
    """
    absent = np.isnan(frame)
    frame = without_nan(frame)
    low, high = limits_of(frame, method.trained)
    span = high - low
    if span <= 0:  # a constant frame of a series
        return np.zeros((output_size(len(frame), factor), *frame.shape[1:]), dtype=np.float32), low, 1.0
    scaled = ((frame - low) / span).astype(np.float32)
    result = np.clip(predict(method, scaled, factor, keep_original), scaled.min(), scaled.max())
    if absent.any():  # the nearer slice says where there is no value
        result[linear(absent.astype(np.float32), factor) > 0.5] = np.nan
    return result, low, span


def interpolate_frame(method: Method, frame: np.ndarray, factor: int, keep_original: bool) -> np.ndarray:
    """`interpolate_scaled` as intensities, float32."""
    result, low, span = interpolate_scaled(method, frame, factor, keep_original)
    return (low + span * result.astype(np.float64)).astype(np.float32)


def output_shape(scan: Scan, factor: int) -> tuple[int, ...]:
    """The shape of the stored array after interpolation."""
    shape = list(scan.stored.shape)
    shape[scan.axis] = output_size(shape[scan.axis], factor)
    return tuple(shape)


def check_fits(scan: Scan, factor: int) -> None:
    """Refuse an output that would not fit into memory with the working copies of a frame."""
    voxels = math.prod(output_shape(scan, factor))
    check_memory(voxels * scan.stored.dtype.itemsize + FLOAT32_COPIES * 4 * voxels // scan.frames, scan.name)


def upsample_scan(
    scan: Scan,
    factor: int,
    method: Method,
    keep_original: bool = True,
) -> Scan:
    """`scan` with `factor` times the slices; `keep_original` copies its own slices bit by bit.

    Raises InputError for a factor that is not allowed and where the memory does not suffice.
    """
    factor = parse_factor(factor)
    check_fits(scan, factor)
    shape = output_shape(scan, factor)
    fine = scan.finer(np.empty(shape, dtype=scan.stored.dtype), factor)
    for frame in range(scan.frames):
        result, low, span = interpolate_scaled(method, scan.frame(frame), factor, keep_original)
        target = fine.stored_frame(frame)
        for index in range(len(target)):
            if not (keep_original and index % factor == 0):
                target[index] = scan.to_stored(low + span * result[index].astype(np.float64))
        if keep_original:
            target[::factor] = scan.stored_frame(frame)
    return fine


def upsample_labels(scan: Scan, factor: int) -> Scan:
    """`scan`, a label map, with `factor` times the slices; its own slices stay, and no label is made up."""
    factor = parse_factor(factor)
    check_fits(scan, factor)
    fine = scan.finer(np.empty(output_shape(scan, factor), dtype=scan.stored.dtype), factor)
    for frame in range(scan.frames):
        fine.stored_frame(frame)[...] = interpolate_labels(scan.stored_frame(frame), factor)
    return fine


def label_reason(scan: Scan, label: bool | None, method: str | None) -> str:
    """Why a scan is interpolated as a label map; nothing where it is not. label: as the user says, None where he does not.

    InputError for an image without contrast, and for --label with values that are no labels.
    """
    if label:
        if not holds_whole_values(scan):
            raise InputError(f"{scan.name}: found values that are no labels, --label is for whole numbers")
        return "--label"
    reason = "" if label is False or method == "nearest" else why_labels(scan)
    if not reason and method != "nearest":
        check_contrast(scan)
    return reason


def upsample_image(
    image: nib.spatialimages.SpatialImage,
    factor: int,
    method: str | None,
    axis: str | None,
    model: str | Path | None,
    keep_original: bool,
    trust: str | None = None,
    label: bool | None = None,
    nan: str = "keep",
) -> nib.Nifti1Image:
    """What `interslice.upsample` does; see there."""
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise InputError(f"image: found {type(image).__name__}, allowed is a nibabel image")
    scan = scan_from_image(image, image.get_filename() or "image", axis, trust, nan)
    chosen = choose_model(method, model)
    if label_reason(scan, label, chosen.name):
        fine = upsample_labels(scan, factor)
    else:
        fine = upsample_scan(scan, factor, chosen.method, keep_original)
    if (scan.slope, scan.inter) == (1, 0):
        header = fine.header.copy()
        return (nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image)(
            fine.stored, fine.affine, header
        )
    # Scaled integers: only an image that reads from a file (here bytes) keeps values and scaling apart.
    written = fine.nifti()
    return type(written).from_bytes(written.to_bytes())
