"""The methods: one table (registry.py), one contract (see `base.Method`).

Adding a method: a file here with a class of that contract, a line in METHODS, a settings block in
workflow/schemas/method.schema.yaml and a file in config/methods/. That is a link to settings/ here, so that an
installed package has the one file that studies read. Modules are named, not imported, so that a conventional method does not
pull torch and editing one method does not rerun another.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interslice.common.errors import InputError
from interslice.methods.registry import METHODS

if TYPE_CHECKING:
    from interslice.methods.base import Method


def method_class(name: str) -> type["Method"]:
    """The class of a method by its name in METHODS; InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(f"method: found {name!r}, allowed are {', '.join(METHODS)}")
    found: type[Method] = importlib.import_module(METHODS[name]).CLASSES[name]
    return found


def build_method(settings: Mapping[str, Any]) -> "Method":
    """An untrained instance of the method that `settings["method"]` names; InputError for an unknown name."""
    return method_class(settings["method"])(settings)


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
