"""Which methods there are. In a file of its own, so that no digest of code has it: a new line here reruns nothing."""

from collections.abc import Mapping
from typing import Any

METHODS = {
    "oracle": "interslice.methods.controls",
    "nearest": "interslice.methods.conventional",
    "linear": "interslice.methods.conventional",
    "bspline": "interslice.methods.conventional",
    "lanczos": "interslice.methods.conventional",
    "registration": "interslice.methods.registration",
    "total_variation": "interslice.methods.compressed_sensing",
    "fourier_burst": "interslice.methods.fourier_burst",
    "coupled_dictionary": "interslice.methods.coupled_dictionary",
    "self_sr": "interslice.methods.self_sr",
    "implicit": "interslice.methods.implicit",
    "external": "interslice.methods.external",
    "precomputed": "interslice.methods.precomputed",
    "srcnn3d": "interslice.methods.srcnn3d",
    "srrecnn3d": "interslice.methods.srcnn3d",
    "unet": "interslice.methods.unet",
    "segsrgan": "interslice.methods.segsrgan",
    "cae": "interslice.methods.cae",
    "cae_multi": "interslice.methods.cae_multi",
    "cae_residual": "interslice.methods.cae_residual",
    "motion_spline": "interslice.methods.motion_spline",
    "slomo": "interslice.methods.slomo",
    "vae": "interslice.methods.vae",
    "acai": "interslice.methods.acai",
}

# Methods whose class is supervised: they see high-resolution volumes of training subjects. Here as well, so that a workflow
# can mark them without importing torch.
SUPERVISED = ("srcnn3d", "srrecnn3d", "unet", "segsrgan")


def is_supervised(settings: Mapping[str, Any]) -> bool:
    """Whether a method has seen high-resolution volumes: by its class, or as its settings say of a program from elsewhere."""
    return settings["method"] in SUPERVISED or settings.get("learns_from") == "high"


# Methods that learn from the scan that they are given, to how that ends: at a budget of updates or passes that the settings
# give, or with the solution of a least-squares problem.
SELF_TRAINED = {
    "self_sr": "budget",
    "coupled_dictionary": "budget",
    "implicit": "budget",
    "fourier_burst": "closed form",
}


def self_trained(settings: Mapping[str, Any]) -> str | None:
    """How a method's learning from the scan itself ends; None where it has none. A program from elsewhere has its budget.

    Of results that were made elsewhere nothing is known.
    """
    if "results" in settings:
        return None
    return "budget" if settings.get("learns_from") == "scan" else SELF_TRAINED.get(settings["method"])


# Methods of one network for every factor, trained once, at the smallest factor of a dataset: there is most to learn from.
ONE_FOR_ALL = ("motion_spline",)


# Methods of this project; all others are the paper's, or what it or its readers would compare with.
OWN = ("cae_multi", "cae_residual", "motion_spline")


# Keys of a method that change none of its volumes.
LIMITS = ("timeout_minutes", "memory_mb")
_SHOWN = ("label", "role", "optional", "checkpoint", "learns_from", "install", "gpu", *LIMITS)
_OF_WEIGHTS = ("crop", "depth", "device", "precision")  # of a training: what its weights are used with


def what_matters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a method that change its volumes, with all that shapes a training."""
    return {key: value for key, value in settings.items() if key not in _SHOWN}


def interpolation_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `what_matters` leaves for interpolation alone: of a training, only what its weights are used with."""
    used = what_matters(settings)
    if settings["role"] == "trained":
        used["training"] = {key: value for key, value in settings["training"].items() if key in _OF_WEIGHTS}
        used.pop("synthesis", None)
    return used
