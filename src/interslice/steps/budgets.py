"""Budget step: what every learned method of a study cost and how its training ended, and the mark on its label for it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.files import write_csv
from interslice.report.formatting import BUDGET_MARK
from interslice.steps.subjects import COSTS

KEYS = ["dataset", "K", "method"]
COLUMNS = [*KEYS, "updates", "training_seconds", "per_scan", "ended", "other_profile"]
Runs = Sequence[tuple[str, int, str, Sequence[str]]]


def budget_table(runs: Runs, profiles: Mapping[str, tuple[str, str]] | None = None) -> pd.DataFrame:
    """A row per dataset, K and method that has learned something, with COLUMNS.

    runs: dataset, K, method and the folders of what it made with one seed. Over seeds the mean; `ended` is "budget" where any
    training ended so. training_seconds: of a method that learns from every scan (per_scan) the median over frames of
    its interpolation, which the learning is part of. profiles: dataset to the slice profiles that the study scores and
    trains on there. other_profile: that of a training, a finished model's own, where it is not the scored one.
    """
    rows = []
    for dataset, factor, method, folders in runs:
        records = [record for folder in folders for record in json.loads((Path(folder) / COSTS).read_text())]
        if records[0]["training"] is None:
            continue
        training = records[0]["training"]
        own = pd.Series([record["seconds"] / record["frames"] for record in records]).median()
        per_scan = training["seconds"] is None
        seconds = own if per_scan else training["seconds"]
        scored, trained = (profiles or {}).get(dataset, ("", ""))
        profile = scored if per_scan else training.get("slice_profile") or trained
        row = [dataset, int(factor), method, training["updates"], seconds, per_scan, training["ended"]]
        rows.append([*row, "" if profile == scored else profile])
    table = pd.DataFrame(rows, columns=COLUMNS)
    # "budget" is the first of the ends by name.
    how = {
        "updates": "mean",
        "training_seconds": "mean",
        "per_scan": "first",
        "ended": "min",
        "other_profile": "first",
    }
    return table.astype({"updates": float}).groupby(KEYS, sort=False).agg(how).reset_index()


def collect_budgets(runs: Runs, profiles: Mapping[str, tuple[str, str]], output: Path) -> None:
    """Write the table of `budget_table` as CSV."""
    write_csv(budget_table(runs, profiles), output)


def marked(labels: Mapping[str, str], budgets: pd.DataFrame) -> dict[str, str]:
    """The labels, with a mark on those of methods of which any training ended at its budget."""
    stopped = set(budgets.loc[budgets["ended"] == "budget", "method"])
    return {name: label + (BUDGET_MARK if name in stopped else "") for name, label in labels.items()}


def marked_display(display: Mapping[str, Any], budgets: str) -> dict[str, Any]:
    """Labels, controls and supervised methods of a study, its labels marked by the CSV of `collect_budgets`."""
    return {**display, "labels": marked(display["labels"], pd.read_csv(budgets))}


def with_budgets(results: pd.DataFrame, budgets: str) -> pd.DataFrame:
    """A results table with the budget of every row that has one (`tables.budget_notes` shows it)."""
    table = pd.read_csv(budgets).astype(results.dtypes[KEYS].to_dict())  # an empty file has no types
    return results.merge(table, on=KEYS, how="left", validate="one_to_one")
