"""YAML files and the JSON schemas that they are checked against; an error is one sentence."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from interslice.common.errors import InputError

TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}
# In C, ten times as fast, where PyYAML was built with it.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def check(instance: Any, schema: Mapping[str, Any], name: str) -> None:
    """Validate against a JSON schema; the most telling error becomes one sentence."""
    error = best_match(Draft202012Validator(schema).iter_errors(instance))
    if error is not None:
        raise InputError(f"{name}: {sentence(error)}")


def sentence(error: ValidationError) -> str:
    """Key, what was found, what is allowed."""
    key = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    ).lstrip(".")
    place = f"key {key}: " if key else ""
    found: Any = error.instance
    allowed: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            properties = schema["properties"]
            unknown = next(name for name in found if name not in properties)
            return f"{place}found the unknown key {unknown!r}, allowed are {', '.join(properties)}"
        case "required":
            missing = next(name for name in allowed if name not in found)
            return f"{place}the key {missing!r} is missing, required are {', '.join(allowed)}"
        case "type":
            names = [allowed] if isinstance(allowed, str) else allowed
            hint = (
                " (YAML reads 1e-4 as text: write 1.0e-4)" if isinstance(found, str) and "e" in found else ""
            )
            return (
                f"{place}found {found!r}, allowed is {' or '.join(TYPE_NAMES.get(n, n) for n in names)}{hint}"
            )
        case "enum":
            return f"{place}found {found!r}, allowed are {', '.join(map(str, allowed))}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            return f"{place}found {found}, allowed are numbers {BOUNDS[error.validator]} {allowed}"
        case "minItems" | "minLength" | "minProperties":
            return f"{place}found {found!r}, allowed are at least {allowed} entries"
        case "uniqueItems":
            return f"{place}found {found!r}, allowed is a list without repeats"
        case "pattern":
            return f"{place}found {found!r}, allowed is text of the form {allowed}"
        case _:
            return f"{place}found {found!r}: {error.message}"


def locate(entry: str, folder: str, root: Path) -> Path:
    """The file of a dataset or method entry; InputError lists the names that exist."""
    path = root / entry if entry.endswith(".yaml") else root / "config" / folder / f"{entry}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in (root / "config" / folder).glob("*.yaml"))
        raise InputError(
            f"config: key {folder}: found {entry!r}, allowed are {', '.join(known)} or the path of a .yaml file"
        )
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; InputError for a file that is not one."""
    try:
        content = SafeLoader(path.read_text()).get_single_data()
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, allowed is a mapping")
    return content


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, for messages."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def override(
    base: Mapping[str, Any], changes: Mapping[str, Any], name: str, prefix: str = ""
) -> dict[str, Any]:
    """`base` with the keys of `changes` replaced, mapping by mapping; a key that `base` lacks is refused."""
    unknown = [key for key in changes if key not in base]
    if unknown:
        raise InputError(f"{name}: found key {prefix}{unknown[0]}, allowed are the base's: {', '.join(base)}")
    nested = {
        key: override(base[key], value, name, f"{prefix}{key}.")
        for key, value in changes.items()
        if isinstance(value, Mapping) and isinstance(base[key], Mapping)
    }
    return {**deepcopy(dict(base)), **deepcopy(dict(changes)), **nested}


def with_defaults(content: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with the `default` of every key of the schema that it lacks, mapping by mapping."""
    filled = deepcopy(dict(content))
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = deepcopy(rule["default"])
        if isinstance(filled.get(key), Mapping):
            filled[key] = with_defaults(filled[key], rule)
    return filled
