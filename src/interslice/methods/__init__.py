"""The methods: one table, one contract (see `base.Method`).

Adding a method: a file here with a class of that contract, a line in METHODS, a settings block in
workflow/schemas/method.schema.yaml and a file in config/methods/. Modules are named, not imported, so that a conventional
method does not pull torch and editing one method does not rerun another.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interslice.common.errors import InputError

if TYPE_CHECKING:
    from interslice.methods.base import Method

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
    "eclare": "interslice.methods.eclare",
    "srcnn3d": "interslice.methods.srcnn3d",
    "srrecnn3d": "interslice.methods.srcnn3d",
    "unet": "interslice.methods.unet",
    "segsrgan": "interslice.methods.segsrgan",
    "cae": "interslice.methods.cae",
    "cae_multi": "interslice.methods.cae_multi",
    "cae_residual": "interslice.methods.cae_residual",
    "vae": "interslice.methods.vae",
    "acai": "interslice.methods.acai",
}

# Methods whose class is supervised: they see high-resolution volumes of training subjects. Here as well, so that a workflow
# can mark them without importing torch.
SUPERVISED = ("srcnn3d", "srrecnn3d", "unet", "segsrgan")


def build_method(settings: Mapping[str, Any]) -> "Method":
    """An untrained instance of the method that `settings["method"]` names; InputError for an unknown name."""
    name = settings["method"]
    if name not in METHODS:
        raise InputError(f"method: found {name!r}, allowed are {', '.join(METHODS)}")
    return importlib.import_module(METHODS[name]).CLASSES[name](settings)


def load_method(settings: Mapping[str, Any], checkpoint: Path | None) -> "Method":
    """A method ready to interpolate: with the weights of `checkpoint` if it is a trained one."""
    method = build_method(settings)
    if method.trained != (checkpoint is not None):
        found, needed = ("a", "no") if checkpoint else ("no", "a")
        raise InputError(
            f"method {settings['method']}: found {found} checkpoint, it takes {needed} checkpoint"
        )
    if checkpoint is not None:
        method.load(checkpoint)
    return method
