"""A study: the configuration with its datasets and methods resolved and checked before anything runs."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from interslice.datasets import SPLITS
from interslice.datasets.splits import REST
from interslice.errors import InputError
from interslice.schemas import check, locate, read_yaml, relative


@dataclass(frozen=True)
class Study:
    """A checked study: the configuration, the datasets and methods it names (settings complete), in its
    order.

    variants: (method, dataset) to the settings of a method that differ for a dataset.
    """

    config: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    variants: dict[tuple[str, str], dict[str, Any]]

    def named(self, role: str) -> list[str]:
        """The study's methods of a role: control, baseline or trained."""
        return [name for name, settings in self.methods.items() if settings["role"] == role]

    def factors(self, dataset: str) -> list[int]:
        """The anisotropy factors K of a dataset: its own, or the study's."""
        return list(self.datasets[dataset]["factors"] or self.config["factors"])

    def training_dataset(self, dataset: str) -> str:
        """The dataset whose train split makes the models that `dataset` is evaluated with."""
        return str(self.datasets[dataset]["trained_on"] or dataset)

    def trained_datasets(self) -> list[str]:
        """The datasets that models are trained on, in the order of the study."""
        return [name for name in self.datasets if self.training_dataset(name) == name]

    def settings(self, method: str, dataset: str) -> dict[str, Any]:
        """The settings of a method on a dataset."""
        return self.variants.get((method, self.training_dataset(dataset)), self.methods[method])

    @property
    def labels(self) -> dict[str, str]:
        """Method name to the label of tables and figures, in the order of the study."""
        return {name: settings["label"] for name, settings in self.methods.items()}


def load_study(config: Mapping[str, Any], root: Path) -> Study:
    """Check `config` and load the dataset and method files that it names.

    A name is looked up as config/datasets/NAME.yaml or config/methods/NAME.yaml below `root`; a value that
    ends in .yaml is a path below `root`. Raises InputError with the file, the key, what was found and what is
    allowed.
    """
    schemas = root / "workflow" / "schemas"
    check(config, read_yaml(schemas / "config.schema.yaml"), "config")
    dataset_schema = read_yaml(schemas / "dataset.schema.yaml")
    datasets = [load_dataset(entry, dataset_schema, root) for entry in config["datasets"]]
    method_schema = read_yaml(schemas / "method.schema.yaml")
    methods, variants = {}, {}
    for entry in config["methods"]:
        name = Path(entry).stem
        methods[name] = method_settings(entry, config, method_schema, root)
        for dataset in (one["name"] for one in datasets):
            settings = method_settings(entry, config, method_schema, root, dataset)
            if settings != methods[name]:
                variants[name, dataset] = settings
    study = Study(deepcopy(dict(config)), {d["name"]: d for d in datasets}, methods, variants)
    check_trained_on(study)
    return study


