"""The configuration of a study, its datasets and methods resolved and checked before anything runs."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from interslice.common.errors import InputError
from interslice.common.schemas import check, locate, override, read_yaml, relative
from interslice.data.dataset_files import load_dataset
from interslice.data.parts import home_of
from interslice.data.splits import declared_splits
from interslice.methods.method_files import (
    SCHEMA,
    absent_program,
    check_method,
    completed,
    load_method_settings,
)
from interslice.scoring.registry import METRICS
from interslice.study import Study

# Keys whose change makes no other results: where files lie, and what a job may use.
FREE_OVERRIDES = ("resources", "threads", "memory_mb", "minutes", "gpus")


def load_study(config: Mapping[str, Any], root: Path) -> Study:
    """Check `config` and load the dataset and method files that it names.

    A name is looked up as config/datasets/NAME.yaml or config/methods/NAME.yaml below `root`, a method first
    among the variants of `ablation`; a value that ends in .yaml is a path below `root`. Raises InputError with
    the file, the key, what was found and what is allowed.
    """
    schemas = root / "workflow" / "schemas"
    schema = with_metrics(read_yaml(schemas / "config.schema.yaml"))
    check(config, schema, "config")
    config = with_grid(config, root)
    check(config, schema, "config")
    dataset_schema = read_yaml(schemas / "dataset.schema.yaml")
    datasets = [load_dataset(entry, dataset_schema, root) for entry in config["datasets"]]
    lend_models(config["trained_on"], datasets)
    method_schema = read_yaml(root / SCHEMA)
    methods: dict[str, dict[str, Any]] = {}
    ablations: dict[str, dict[str, Any]] = {}
    variants, left_out = {}, {}
    for entry in config["methods"]:
        name = Path(entry).stem
        settings = method_settings(entry, config, method_schema, root)
        if absent := absent_program(settings, name, root):
            left_out[name] = absent
            continue
        (ablations if entry in config["ablation"]["variants"] else methods)[name] = settings
        for dataset in (one["name"] for one in datasets):
            special = method_settings(entry, config, method_schema, root, dataset)
            if special != settings:
                variants[name, dataset] = special
    named = {dataset["name"]: dataset for dataset in datasets}
    study = Study(deepcopy(dict(config)), named, methods, ablations, variants, left_out)
    check_bases(study)
    check_trained_on(study)
    check_splits_to_train_on(study)
    check_checkpoints(study, root)
    check_gpus(study)
    check_precomputed(study)
    check_ablation(study, method_schema, root)
    check_comparisons(study, root)
    return study


def with_metrics(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a configuration with the names of the metrics, which the registry alone knows."""
    metrics = {"enum": [name for name, metric in METRICS.items() if metric.per != "line"]}
    blocks = schema["properties"]
    blocks["evaluation"]["properties"]["metrics"]["items"] = metrics
    blocks["statistics"]["properties"]["margins"]["propertyNames"] = metrics
    blocks["statistics"]["properties"]["primary"]["properties"]["metric"] = metrics
    return schema


