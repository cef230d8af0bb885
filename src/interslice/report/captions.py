"""Captions of a study's figures: dataset, n, K, protocol, budget and commit, from the scores and the trainings' records."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interslice.report.formatting import gaps_text
from interslice.report.methods_text import listed
from interslice.scoring.longtable import gap_step


def figure_captions(
    titles: Mapping[str, str],
    scores: pd.DataFrame,
    budgets: Mapping[str, str],
    environment: Mapping[str, Any],
    lenders: Mapping[str, str],
    finished: Mapping[str, str],
) -> str:
    """Markdown with a caption per figure.

    titles: file name of a figure to what it shows; a name that has a dataset or K of the study in it is about that one
    alone, any other about all. scores: the long table; budgets: training to what it cost, its label naming dataset and K;
    environment: `provenance.environment_record`; lenders: dataset to the one whose models it has, where that is another;
    finished: methods that come with a finished model, to their label and where its budget is written.
    """
    git = environment["git"]
    commit = (
        f"commit {git['commit'][:10]}{' with uncommitted changes' if git['dirty'] else ''}"
        if git
        else "no commit"
    )
    lines = ["# Captions\n"]
    for number, (name, title) in enumerate(titles.items(), start=1):
        lines.append(
            f"**Figure {number}** (`{name}`). {title}. {_extent(name, scores, budgets, lenders, finished)} Made at {commit}.\n"
        )
    return "\n".join(lines)


def _extent(
    name: str,
    scores: pd.DataFrame,
    budgets: Mapping[str, str],
    lenders: Mapping[str, str],
    finished: Mapping[str, str],
) -> str:
    own = scores
    for column, marks in (("dataset", "{}"), ("K", "K{}")):
        named = [value for value in own[column].unique() if f"_{marks.format(value)}_" in f"_{name}_"]
        # The name of one dataset may begin with another's: t1_shifted is not t1.
        named = [
            one for one in named if not any(one != other and f"_{one}_" in f"_{other}_" for other in named)
        ]
        own = own[own[column].isin(named)] if named else own
    sizes = own.groupby("dataset")["subject"].nunique()
    datasets = listed(f"{dataset} (n = {n} test subjects)" for dataset, n in sizes.items())
    factors = listed(sorted(own["K"].unique()))
    kinds = {
        f", {lenders.get(d, d)}, K = {K}, "
        for d, K in own[["dataset", "K"]].drop_duplicates().itertuples(index=False)
    }
    used = sorted({text for label, text in budgets.items() if any(kind in label for kind in kinds)})
    budget = f"Trainings: {'; '.join(used)}." if used else "Nothing was trained."
    ready = [text for method, text in finished.items() if method in set(own["method"])]
    if ready:
        budget += f" Not trained here: {'; '.join(ready)}."
    protocol = listed(sorted(own["protocol"].unique()))
    found = (gap_step(part) for _, part in own.groupby(["dataset", "K"]))
    gaps = "".join(f"; scored: {gaps_text(step)}" for step in sorted({step for step in found if step}))
    return f"Dataset {datasets}; K = {factors}; protocol {protocol}{gaps}. {budget}"
