"""Method files, config/methods/NAME.yaml: read, completed from their base, checked against the schema and the code."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.schemas import check, locate, override, read_yaml, relative, with_defaults
from interslice.methods.declared import check_declared
from interslice.methods.external import check_command
from interslice.methods.registry import METHODS

SCHEMA = "workflow/schemas/method.schema.yaml"


def load_method_settings(entry: str, root: Path, dataset: str | None = None) -> dict[str, Any]:
    """Read a method file; one with `base` takes that file's settings and overrides keys that the base has.

    A file that names another `method` than its base may add that method's own keys. `datasets.NAME` in a file
    overrides its settings for that dataset. What a file says itself goes before what its base says for a dataset:
    an ablation stays one on every dataset.
    """
    path = locate(entry, "methods", root)
    settings, name = read_yaml(path), relative(path, root)
    special = settings.pop("datasets", {})
    if not isinstance(special, Mapping):
        raise InputError(
            f"{name}: key datasets: found {special!r}, allowed is a mapping of datasets to settings"
        )
    if "base" in settings:
        base = load_method_settings(settings.pop("base"), root, dataset)
        # Another method on the same settings brings keys of its own; its schema says which.
        own = {key: settings.pop(key) for key in set(settings) - set(base)} if "method" in settings else {}
        settings = override(base, settings, name) | own
    return (
        override(settings, special.get(dataset) or {}, name, f"datasets.{dataset}.") if dataset else settings
    )


def check_method(settings: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> None:
    """Check a method's settings against the schema's block of the same name, and that its code is what they say."""
    blocks = schema["$defs"]["methods"]
    method = settings.get("method")
    if method not in blocks and method in METHODS:
        raise InputError(
            f"{SCHEMA}: found no block {method!r} in $defs.methods, which {name} needs for its settings"
        )
    if method not in blocks:
        raise InputError(f"{name}: key method: found {method!r}, allowed are {', '.join(blocks)}")
    check(settings, {**schema, **blocks[method]}, name)
    check_declared(str(method), trained=settings["role"] == "trained")


def completed(settings: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with the defaults of the schema's block of its method, where that has any."""
    return with_defaults(settings, schema["$defs"]["methods"].get(settings.get("method"), {}))


def absent_program(settings: Mapping[str, Any], name: str, root: Path) -> str:
    """The program that a method lacks, and how to install it; nothing where all is there.

    InputError where the method is not optional, for a command that cannot be run, and for a missing file that defines it.
    """
    if "command" not in settings:
        return ""
    check_command(settings["command"], f"method {name}")
    program = shlex.split(settings["command"])[0]
    if shutil.which(root / program if "/" in program else program):
        absent = [file for file in settings["files"] if not (root / file).is_file()]
        if absent:
            raise InputError(f"method {name}: key files: found no file {absent[0]}")
        return ""
    install = f" ({settings['install']})" if settings["install"] else ""
    if not settings["optional"]:
        raise InputError(
            f"method {name}: key command: found no program {program}; install it{install} or leave the method out"
        )
    return program + install
