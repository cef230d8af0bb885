"""Titles and captions of a study's figures: the one place that says what a figure shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from interslice.report.formatting import gaps_text
from interslice.report.methods_text import commit_of, listed
from interslice.scoring.longtable import gap_step

TITLES = {
    "boxes": "{metric} per subject, {region}, with the tests",
    "factor": "{metric} against the anisotropy factor, {region}",
    "ranks": "Ranks with intervals over bootstrap draws of subjects, and which method is better than which by {metric}",
    "lesions": "What comes back of inserted lesions, against their size",
    "panel": "A synthesised slice and a through-plane view, {dataset}, K = {K}",
    "training": "Training curves, {dataset}, K = {K}",
    "examples": "Slices between two acquired neighbours, {dataset}, K = {K}",
    "gap": "One gap interpolated by {label}, {dataset}, K = {K}, as strip and animation",
    "audit": "{label} on {dataset}: the difference to every baseline under each protocol",
}


def figure(
    kind: str,
    methods: Sequence[str],
    dataset: str | None = None,
    K: int | None = None,
    shown: str = "",
    **words: str,
) -> dict[str, Any]:
    """What a figure is about: its title, and the dataset, K (None: all of the study) and methods that it shows.

    shown: the label of the dataset for the title.
    """
    title = TITLES[kind].format(dataset=shown, K=K, **words)
    return {"title": title, "dataset": dataset, "K": K, "methods": list(methods)}


def figure_captions(
    figures: Mapping[str, Mapping[str, Any]],
    means: pd.DataFrame,
    trainings: pd.DataFrame,
    environment: Mapping[str, Any],
    lenders: Mapping[str, str],
    finished: Mapping[str, str],
    datasets: Mapping[str, str],
) -> str:
    """Markdown with a caption per figure.

    figures: file name to what `figure` says of it; means: `longtable.frame_means`; trainings: dataset, K, method and budget in
    words; environment: `provenance.environment_record`; lenders: dataset to the one whose models it has, where that is another;
    finished: methods that come with a finished model, to their label and where its budget is written; datasets: their labels.
    """
    lines = ["# Captions\n"]
    for number, (name, about) in enumerate(figures.items(), start=1):
        own = means[means["method"].isin(about["methods"])]
        for column in ("dataset", "K"):
            own = own[own[column] == about[column]] if about[column] is not None else own
        sizes = own.groupby("dataset")["subject"].nunique()
        tested = listed(f"{datasets[str(dataset)]} (n = {n} test subjects)" for dataset, n in sizes.items())
        shown = own[["dataset", "K", "method"]].drop_duplicates().replace({"dataset": dict(lenders)})
        used = sorted(set(trainings.merge(shown, on=["dataset", "K", "method"])["budget"]))
        budget = f"Trainings: {'; '.join(used)}." if used else "Nothing that is shown was trained here."
        ready = [text for method, text in finished.items() if method in set(own["method"])]
        if ready:
            budget += f" Finished models: {'; '.join(ready)}."
        found = (gap_step(part) for _, part in own.groupby(["dataset", "K"]))
        gaps = "".join(f"; scored: {gaps_text(step)}" for step in sorted({step for step in found if step}))
        factors, protocol = (listed(sorted(own[column].unique())) for column in ("K", "protocol"))
        lines.append(
            f"**Figure {number}** (`{name}`). {about['title']}. Dataset {tested}; K = {factors}; protocol {protocol}{gaps}. "
            f"{budget} Made at {commit_of(environment)}.\n"
        )
    return "\n".join(lines)
