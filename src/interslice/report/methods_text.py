"""The methods paragraph of a paper, generated from a study's configuration and its tests."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from interslice.methods.registry import SUPERVISED
from interslice.report.formatting import format_p, gaps_text, metric_name
from interslice.scoring.registry import METRICS


def methods_paragraph(study: Mapping[str, Any], tests: pd.DataFrame, environment: Mapping[str, Any]) -> str:
    """One paragraph on data, methods, metrics and one on statistics, and the software.

    study: `config.Study.resolved`; tests: the statistics table with the columns of
    `inference.COLUMNS`; environment: `provenance.environment_record`.
    """
    config = study["config"]
    parts = [
        _data(study, tests),
        _methods(study),
        _scores(config),
        _statistics(config["statistics"], tests),
        _software(environment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def listed(words: Iterable[object]) -> str:
    """ "a, b and c"."""
    texts = [str(word) for word in words]
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def _data(study: Mapping[str, Any], tests: pd.DataFrame) -> str:
    sentences = []
    for name, dataset in study["datasets"].items():
        own = tests[tests["dataset"] == name]
        n = listed(sorted(own["n"].unique())) if len(own) else "the"
        factors = listed(dataset["factors"] or study["config"]["factors"])
        scaling = dataset["intensity"]
        extent = (
            f"the percentiles {scaling['low']:g} and {scaling['high']:g}"
            if scaling["scaling"] == "percentile"
            else "the minimum and maximum"
        )
        unit = {"volume": "volume", "frame": "frame"}[scaling["per"]]
        profile = (
            "after a Gaussian slice profile of K/2.355 voxels"
            if dataset["slice_profile"] == "gaussian"
            else "without a slice profile"
        )
        sentences.append(
            f"Dataset {name} ({dataset['title']}): {n} test subjects that no training has seen. Intensities were scaled once "
            f"per {unit} to [0, 1] by {extent}; low-resolution volumes were made by keeping every K-th slice, "
            f"K = {factors}, {profile}."
        )
    return " ".join(sentences)


def _methods(study: Mapping[str, Any]) -> str:
    labels = {
        role: [s["label"] for s in study["methods"].values() if s["role"] == role]
        for role in ("trained", "baseline", "control")
    }
    sentences = [
        f"{'Baselines, which learn from no other subject, were' if len(labels['baseline']) > 1 else 'The baseline was'} "
        f"{listed(labels['baseline'])}, all on the grid on which output slice iK is input slice i."
        if labels["baseline"]
        else ""
    ]
    for name, settings in study["methods"].items():
        if settings["role"] == "trained" and settings.get("checkpoint"):
            sentences.append(f"{settings['label']} is a finished model that was not trained in this study.")
        elif settings["role"] == "trained":
            sentences.append(
                f"{settings['label']} was trained per dataset and K for {_budgets(study, name)}."
            )
    if labels["trained"]:
        seeds = study["config"]["seeds"]
        sentences.append(
            f"The checkpoint was picked on validation subjects; {len(seeds)} "
            f"repetition{'s' if len(seeds) > 1 else ''} with seeds that depend on dataset, K and repetition alone."
        )
    if labels["control"]:
        sentences.append(f"{listed(labels['control'])} served as controls and were not tested.")
    return " ".join(filter(None, sentences))


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
    return (
        f"{training['steps']:,} updates of {training['batch']} {examples_of(settings)}, crops of {training['crop']} pixels, "
        f"peak learning rate {training['learning_rate']:g}"
    )


def examples_of(settings: Mapping[str, Any]) -> str:
    """What a batch of a trained method has: low-resolution triplets, or high-resolution patches."""
    return "high-resolution patches" if settings["method"] in SUPERVISED else "triplets"


def _scores(config: Mapping[str, Any]) -> str:
    scoring = config["evaluation"]
    metrics = listed([METRICS[metric].sentence for metric in scoring["metrics"]])
    gaps = gaps_text(scoring["gap_step"])
    return (
        f"Synthesised slices of {gaps} were scored by {metrics}. Kept slices are reported apart. A subject's value is the "
        "mean over its slices and frames, and over repetitions; values that are not finite were counted and "
        "none was dropped."
    )


def _statistics(settings: Mapping[str, Any], tests: pd.DataFrame) -> str:
    if tests.empty:
        return ""
    level, family = f"{100 * settings['confidence']:g} %", list(settings["family"])
    sizes = tests.groupby([*family, "region"])["p"].count()
    several = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    exact = "exact" if tests["n"].max() <= 50 else "exact up to 50 subjects, else by the normal approximation"
    sentences = [
        "Subjects are the unit of analysis. Each trained method was compared with each baseline by the one-sided "
        f"Wilcoxon signed-rank test (alternative: the trained method is better; {exact}; zero differences by "
        f"Pratt), with Holm's correction within each combination of {listed(family)} and image region "
        f"({several} comparisons). We report the median difference with its {level} percentile bootstrap interval "
        f"({settings['bootstrap']:,} resamples) and the matched-pairs rank-biserial correlation."
    ]
    margins = {name: margin for name, margin in settings["margins"].items() if name in set(tests["metric"])}
    if margins:
        shown = listed([f"{margin:g} for {metric_name(name)}" for name, margin in margins.items()])
        sentences.append(
            "A method was called as good as another where two one-sided signed-rank tests placed the difference within a "
            f"margin declared beforehand ({shown}), with Holm's correction in the same family."
        )
    if (tests["frames"] > tests["n"]).any():
        sentences.append(
            "As a check, the differences of single frames were modelled with a random intercept per subject "
            f"(restricted maximum likelihood, t intervals of {level} with subjects minus one degrees of freedom)."
        )
    for n, part in tests.groupby("n"):
        bound = part["p_min"].iloc[0]
        first = f"With {n} subjects no p can be below {bound:.3g}" if bound > 1e-4 else ""
        spreads = part["detectable"] / part["sd_difference"]
        effect = spreads[spreads.notna()]
        reach = (
            f"a true mean difference of {effect.iloc[0]:.2g} standard deviations of the differences is found "
            f"with a probability of {settings['power']:g} at the one-sided level 0.05 before correction"
            if len(effect) and effect.iloc[0] < float("inf")
            else "no difference, however large, can reach 0.05 even before correction"
        )
        sentences.append(f"{first}; {reach}." if first else f"With {n} subjects {reach}.")
        if (part["detectable_holm"] == float("inf")).any():
            smallest = format_p(float(part["p_min"].iloc[0] * sizes.max()))
            sentences.append(
                f"After Holm's correction no comparison can reach 0.05 at this number of subjects (at best {smallest})."
            )
    return " ".join(sentences)


def _software(environment: Mapping[str, Any]) -> str:
    versions = [f"{name} {version}" for name, version in environment["packages"].items() if version]
    git = environment["git"]
    commit = (
        f"interslice, commit {git['commit'][:10]}{' with uncommitted changes' if git['dirty'] else ''}"
        if git
        else "interslice"
    )
    return f"Computed with {commit}, Python {environment['python']}, {listed(versions)}."
