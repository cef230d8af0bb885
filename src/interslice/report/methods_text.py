"""The methods paragraphs of a paper: fixed sentences with the numbers of a study's configuration and its comparisons."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from interslice.analysis.comparisons import PRIMARY
from interslice.methods.registry import SUPERVISED
from interslice.report.formatting import gaps_text, metric_name
from interslice.scoring.registry import METRICS

STATISTICS = (
    "The subject is the unit of analysis: one value is the mean over slices, then over frames, then over trainings. "
    "Differences are given as Hodges-Lehmann estimates with the exact interval of the signed-rank test at the smallest level "
    "from {confidence} on that the number of subjects allows, or the largest below it; the variance between trainings is added "
    "where a method was trained more than once (Zou and Donner 2008). p is of the exact two-sided Wilcoxon signed-rank test, "
    "with midranks for ties and Pratt's ranking of zeros."
)
EXPLORATORY = (
    "All other comparisons are exploratory; their p are corrected by Benjamini and Hochberg within each dataset, metric and "
    "image region, over all K and pairs."
)
# What the settings of a method from elsewhere say of it; nothing here can check it.
LEARNED = {
    "nothing": "has learned from no scan, as its settings say",
    "scan": "learns from the scan that it is given, as its settings say",
    "low": "has learned from low-resolution scans of other subjects, as its settings say",
    "high": "has learned from high-resolution scans of other subjects, as its settings say",
}
SCALINGS = {"percentile": "the percentiles {low:g} and {high:g}", "minmax": "the minimum and maximum"}
PROFILES = {
    "gaussian": "after a Gaussian slice profile of K/2.355 voxels",
    "none": "without a slice profile",
    "slab": "after averaging over slabs of 0.8 K voxels",
}


def methods_paragraph(study: Mapping[str, Any], tests: pd.DataFrame, environment: Mapping[str, Any]) -> str:
    """Paragraphs on data, methods, scores, comparisons and software.

    study: `study.Study.resolved`; tests: the table of `comparisons.study_comparisons`; environment:
    `provenance.environment_record`.
    """
    config = study["config"]
    data = " ".join(_dataset(name, dataset, config, tests) for name, dataset in study["datasets"].items())
    parts = data, _methods(study), _scores(study), _statistics(study, tests), _software(environment)
    return "\n\n".join(part for part in parts if part) + "\n"


def listed(words: Iterable[object]) -> str:
    """ "a, b and c"."""
    texts = [str(word) for word in words]
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def _dataset(name: str, dataset: Mapping[str, Any], config: Mapping[str, Any], tests: pd.DataFrame) -> str:
    n, scaling = listed(sorted(tests[tests["dataset"] == name]["n"].unique())), dataset["intensity"]
    return (
        f"Dataset {name} ({dataset['title']}): {n + ' ' if n else ''}test subjects. Intensities were scaled once per "
        f"{scaling['per']} to [0, 1] by {SCALINGS[scaling['scaling']].format(**scaling)}; low-resolution volumes were made "
        f"by keeping every K-th slice, K = {listed(dataset['factors'] or config['factors'])}, "
        f"{PROFILES[dataset['slice_profile']]}."
        + (f" Its models are those of {dataset['trained_on']}." if dataset["trained_on"] else "")
        + (f" Choices of settings had seen scores of {listed(dataset['seen'])}." if dataset["seen"] else "")
    )


def _methods(study: Mapping[str, Any]) -> str:
    methods, seeds = study["methods"], len(study["config"]["seeds"])
    sentences = [
        f"Methods: {listed(s['label'] for s in methods.values())}; all on the grid on which output slice iK is input slice i."
    ]
    for name, settings in methods.items():
        if settings["role"] == "trained":
            finished = "a finished model, not trained in this study"
            budget = finished if settings.get("checkpoint") else _budgets(study, name)
            sentences.append(f"{settings['label']}: {budget}.")
        elif "learns_from" in settings:
            results = "results that were made elsewhere, by something"
            what = results if "results" in settings else "a program from elsewhere"
            sentences.append(f"{settings['label']}: {what} that {LEARNED[settings['learns_from']]}.")
    if any(s["role"] == "trained" and not s.get("checkpoint") for s in methods.values()):
        sentences.append(
            f"Checkpoints were picked on validation subjects; trainings per dataset and K: {seeds}."
        )
    controls = [s["label"] for s in methods.values() if s["role"] == "control"]
    return " ".join([*sentences, f"Controls: {listed(controls)}." if controls else ""]).strip()


def _budgets(study: Mapping[str, Any], method: str) -> str:
    """What a method was trained with; by dataset where its settings differ between the datasets that it was trained on."""
    by_budget: dict[str, list[str]] = {}
    for name, dataset in study["datasets"].items():
        if not dataset["trained_on"]:
            settings = study["variants"].get(method, {}).get(name, study["methods"][method])
            by_budget.setdefault(_budget(settings), []).append(name)
    if len(by_budget) == 1:
        return next(iter(by_budget))
    return "; ".join(f"{budget} ({listed(names)})" for budget, names in by_budget.items())


def _budget(settings: Mapping[str, Any]) -> str:
    training = settings["training"]
    updates = f"{training['steps']:,} updates of {batch_of(settings)}"
    ends = [f"after {training['seconds']:,g} s of the processor"] if training["seconds"] else []
    ends += ["at a plateau of the validation score"] if training["until"] == "plateau" else []
    if ends:
        updates = f"at most {updates}, ended before that {' or '.join(ends)}"
    return f"{updates}, crops of {training['crop']} pixels, {recipe_of(settings)}"


def recipe_of(settings: Mapping[str, Any]) -> str:
    """How a trained method learns, so that what departs from the paper shows: it has batch normalisation, contrast and Adam."""
    training = settings["training"]
    adam = f"Adam with a peak learning rate of {training['learning_rate']:g}"
    muon = f"Muon with a peak learning rate of {training['matrix_learning_rate']:g}, and {adam} outside the inner layers"
    words = [muon if training["optimiser"] == "muon" else adam]
    if "normalisation" in settings["network"]:
        kind = settings["network"]["normalisation"]
        words.append("no normalisation" if kind == "none" else f"{kind} normalisation")
    words.append("contrast augmentation" if training["contrast"] else "no contrast augmentation")
    return ", ".join(words)


def batch_of(settings: Mapping[str, Any]) -> str:
    """What a batch of a trained method has: so many low-resolution triplets, or high-resolution patches."""
    kind = "high-resolution patches" if settings["method"] in SUPERVISED else "triplets"
    return f"{settings['training']['batch']} {kind}"


def _scores(study: Mapping[str, Any]) -> str:
    scoring = study["config"]["evaluation"]
    metrics = listed([METRICS[metric].sentence for metric in scoring["metrics"]])
    text = (
        f"Synthesised slices of {gaps_text(scoring['gap_step'])} were scored by {metrics}; kept slices are "
        "reported apart. Values that are not finite were counted and none was dropped."
    )
    learned = [one["label"] for one in study["methods"].values() if _learned_from(one, scoring["lpips"])]
    if "lpips" not in scoring["metrics"] or not learned:
        return text
    return (
        f"{text} LPIPS is scored with the backbone ({scoring['lpips']}) that was also in the training loss of "
        f"{listed(learned)}, in whose favour that is."
    )


def _learned_from(settings: Mapping[str, Any], backbone: str) -> bool:
    """Whether a method's training loss has LPIPS with this backbone."""
    synthesis = settings.get("synthesis") or {}
    return bool(synthesis.get("lpips")) and synthesis["backbone"] == backbone


