"""Tables of a study: the long table in; a numeric table, Markdown, LaTeX or terminal lines out.

`results_table` is all numbers and goes to CSV. For people it becomes one `ShownTable` per dataset and K,
which `rendering` and the HTML page write without knowing what it holds.
"""

from collections.abc import Mapping, Set

import numpy as np
import pandas as pd

from interslice.analysis.rows import (
    check_labels,
    describe,
    mean_of,
    metric_order,
    sd_of,
    seed_means,
    select_scores,
)
from interslice.report.formatting import (
    SUPERVISED_NOTE,
    Cell,
    Row,
    ShownTable,
    decimals_of,
    format_p,
    format_value,
    gaps_text,
    latex,
    markdown,
    metric_name,
    plain,
)
from interslice.scoring.longtable import gap_step, shortfall, subject_means

STATISTICS_COLUMNS = (
    "Metric", "Method", "Baseline", "n", "Median difference [interval]", "p", "p after Holm",
    "Rank-biserial effect", "Not finite", "Note",
)  # fmt: skip
STATISTICS_NOTE = (
    "One-sided Wilcoxon signed-rank test on subjects that the method is better than the baseline. Positive "
    "differences and effects favour the method, whichever way the metric points."
)


def results_table(
    scores: pd.DataFrame,
    *,
    kind: str = "synthesised",
    region: str = "whole",
    protocol: str = "strict",
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> pd.DataFrame:
    """One row per dataset, K and method, in the order of `labels`; unrounded, so that a CSV keeps all.

    Columns: dataset, K, protocol, kind, region, method, label, control, supervised, seeds, gap_step
    (`longtable.gap_step`), and for each metric `_mean` and `_sd` (over subjects, ddof 1, of the values of
    `longtable.subject_means`), `_seed_sd` (standard deviation over seeds of the mean over subjects: how far the row's
    mean moves when training is repeated; NaN for one seed), `_n` (subjects), `_slices_min` and `_slices_max` (slices
    scored per subject and seed) and `_nonfinite` (scored values that are inf or NaN). A mean that is inf or NaN stays so.
    Raises InputError as `select_scores` does.
    """
    chosen = select_scores(scores, kind=kind, region=region, protocol=protocol, labels=labels)
    metrics, order = metric_order(list(chosen["metric"].unique())), list(labels)
    keys = ["dataset", "K", "method"]
    subjects = subject_means(chosen, kind, region).set_index(keys).sort_index()
    over_seeds = seed_means(chosen, kind=kind, region=region).groupby([*keys, "metric"])["value"].agg(sd_of)
    seeds = chosen.groupby(keys)["seed"].nunique()
    steps = {key: gap_step(part) for key, part in chosen.groupby(keys)}
    rows = []
    for dataset, factor, method in sorted(
        set(subjects.index), key=lambda key: (*key[:2], order.index(key[2]))
    ):
        part = subjects.loc[[(dataset, factor, method)]]  # a list: one row stays a table
        row = {"dataset": dataset, "K": factor, "protocol": protocol, "kind": kind, "region": region}
        row |= {"method": method, "label": labels[method], "control": method in controls}
        row |= {"supervised": method in supervised, "seeds": seeds[dataset, factor, method]}
        row["gap_step"] = steps[dataset, factor, method]
        for metric in metrics:
            row |= _over_subjects(part[part["metric"] == metric], metric)
            row[f"{metric}_seed_sd"] = over_seeds.get((dataset, factor, method, metric), np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def _over_subjects(subjects: pd.DataFrame, metric: str) -> dict[str, float]:
    scored = len(subjects) > 0
    return {
        f"{metric}_mean": mean_of(subjects["value"]) if scored else np.nan,
        f"{metric}_sd": sd_of(subjects["value"]),
        f"{metric}_n": len(subjects),
        f"{metric}_slices_min": int(subjects["slices"].min()) if scored else 0,
        f"{metric}_slices_max": int(subjects["slices"].max()) if scored else 0,
        f"{metric}_nonfinite": int(subjects["nonfinite"].sum()),
    }


def table_metrics(table: pd.DataFrame) -> list[str]:
    """The metrics of a results table, in order."""
    return [column.removesuffix("_mean") for column in table.columns if column.endswith("_mean")]


def shown_results(table: pd.DataFrame) -> list[ShownTable]:
    """A results table as one shown table per dataset and K, the best value of each metric marked.

    Best is decided on the mean among the methods that are not controls; all that print alike are marked.
    """
    shown = []
    for (dataset, factor), part in table.groupby(["dataset", "K"], sort=False):
        metrics = table_metrics(part)
        columns = [_metric_cells(part, metric) for metric in metrics]
        names = part["label"] + np.where(part["supervised"], "†", "")
        rows = tuple(
            Row((Cell(name, name), *cells), bool(control))
            for name, control, *cells in zip(names, part["control"], *columns, strict=True)
        )
        header = ("Method", *(metric_name(metric, arrow=True) for metric in metrics))
        caption = f"{dataset}, K = {factor}: {describe(part.iloc[0])}"
        shown.append(ShownTable(caption, header, rows, tuple(_notes(part, metrics))))
    return shown


def _metric_cells(part: pd.DataFrame, metric: str) -> list[Cell]:
    decimals = decimals_of(metric)
    rivals = part.loc[~part["control"], f"{metric}_mean"].dropna()
    best = format_value(shortfall(metric, rivals).min(), decimals)
    cells = []
    for _, row in part.iterrows():
        mean, sd = row[f"{metric}_mean"], row[f"{metric}_sd"]
        text = format_value(mean, decimals)
        left = format_value(shortfall(metric, mean), decimals)
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


def _spans(part: pd.DataFrame, metrics: list[str], low: str, high: str) -> str:
    """The smallest to the largest count, once if all metrics agree, else by metric."""
    spans = {}
    for metric in metrics:
        smallest, largest = part[f"{metric}_{low}"].min(), part[f"{metric}_{high}"].max()
        spans[metric] = str(smallest) if smallest == largest else f"{smallest}–{largest}"
    if len(set(spans.values())) == 1:
        return spans[metrics[0]]
    return ", ".join(f"{metric_name(metric)} {span}" for metric, span in spans.items())


def shown_statistics(
    statistics: pd.DataFrame, labels: Mapping[str, str], *, confidence: float = 0.95
) -> list[ShownTable]:
    """The statistics as one shown table per dataset, protocol and K; rows by metric, method and baseline.

    A remark that all rows share moves from the rows to the notes of the table.
    """
    check_labels(pd.concat([statistics["method"], statistics["baseline"]]), labels)
    metrics, order = metric_order(list(statistics["metric"].unique())), list(labels)
    note = f"{STATISTICS_NOTE} Interval: bootstrap, {100 * confidence:g} %."
    shown = []
    for (dataset, protocol, factor), part in statistics.groupby(["dataset", "protocol", "K"]):
        ranked = sorted(
            (row for _, row in part.iterrows()),
            key=lambda r: (metrics.index(r["metric"]), order.index(r["method"]), order.index(r["baseline"])),
        )
        own, common = _remarks(ranked)
        rows = tuple(Row(_statistics_cells(*pair, labels)) for pair in zip(ranked, own, strict=True))
        caption = f"{dataset}, K = {factor}, protocol {protocol}: paired tests"
        shown.append(ShownTable(caption, STATISTICS_COLUMNS, rows, (note, *common)))
    return shown


def _remarks(rows: list[pd.Series]) -> tuple[list[str], list[str]]:
    """What is remarked on each row alone, and what on all of them."""
    parts = [[] if pd.isna(row["note"]) else str(row["note"]).split("; ") for row in rows]
    common = [part for part in parts[0] if part and all(part in others for others in parts)]
    own = ["; ".join(part for part in others if part not in common) for others in parts]
    return own, [f"{part[0].upper()}{part[1:]}." for part in common]


def _statistics_cells(row: pd.Series, remark: str, labels: Mapping[str, str]) -> tuple[Cell, ...]:
    decimals = decimals_of(row["metric"]) + 1
    low, high = format_value(row["ci_low"], decimals), format_value(row["ci_high"], decimals)
    difference = f"{format_value(row['median_difference'], decimals)} [{low}, {high}]"
    return (
        Cell(metric_name(row["metric"]), metric_name(row["metric"])),
        *(Cell(labels[row[who]], labels[row[who]]) for who in ("method", "baseline")),
        Cell(f"{row['n']:.0f}", float(row["n"])),
        Cell(difference, float(row["median_difference"])),
        Cell(format_p(row["p"], row["p_min"], row["n"]), float(row["p"])),
        Cell(format_p(row["p_holm"]), float(row["p_holm"])),
        Cell(format_value(row["effect"], 2), float(row["effect"])),
        Cell(f"{row['nonfinite']:.0f}", float(row["nonfinite"])),
        Cell(remark, remark),
    )


def to_markdown(table: pd.DataFrame) -> str:
    """A results table as GitHub Markdown, one table per dataset and K; best in bold, controls in italics."""
    return markdown(shown_results(table))


def to_latex(table: pd.DataFrame) -> str:
    r"""A results table as LaTeX, one booktabs table per dataset and K; needs \usepackage{booktabs}."""
    return latex(shown_results(table))


def summary_lines(table: pd.DataFrame, width: int = 100) -> list[str]:
    """A results table as plain lines of at most `width` columns for a terminal; best values carry a star."""
    return plain(shown_results(table), width)


def statistics_markdown(
    statistics: pd.DataFrame, labels: Mapping[str, str], *, confidence: float = 0.95
) -> str:
    """The statistics table of `interslice.analysis.statistics.compare` as GitHub Markdown."""
    return markdown(shown_statistics(statistics, labels, confidence=confidence))