def with_grid(config: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The configuration with the variants of `ablation.grid` among its own, which go before those of the same name."""
    ablation = config["ablation"]
    if not ablation["grid"]:
        return dict(config)
    path = root / ablation["grid"]
    if not path.is_file():
        raise InputError(
            f"config: key ablation.grid: found no file {ablation['grid']}, allowed is a .yaml file of variants"
        )
    variants = {**read_yaml(path), **ablation["variants"]}
    return {**config, "ablation": {**ablation, "variants": variants}}


def lend_models(lenders: Mapping[str, str], datasets: list[dict[str, Any]]) -> None:
    """Fill `trained_on` of datasets; an entry counts where both of its datasets are there: a part of a study may be run."""
    names = {dataset["name"] for dataset in datasets}
    for dataset in datasets:
        if lenders.get(dataset["name"]) in names:
            dataset["trained_on"] = lenders[dataset["name"]]


def check_bases(study: Study) -> None:
    """Datasets of the same files share their volumes, which one number of jobs makes."""
    for name, dataset in study.datasets.items():
        shards = {other["shards"] for other in study.datasets.values() if home_of(other) == home_of(dataset)}
        if len(shards) > 1:
            raise InputError(
                f"dataset {name}: key shards: found {dataset['shards']}, allowed is one number for all datasets of the files "
                f"of {home_of(dataset)}: found {', '.join(map(str, sorted(shards)))}"
            )


def check_trained_on(study: Study) -> None:
    """A dataset that borrows its models needs the lender in the study, with the same factors."""
    if not study.trainings:
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


def check_splits_to_train_on(study: Study) -> None:
    """A dataset that a study trains on needs subjects to train and to validate on; one for finished models does not."""
    trained = [name for name in study.every_method if study.trains(name)]
    for name in study.trained_datasets() if trained else []:
        present = declared_splits(study.datasets[name])
        absent = [split for split in ("train", "validation") if split not in present]
        if absent:
            raise InputError(
                f"dataset {name}: key splits.{absent[0]}: found no subject, at least 1 is needed to train {trained[0]}; "
                "name a dataset in trained_on, or leave out the methods that are trained"
            )


def check_gpus(study: Study) -> None:
    """A method whose settings ask for a GPU needs evaluations to be given one."""
    for name, settings in study.methods.items():
        if settings.get("gpu") and not study.config["gpus"]["evaluate"]:
            raise InputError(
                f"method {name}: key gpu: found true, but evaluations are given no GPU; set gpus.evaluate to 1"
            )


def check_precomputed(study: Study) -> None:
    """Results that were made elsewhere are of the test volumes as they are: there are none with lesions in them."""
    lesions = [one for one in study.config["evaluation"]["metrics"] if METRICS[one].needs == "lesions"]
    elsewhere = [name for name, settings in study.methods.items() if "results" in settings]
    if lesions and elsewhere:
        raise InputError(
            f"method {elsewhere[0]}: is made elsewhere, and {lesions[0]} needs volumes with lesions in them; leave one out"
        )


def check_checkpoints(study: Study, root: Path) -> None:
    """A method that brings finished models needs one for every K."""
    factors = sorted({factor for dataset in study.datasets for factor in study.factors(dataset)})
    for name, settings in study.methods.items():
        for factor in factors if settings.get("checkpoint") else ():
            file = settings["checkpoint"].format(K=factor)
            if not (root / file).is_file():
                raise InputError(
                    f"method {name}: key checkpoint: found no file {file}; leave out the method or K = {factor}"
                )


def check_ablation(study: Study, schema: Mapping[str, Any], root: Path) -> None:
    """Check every variant, run or not; those that run must differ from the base, which must run as well."""
    for name in study.config["ablation"]["variants"]:
        place = f"config: key ablation.variants.{name}"
        if (root / "config" / "methods" / f"{name}.yaml").exists():
            raise InputError(
                f"{place}: found the name of a file in config/methods, allowed is one of its own"
            )
        method_settings(name, study.config, schema, root)
    places = study.ablation_places()
    for dataset in study.config["ablation"]["datasets"] or []:
        # One that this study leaves out is no mistake: --config datasets=[...] may name a part of a study.
        if dataset not in study.datasets:
            locate(dataset, "datasets", root)
    for name in study.ablations:
        if study.ablation_base not in study.methods:
            raise InputError(
                f"config: key methods: found the variant {name}, its base {study.ablation_base} must be there as well"
            )
        if places and all(same_but_label(study, name, dataset) for dataset, _ in places):
            raise InputError(
                f"config: key ablation.variants.{name}: found the settings of the base {study.ablation_base}, "
                "allowed is a variant that differs from it"
            )


def check_comparisons(study: Study, root: Path) -> None:
    """Comparisons are of two methods of the study; the primary one may be of methods that this study leaves out."""
    for pair in study.config["statistics"]["comparisons"] or []:
        if pair[0] == pair[1] or not set(pair) <= set(study.methods):
            raise InputError(
                f"config: key statistics.comparisons: found {pair}, allowed are two of the study's methods: "
                f"{', '.join(study.methods)}"
            )
    declared = study.config["statistics"]["primary"] or {"method": "", "baseline": "", "factor": None}
    files = {path.stem for path in (root / "config" / "methods").glob("*.yaml")}
    unknown = {declared["method"], declared["baseline"]} - {"", *study.methods, *files}
    if unknown:
        raise InputError(
            f"config: key statistics.primary: found no method {unknown.pop()}, allowed are {', '.join(sorted(files))}"
        )
    for dataset in study.datasets if declared["factor"] and study.primary else ():
        if declared["factor"] not in study.factors(dataset):
            raise InputError(
                f"config: key statistics.primary.factor: found {declared['factor']}, allowed are null and those of "
                f"dataset {dataset}: {study.factors(dataset)}"
            )


def same_but_label(study: Study, variant: str, dataset: str) -> bool:
    """Whether a variant has the settings of its base on a dataset."""
    ours, theirs = (dict(study.settings(name, dataset)) for name in (variant, study.ablation_base))
    return {**ours, "label": ""} == {**theirs, "label": ""}


def method_settings(
    entry: str, config: Mapping[str, Any], schema: Mapping[str, Any], root: Path, dataset: str | None = None
) -> dict[str, Any]:
    """The checked settings of a method or variant, for one dataset or in general, with the study's training keys."""
    ablation, name = config["ablation"], f"method {Path(entry).stem}"
    if entry in ablation["variants"]:
        base = load_method_settings(ablation["base"], root, dataset)
        settings = override(base, ablation["variants"][entry], "config", f"ablation.variants.{entry}.")
    else:
        settings = load_method_settings(entry, root, dataset)
        name += f" ({relative(locate(entry, 'methods', root), root)})"
    if settings.get("role") == "trained":
        settings["training"] = {**settings.get("training", {}), **config["training"]}
    settings = completed(settings, schema)
    check_method(settings, schema, name + (f", dataset {dataset}" if dataset else ""))
    return settings


def refuse_silent_overrides(overrides: Mapping[str, Any], study: Study) -> None:
    """A single key of the command line that changes results needs a name for them: a study's results are those of its files."""
    changed = [key for key in overrides if key not in FREE_OVERRIDES]
    if changed and "study" not in overrides:
        raise InputError(
            f"config: key {changed[0]}: changed on the command line, which would replace the results of study "
            f"{study.config['study']}; add study=NAME to --config, or write a study file"
        )


def typed(overrides: Any) -> Any:
    """Values given on Snakemake's command line: `--config factors=[2]` arrives as the text "2", YAML says what is meant."""
    if isinstance(overrides, Mapping):
        return {key: typed(value) for key, value in overrides.items()}
    if isinstance(overrides, list):
        return [typed(value) for value in overrides]
    return yaml.safe_load(overrides) if isinstance(overrides, str) and overrides else overrides