def load_dataset(entry: str, schema: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Read and check a dataset file; keys that it leaves out get the schema's defaults."""
    path = locate(entry, "datasets", root)
    dataset = read_yaml(path)
    name = relative(path, root)
    check(dataset, schema, name)
    dataset = with_defaults(dataset, schema)
    check_source(dataset, name)
    check_splits(dataset, name)
    return dataset


def with_defaults(content: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with the `default` of every key of the schema that it lacks, mapping by mapping."""
    filled = deepcopy(dict(content))
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = deepcopy(rule["default"])
        if isinstance(filled.get(key), Mapping):
            filled[key] = with_defaults(filled[key], rule)
    return filled


def check_source(dataset: Mapping[str, Any], name: str) -> None:
    """Refuse keys that do not go together: each source needs its own."""
    needed = {"packages": ("packages", "subjects"), "folder": ("folder",)}.get(dataset["source"], ())
    for key in needed:
        if not dataset[key]:
            raise InputError(
                f"{name}: the key {key!r} is missing, source {dataset['source']} needs {' and '.join(needed)}"
            )
    if dataset["folder"] and dataset["archives"]:
        raise InputError(
            f"{name}: found the keys folder and archives, allowed is one: what is there, or what is unpacked"
        )
    for subject, entry in dataset["subjects"].items():
        if entry["package"] not in dataset["packages"]:
            raise InputError(
                f"{name}: key subjects.{subject}.package: found {entry['package']!r}, "
                f"allowed are {', '.join(dataset['packages'])}"
            )


def check_trained_on(study: Study) -> None:
    """A dataset that borrows its models needs the lender in the study, with the same factors."""
    if not study.named("trained"):
        return
    for name, dataset in study.datasets.items():
        lender = dataset["trained_on"]
        if not lender:
            continue
        if lender not in study.trained_datasets():
            raise InputError(
                f"dataset {name}: key trained_on: found {lender!r}, allowed are datasets of the study with a train split: "
                f"{', '.join(study.trained_datasets())}"
            )
        absent = sorted(set(study.factors(name)) - set(study.factors(lender)))
        if absent:
            raise InputError(
                f"dataset {name}: key factors: found K = {absent[0]}, allowed are those of {lender}, "
                f"which it is trained on: {study.factors(lender)}"
            )


def method_settings(
    entry: str, config: Mapping[str, Any], schema: Mapping[str, Any], root: Path, dataset: str | None = None
) -> dict[str, Any]:
    """The checked settings of a method, for one dataset or in general, with the study's training keys."""
    settings = load_method_settings(entry, root, dataset)
    if settings.get("role") == "trained":
        settings["training"] = merge(settings.get("training", {}), config["training"])
    check_method(settings, schema, f"method {Path(entry).stem}" + (f", dataset {dataset}" if dataset else ""))
    return settings


def load_method_settings(entry: str, root: Path, dataset: str | None = None) -> dict[str, Any]:
    """Read a method file; one with `base` takes that file's settings and overrides keys that the base has.

    `datasets.NAME` in a file overrides its settings for that dataset. What a file says itself goes before what its base
    says for a dataset: an ablation stays one on every dataset.
    """
    path = locate(entry, "methods", root)
    settings, name = read_yaml(path), relative(path, root)
    special = settings.pop("datasets", {})
    if not isinstance(special, Mapping):
        raise InputError(
            f"{name}: key datasets: found {special!r}, allowed is a mapping of datasets to settings"
        )
    if "base" in settings:
        settings = override(load_method_settings(settings.pop("base"), root, dataset), settings, name)
    return (
        override(settings, special.get(dataset) or {}, name, f"datasets.{dataset}.") if dataset else settings
    )


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
    """Refuse splits that mix lists, counts and a file, lack one, or have a subject twice."""
    splits = dataset["splits"]
    parts = [splits.get(split) for split in SPLITS]
    kinds = {"lists" if isinstance(part, list) else "counts" for part in parts if part is not None}
    if splits.get("file"):
        kinds.add("a file")
    elif None in parts:
        raise InputError(
            f"{name}: key splits: the key {SPLITS[parts.index(None)]!r} is missing, required are {', '.join(SPLITS)}"
        )
    if len(kinds) > 1:
        raise InputError(
            f"{name}: key splits: found {' and '.join(sorted(kinds))}, allowed is one of lists, counts and a file"
        )
    if parts.count(REST) > 1:
        raise InputError(f"{name}: key splits: found {REST} {parts.count(REST)} times, allowed is once")
    for split, part in zip(SPLITS, parts, strict=True):
        if part in ([], 0) and (split == "test" or not dataset["trained_on"]):
            raise InputError(
                f"{name}: key splits.{split}: found no subject, at least 1 is needed"
                + ("" if split == "test" else " unless trained_on names another dataset")
            )
    check_lists(
        {split: part for split, part in zip(SPLITS, parts, strict=True) if isinstance(part, list)}, name
    )


def check_lists(splits: Mapping[str, list[str]], name: str) -> None:
    """Refuse a subject that is in two splits or twice in one."""
    seen: dict[str, str] = {}
    for split, subjects in splits.items():
        for subject in subjects:
            if subject in seen:
                raise InputError(
                    f"{name}: key splits: subject {subject} is in {seen[subject]} and in {split}, allowed is one split"
                )
            seen[subject] = split
