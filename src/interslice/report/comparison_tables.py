"""The comparisons of methods as tables for people: the primary ones first, the exploratory ones apart."""

from collections.abc import Mapping

import pandas as pd

from interslice.analysis.comparisons import PRIMARY
from interslice.analysis.rows import check_labels, describe, metric_order
from interslice.report.formatting import (
    Cell,
    ShownTable,
    decimals_of,
    estimated,
    format_p,
    metric_name,
    table_of,
)

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
    rows = [
        {
            "Dataset": row["dataset"],
            "K": "mean over all" if pd.isna(row["K"]) else f"{row['K']:g}",
            **_cells(row, labels, corrected=False),
        }
        for _, row in own.iterrows()
    ]
    sides = sorted(set(own["alternative"]))
    first = f"Declared in the study file; {' and '.join(sides)}, not corrected. {HOW}"
    caption = f"Primary comparison: {describe(own.iloc[0])}"
    return table_of(caption, _without_empty(rows), (first, _seeds(own), VERDICTS))


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
        rows = [_cells(row, labels, corrected=True) for _, row in part.iterrows()]
        notes = (f"{EXPLORATORY_NOTE} Two-sided. {HOW}", _seeds(part), VERDICTS)
        caption = f"{dataset}, K = {factor:g}, exploratory comparisons: {describe(part.iloc[0])}"
        shown.append(table_of(caption, _without_empty(rows), notes))
    return shown


def _without_empty(rows: list[dict[str, Cell | str]]) -> list[dict[str, Cell | str]]:
    """The rows without the columns of notes and of what is not finite where no row has any."""
    empty = {"Note": "", "Not finite": Cell("0", 0.0)}
    unused = {name for name, nothing in empty.items() if all(row.get(name) == nothing for row in rows)}
    return [{name: cell for name, cell in row.items() if name not in unused} for row in rows]


def _seeds(rows: pd.DataFrame) -> str:
    several = rows["seeds"] > 1
    return SEVERAL_SEEDS if several.all() else SEVERAL_SEEDS + " " + ONE_SEED if several.any() else ONE_SEED


def _cells(row: pd.Series, labels: Mapping[str, str], *, corrected: bool) -> dict[str, Cell | str]:
    level = "–" if pd.isna(row["level"]) else f"{100 * row['level']:.1f} %"
    cells: dict[str, Cell | str] = {
        "Metric": metric_name(row["metric"]),
        "Method": labels[row["method"]],
        "Compared with": labels[row["baseline"]],
        "n": Cell(f"{row['n']:.0f}", float(row["n"])),
        "Difference [interval]": estimated(row, decimals_of(row["metric"]) + 1),
        "Level": Cell(level, float(row["level"])),
        "p": Cell(format_p(row["p"], row["p_min"]), float(row["p"])),
    }
    if corrected:
        cells["p corrected"] = Cell(format_p(row["p_corrected"]), float(row["p_corrected"]))
    cells["Verdict"] = row["verdict"]
    if corrected:
        cells["Not finite"] = Cell(f"{row['nonfinite']:.0f}", float(row["nonfinite"]))
    return cells | {"Note": "" if pd.isna(row["note"]) else str(row["note"])}
