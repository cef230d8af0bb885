"""The methods and models that the tool has: chosen by name, by a file, or with their limits said."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.extras import require
from interslice.common.files import sha256_of
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.registry import METHODS
from interslice.methods.shipped import FINISHED, PRETRAINED, THICKNESS, Finished, read_settings

CONVENTIONAL = ("bspline", "lanczos", "linear", "nearest", "registration")
# Not for the tool: a control needs the reference, the others are peers with settings of a study.
STUDIES_ONLY = (
    "oracle",
    "total_variation",
    "fourier_burst",
    "coupled_dictionary",
    "self_sr",
    "external",
    "precomputed",
)
TRAINED_HERE = ", trained here"  # ends the label of a method that was trained by --train-here
FAST = "bspline"  # for --fast, and where nothing can be compared
DEBLURS = "motion_spline"  # the method of --deblur
NOT_WITH_DEBLUR = ("fast", "model", "check", "uncertainty", "train_here")
AUTO = "auto"  # as --method: what is best on held-out slices of the scan


@dataclass(frozen=True)
class Model:
    """A method ready to interpolate; of a trained one also file name, sha256, training subjects and what it was trained for."""

    name: str
    method: Method
    file: str | None = None
    sha256: str | None = None
    subjects: tuple[str, ...] = ()
    limits: Finished | None = None

    @property
    def shown(self) -> str:
        """The name of the model's file, where it has one, else the method's."""
        return self.file.removesuffix(".pt") if self.file else self.name

    def remark(self, ratio: float, gap_mm: float, thickness_mm: float | None = None) -> str:
        """A sentence where a trained model is used for what it was not trained for, else nothing."""
        strange = self.limits.strange(ratio, gap_mm, thickness_mm) if self.limits else ""
        return (
            f"{self.shown} was {strange}: what is known of it does not hold; --check compares"
            if strange
            else ""
        )


def known_methods() -> list[str]:
    """The names that --method takes."""
    return [*CONVENTIONAL, *(name for name in METHODS if name not in (*CONVENTIONAL, *STUDIES_ONLY))]


def check_method_name(name: str) -> None:
    if name not in (AUTO, *known_methods()):
        raise InputError(f"method: found {name!r}, allowed are {', '.join([AUTO, *known_methods()])}")


def conventional(name: str) -> Model:
    """A method that needs no training."""
    check_method_name(name)
    if name not in CONVENTIONAL:
        raise InputError(
            f"method {name}: is a trained method, it needs --train-here or --model, a file or one of {finished_names()}"
        )
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
    return Model(name, built, path.name, sha256_of(path), subjects, limits_of_model(path, state))


def limits_of_model(path: Path, state: Mapping[str, Any]) -> Finished | None:
    """What a model was trained for: as listed, else the K of its file; None for one that was trained on a scan of one's own."""
    if path.parent == PRETRAINED and path.stem in FINISHED:
        return FINISHED[path.stem]
    if "K" not in state or str(state["settings"].get("label", "")).endswith(TRAINED_HERE):
        return None
    return Finished((state["K"], state["K"]))


def check_deblur(options: Mapping[str, object], method: str | None) -> None:
    """Refuse --deblur with another method, or with what scores on held-out slices."""
    clashing = [name for name in NOT_WITH_DEBLUR if options.get(name)]
    clashing += ["method"] if method not in (None, AUTO, DEBLURS) else []
    if clashing:
        raise InputError(
            f"found --deblur with --{clashing[0].replace('_', '-')}, allowed is it with method {DEBLURS} alone: held-out "
            "slices are averages too, and cannot tell what undoing that is worth"
        )


def deblurring() -> Model:
    """The finished model that undoes the averaging of slices over their thickness, as --deblur asks for."""
    model = load_model(DEBLURS)
    model.method.settings = {**model.method.settings, "slice_profile": THICKNESS}
    return replace(model, name=f"{DEBLURS}, averaging over the slice thickness undone")


def chosen_model(method: str | None, model: str | Path | None) -> Model | None:
    """The method that --method and --model ask for together; None where they leave the choice to the tool."""
    if method is not None:
        check_method_name(method)
    if model is not None:
        if method in CONVENTIONAL:
            raise InputError(
                f"model: found {model} with method {method}, which is not trained; leave one of them out"
            )
        return load_model(model, None if method == AUTO else method)
    if method in FINISHED:  # one file for every factor, named as its method
        return load_model(method, method)
    return None if method in (None, AUTO) else conventional(str(method))


def find_model(file: str | Path) -> Path:
    """The path of a checkpoint that is given as a file or as a name."""
    path = Path(file)
    if path.exists():
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{path}: found {found}, allowed is a checkpoint file")
        return path
    named = PRETRAINED / f"{file}.pt"
    if named.is_file():
        return named
    raise InputError(f"model: found no file {file}; models known by name: {finished_names()}")


def finished_names() -> str:
    """The finished models, for messages."""
    return ", ".join(FINISHED)