def _statistics(study: Mapping[str, Any], tests: pd.DataFrame) -> str:
    if tests.empty:
        return ""
    config, methods = study["config"], study["methods"]
    sentences = [STATISTICS.format(confidence=f"{100 * config['statistics']['confidence']:g} %")]
    for _, row in tests[tests["role"] == PRIMARY].iterrows():
        factor = "the mean over all K" if pd.isna(row["K"]) else f"K = {row['K']:g}"
        method, baseline = (methods[row[name]]["label"] for name in ("method", "baseline"))
        sentences.append(
            f"Primary comparison on {row['dataset']}, declared in the study file: {method} against "
            f"{baseline} by {metric_name(row['metric'])} of {row['kind']} slices, {factor}, {row['alternative']}, "
            f"n = {row['n']}, interval at {100 * row['level']:.1f} %."
        )
    return " ".join([*sentences, EXPLORATORY])


def commit_of(environment: Mapping[str, Any]) -> str:
    """The commit of the code in words."""
    git = environment["git"]
    if not git:
        return "no commit"
    return f"commit {git['commit'][:10]}{' with uncommitted changes' if git['dirty'] else ''}"


def _software(environment: Mapping[str, Any]) -> str:
    versions = [f"{name} {version}" for name, version in environment["packages"].items() if version]
    return f"Computed with interslice, {commit_of(environment)}, Python {environment['python']}, {listed(versions)}."
