"""A study: the configuration with its datasets and methods resolved and checked before anything runs."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from interslice.datasets import SPLITS
from interslice.errors import InputError

TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


@dataclass(frozen=True)
class Study:
    """A checked study: the configuration, the datasets and methods it names (settings complete), in its order."""

    config: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]

    def named(self, role: str) -> list[str]:
        """The study's methods of a role: control, baseline or trained."""
        return [name for name, settings in self.methods.items() if settings["role"] == role]

    @property
    def labels(self) -> dict[str, str]:
        """Method name to the label of tables and figures, in the order of the study."""
        return {name: settings["label"] for name, settings in self.methods.items()}


def load_study(config: Mapping[str, Any], root: Path) -> Study:
    """Check `config` and load the dataset and method files that it names.

    A name is looked up as config/datasets/NAME.yaml or config/methods/NAME.yaml below `root`; a value that ends in .yaml
    is a path below `root`. Raises InputError with the file, the key, what was found and what is allowed.
    """
    schemas = root / "workflow" / "schemas"
    check(config, read_yaml(schemas / "config.schema.yaml"), "config")
    dataset_schema = read_yaml(schemas / "dataset.schema.yaml")
    datasets = {}
    for entry in config["datasets"]:
        path = locate(entry, "datasets", root)
        dataset = read_yaml(path)
        check(dataset, dataset_schema, relative(path, root))
        check_splits(dataset, relative(path, root))
        datasets[dataset["name"]] = dataset
    method_schema = read_yaml(schemas / "method.schema.yaml")
    methods = {}
    for entry in config["methods"]:
        settings = load_method_settings(entry, root)
        if settings.get("role") == "trained":
            settings["training"] = merge(settings.get("training", {}), config["training"])
        check_method(settings, method_schema, f"method {Path(entry).stem}")
        methods[Path(entry).stem] = settings
    return Study(deepcopy(dict(config)), datasets, methods)


def load_method_settings(entry: str, root: Path) -> dict[str, Any]:
    """Read a method file; one with `base` takes that file's settings and overrides keys that the base has."""
    path = locate(entry, "methods", root)
    settings = read_yaml(path)
    if "base" not in settings:
        return settings
    base = load_method_settings(settings.pop("base"), root)
    return override(base, settings, relative(path, root))


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


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `changes` replaced or added."""
    return {**base, **changes}


def typed(overrides: Any) -> Any:
    """Values given on Snakemake's command line: `--config factors=[2]` arrives as the text "2", YAML says what is meant."""
    if isinstance(overrides, Mapping):
        return {key: typed(value) for key, value in overrides.items()}
    if isinstance(overrides, list):
        return [typed(value) for value in overrides]
    return yaml.safe_load(overrides) if isinstance(overrides, str) and overrides else overrides


def check_method(settings: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> None:
    """Check a method's settings against the schema's block of the same name."""
    blocks = schema["$defs"]["methods"]
    method = settings.get("method")
    if method not in blocks:
        raise InputError(f"{name}: key method: found {method!r}, allowed are {', '.join(blocks)}")
    check(settings, {**schema, **blocks[method]}, name)


def check_splits(dataset: Mapping[str, Any], name: str) -> None:
    """Refuse a subject that is in two splits or twice in one."""
    seen: dict[str, str] = {}
    for split in SPLITS:
        for subject in dataset["splits"][split]:
            if subject in seen:
                raise InputError(
                    f"{name}: key splits: subject {subject} is in {seen[subject]} and in {split}, allowed is one split"
                )
            seen[subject] = split


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
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, allowed is a mapping")
    return content


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, for messages."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
