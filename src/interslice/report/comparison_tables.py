"""The comparisons of methods as tables for people: the primary ones first, the exploratory ones apart."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from interslice.analysis.comparisons import PRIMARY
from interslice.analysis.rows import check_labels, describe, metric_order
from interslice.report.formatting import (
    Cell,
    Row,
    ShownTable,
    decimals_of,
    estimated,
    format_p,
    metric_name,
    words,
)

PRIMARY_COLUMNS = (
    "Dataset", "K", "Metric", "Method", "Compared with", "n", "Difference [interval]", "Level", "p", "Verdict", "Note",
)  # fmt: skip
COLUMNS = (
    "Metric", "Method", "Compared with", "n", "Difference [interval]", "Level", "p", "p corrected", "Verdict",
    "Not finite", "Note",
)  # fmt: skip
HOW = (
    "Difference: Hodges-Lehmann estimate over subjects, positive where the method is better, whichever way the metric points. "
    "Interval: exact, of the signed-rank test; Level: what it really covers with so many subjects. p: exact Wilcoxon "
    "signed-rank test on subjects; smallest: n subjects can give no smaller one."
)
ONE_SEED = "Methods with one training: neither p nor interval says what another training would give."
SEVERAL_SEEDS = "Intervals hold the variance between trainings as well; p is of the mean over the trainings that were made."
VERDICTS = (
    "better, worse: p (corrected where there are several) below 0.05 and 0 outside the interval; within the margin: the whole "
    "interval is inside the margin of the configuration; undecided: all else, which is not equality."
)
NO_PRIMARY = "No primary comparison was declared that this study can make: all below are exploratory."
EXPLORATORY_NOTE = (
    "Exploratory: p corrected by Benjamini and Hochberg over all K and pairs of one dataset, metric and image region. "
    "A finding here is a question for other subjects."
)


def shown_primary(tests: pd.DataFrame, labels: Mapping[str, str]) -> ShownTable | None:
    """The primary comparisons, a row per dataset; None where there are none."""
    own = tests[tests["role"] == PRIMARY]
    if own.empty:
        return None
    check_labels(pd.concat([own["method"], own["baseline"]]), labels)
    rows = []
    for _, row in own.iterrows():
        factor = "mean over all" if pd.isna(row["K"]) else f"{row['K']:g}"
        rows.append(Row((*words(row["dataset"], factor), *_cells(row, labels, ()))))
    sides = sorted(set(own["alternative"]))
    notes = (
        f"Declared in the study file; {' and '.join(sides)}, not corrected. {HOW}",
        _seeds(own),
        VERDICTS,
    )
    caption = f"Primary comparison: {describe(own.iloc[0])}"
    return _without_empty(ShownTable(caption, PRIMARY_COLUMNS, tuple(rows), notes))


def shown_comparisons(tests: pd.DataFrame, labels: Mapping[str, str]) -> list[ShownTable]:
    """The exploratory comparisons, one table per dataset, K, protocol and region; rows by metric and the order of labels."""
    own = tests[tests["role"] != PRIMARY]
    check_labels(pd.concat([own["method"], own["baseline"]]), labels)
    metrics, order = metric_order(list(own["metric"].unique())), list(labels)
    shown = []
    datasets = list(own["dataset"].unique())
    groups = own.groupby(["dataset", "K", "protocol", "region"])
    for (dataset, factor, *_), part in sorted(
        groups, key=lambda group: (datasets.index(group[0][0]), *group[0][1:])
    ):
        ranks = {"metric": metrics.index, "method": order.index, "baseline": order.index}
        keys = pd.DataFrame({name: part[name].map(rank) for name, rank in ranks.items()})
        part = part.loc[keys.sort_values(list(ranks)).index]
        rows = tuple(Row(_cells(row, labels, ("p_corrected",))) for _, row in part.iterrows())
        notes = (f"{EXPLORATORY_NOTE} Two-sided. {HOW}", _seeds(part), VERDICTS)
        caption = f"{dataset}, K = {factor:g}, exploratory comparisons: {describe(part.iloc[0])}"
        shown.append(_without_empty(ShownTable(caption, COLUMNS, rows, notes)))
    return shown


def _without_empty(table: ShownTable) -> ShownTable:
    """The table without a note or a count of what is not finite that no row has."""
    kept = [
        i
        for i, name in enumerate(table.columns)
        if name not in ("Note", "Not finite") or any(row.cells[i].text not in ("", "0") for row in table.rows)
    ]
    rows = tuple(replace(row, cells=tuple(row.cells[i] for i in kept)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def _seeds(rows: pd.DataFrame) -> str:
    several = rows["seeds"] > 1
    return SEVERAL_SEEDS if several.all() else SEVERAL_SEEDS + " " + ONE_SEED if several.any() else ONE_SEED


def _cells(row: pd.Series, labels: Mapping[str, str], corrected: tuple[str, ...]) -> tuple[Cell, ...]:
    decimals = decimals_of(row["metric"]) + 1
    level = "–" if pd.isna(row["level"]) else f"{100 * row['level']:.1f} %"
    note = "" if pd.isna(row["note"]) else str(row["note"])
    last = [Cell(f"{row['nonfinite']:.0f}", float(row["nonfinite"]))] if corrected else []
    return (
        *words(metric_name(row["metric"]), labels[row["method"]], labels[row["baseline"]]),
        Cell(f"{row['n']:.0f}", float(row["n"])),
        estimated(row, decimals),
        Cell(level, float(row["level"])),
        Cell(format_p(row["p"], row["p_min"]), float(row["p"])),
        *(Cell(format_p(row[name]), float(row[name])) for name in corrected),
        *words(row["verdict"]),
        *last,
        *words(note),
    )
