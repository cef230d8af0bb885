"""Tables of results: the numbers of `analysis.results` in; a `ShownTable` per dataset and K out.

`formatting` and the HTML page write these without knowing what they hold.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from interslice.analysis.results import table_metrics
from interslice.analysis.rows import describe, metric_order
from interslice.report.formatting import (
    BUDGET_MARK,
    BUDGET_NOTE,
    SUPERVISED_NOTE,
    Cell,
    Row,
    ShownTable,
    decimals_of,
    format_value,
    gaps_text,
    metric_name,
    number,
    words,
)

SEEN = (
    "Scores of {} were seen when settings were chosen: what these subjects say is no test of those choices."
)
PAPERS, WITH_OWN = ", the paper's methods", ", with this project's own methods"


def shown_results(table: pd.DataFrame, own: Collection[str] = ()) -> list[ShownTable]:
    """A results table as one shown table per dataset and K, the best value of each metric marked.

    own: the methods that are this project's, not the paper's. Where there are any, a table without them goes before the
    one with all. Best is decided on the mean shortfall among the methods that are no controls; all that print alike are marked.
    """
    shown = []
    for (dataset, factor), every in table.groupby(["dataset", "K"], sort=False):
        mine = every["method"].isin(own)
        parts = {PAPERS: every[~mine], WITH_OWN: every} if mine.any() and not mine.all() else {"": every}
        shown += [_shown_part(f"{dataset}, K = {factor}{title}", part) for title, part in parts.items()]
    return shown


def shown_groups(
    means: pd.DataFrame, seen: Mapping[str, Sequence[str]], controls: Collection[str] = ()
) -> list[ShownTable]:
    """Means over groups of test subjects (`results.group_means`), a table per dataset and K, a column per metric and group.

    seen: dataset to the test subjects that earlier choices of settings had seen.
    """
    shown = []
    for place, part in means.groupby(["dataset", "K"], sort=False) if len(means) else ():
        dataset, factor = map(str, place)
        columns = list(product(metric_order(list(part["metric"].unique())), part["group"].unique()))
        rows = []
        for method, own in part.groupby("method", sort=False):
            name, values = own["label"].iloc[0], own.set_index(["metric", "group"])["mean"].reindex(columns)
            cells = (
                number(value, decimals_of(metric)) for (metric, _), value in zip(columns, values, strict=True)
            )
            rows.append(Row((*words(name), *cells), method in controls))
        header = ("Method", *(f"{metric_name(metric, arrow=True)}, {group}" for metric, group in columns))
        sizes = part.groupby("group", sort=False)["n"].max()
        notes = [f"Test subjects: {', '.join(f'{group} n = {n}' for group, n in sizes.items())}."]
        notes += [SEEN.format(", ".join(seen[dataset]))] if seen.get(dataset, ()) else []
        title = f"{dataset}, K = {factor}: means of groups of test subjects, synthesised slices, whole image"
        shown.append(ShownTable(title, header, tuple(rows), tuple(notes)))
    return shown


def _shown_part(title: str, part: pd.DataFrame) -> ShownTable:
    metrics = table_metrics(part)
    columns = [_metric_cells(part, metric) for metric in metrics]
    names = part["label"] + np.where(part["supervised"], "†", "")
    rows = tuple(
        Row((*words(name), *cells), bool(control))
        for name, control, *cells in zip(names, part["control"], *columns, strict=True)
    )
    header = ("Method", *(metric_name(metric, arrow=True) for metric in metrics))
    return ShownTable(f"{title}: {describe(part.iloc[0])}", header, rows, tuple(_notes(part, metrics)))


def _metric_cells(part: pd.DataFrame, metric: str) -> list[Cell]:
    decimals = decimals_of(metric)
    best = format_value(part.loc[~part["control"], f"{metric}_shortfall"].min(), decimals)
    cells = []
    for _, row in part.iterrows():
        mean, sd = row[f"{metric}_mean"], row[f"{metric}_sd"]
        text = format_value(mean, decimals)
        left = format_value(row[f"{metric}_shortfall"], decimals)
        is_best = not row["control"] and not np.isnan(mean) and left == best
        text = text if np.isnan(sd) else f"{text} ± {sd:.{decimals}f}"
        cells.append(Cell(text if row[f"{metric}_n"] else "not scored", mean, is_best))
    return cells


def _notes(part: pd.DataFrame, metrics: list[str]) -> list[str]:
    n, slices = _spans(part, metrics, "n", "n"), _spans(part, metrics, "slices_min", "slices_max")
    steps = sorted(part["gap_step"].dropna().unique())
    gaps = "".join(f", of {gaps_text(int(step))}" for step in steps)
    notes = [f"Mean ± standard deviation over subjects, n = {n}; slices scored per subject: {slices}{gaps}."]
    if any(part[f"{m}_{s}"].nunique() > 1 for m in metrics for s in ("n", "slices_min", "slices_max")):
        each = (
            f"{row['label']} {_spans(part.loc[[i]], metrics, 'n', 'n')} subjects of "
            f"{_spans(part.loc[[i]], metrics, 'slices_min', 'slices_max')} slices"
            for i, row in part.iterrows()
        )
        notes.append(f"The methods were not all scored on the same subjects and slices: {'; '.join(each)}.")
    if part["supervised"].any():
        notes.append(SUPERVISED_NOTE)
    notes += budget_notes(part)
    for metric in metrics:
        bad = part[part[f"{metric}_nonfinite"] > 0]
        counts = ", ".join(f"{row['label']} {row[f'{metric}_nonfinite']}" for _, row in bad.iterrows())
        if counts:
            notes.append(
                f"{metric_name(metric)} values that are not finite (counted, none dropped): {counts}."
            )
    for _, row in part[part["seeds"] > 1].iterrows():
        spread = (f"{metric_name(m)} {format_value(row[f'{m}_seed_sd'], decimals_of(m))}" for m in metrics)
        notes.append(
            f"{row['label']}, standard deviation of the mean over {row['seeds']} seeds: {', '.join(spread)}."
        )
    return notes


def budget_notes(part: pd.DataFrame) -> list[str]:
    """Updates, seconds where the table has them, and end of what each row has learned, if `budgets.with_budgets` added them."""
    if "ended" not in part or part["ended"].isna().all():
        return []
    costs = []
    for _, row in part[part["ended"].notna()].iterrows():
        each = " for every scan" if row["per_scan"] else ""
        words = [] if pd.isna(row["updates"]) else [f"{row['updates']:,.0f} updates{each}"]
        words += [f"{row['training_seconds']:,.0f} s{each}"] if "training_seconds" in row else []
        words.append(row["ended"])
        if isinstance(row["other_profile"], str) and row["other_profile"]:  # else NaN, of a CSV file
            words.append(f"on slices of profile {row['other_profile']}")
        costs.append(f"{row['label']} {', '.join(words)}")
    marked = part["label"].str.contains(BUDGET_MARK).any()
    where = "" if "training_seconds" in part else " Their seconds are in budgets.csv."
    return [*([BUDGET_NOTE] if marked else []), f"Trainings: {'; '.join(costs)}.{where}"]


def _spans(part: pd.DataFrame, metrics: list[str], low: str, high: str) -> str:
    """The smallest to the largest count, once if all metrics agree, else by metric."""
    spans = {}
    for metric in metrics:
        smallest, largest = part[f"{metric}_{low}"].min(), part[f"{metric}_{high}"].max()
        spans[metric] = str(smallest) if smallest == largest else f"{smallest}–{largest}"
    if len(set(spans.values())) == 1:
        return spans[metrics[0]]
    return ", ".join(f"{metric_name(metric)} {span}" for metric, span in spans.items())
