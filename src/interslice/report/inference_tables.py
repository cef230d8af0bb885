"""The table of what `inference` adds to the tests: as good as, frames within subjects, smallest detectable difference."""

from collections.abc import Mapping

import pandas as pd

from interslice.analysis.rows import metric_order
from interslice.report.formatting import (
    Cell,
    Row,
    ShownTable,
    decimals_of,
    format_p,
    format_value,
    metric_name,
)

HEADER = (
    "Metric", "Method", "Baseline", "n", "Mean difference ± SD", "Margin", "p not worse, Holm", "p within margin, Holm",
    "By frames [interval], p", "Detectable, one test", "Detectable, Holm",
)  # fmt: skip
NOTES = (
    "Margin: the largest difference that counts as none, declared in the configuration. Not worse: not by the margin or "
    "more; within the margin: two one-sided signed-rank tests.",
    "By frames: mean difference by a random intercept per subject, where subjects have several frames.",
    "Detectable: the smallest true mean difference that n subjects would show at the one-sided level 0.05 with the power "
    "of the configuration, given the observed spread; Holm: at the level of the family's smallest p. "
    "∞: none, however large.",
)


def shown_inference(statistics: pd.DataFrame, labels: Mapping[str, str]) -> list[ShownTable]:
    """One shown table per dataset, protocol and K; rows by metric, method and baseline."""
    metrics, order = metric_order(list(statistics["metric"].unique())), list(labels)
    shown = []
    for (dataset, protocol, factor), part in statistics.groupby(["dataset", "protocol", "K"]):
        ranked = sorted(
            (row for _, row in part.iterrows()),
            key=lambda r: (metrics.index(r["metric"]), order.index(r["method"]), order.index(r["baseline"])),
        )
        caption = f"{dataset}, K = {factor}, protocol {protocol}: as good as, and what {part['n'].max()} subjects can show"
        shown.append(ShownTable(caption, HEADER, tuple(Row(_cells(row, labels)) for row in ranked), NOTES))
    return shown


def _cells(row: pd.Series, labels: Mapping[str, str]) -> tuple[Cell, ...]:
    decimals = decimals_of(row["metric"]) + 1

    def number(name: str) -> str:
        return "–" if pd.isna(row[name]) else format_value(row[name], decimals)

    def chance(name: str) -> Cell:
        return Cell("–" if pd.isna(row["margin"]) else format_p(row[name]), float(row[name]))

    frames = "one frame each" if row["frames"] == row["n"] else "no estimate"
    if not pd.isna(row["mixed_p"]):
        interval = f"[{number('mixed_low')}, {number('mixed_high')}]"
        frames = f"{number('mixed_difference')} {interval}, {format_p(row['mixed_p'])}"
    name = metric_name(row["metric"])
    return (
        Cell(name, name),
        *(Cell(labels[row[who]], labels[row[who]]) for who in ("method", "baseline")),
        Cell(f"{row['n']:.0f}", float(row["n"])),
        Cell(f"{number('mean_difference')} ± {number('sd_difference')}", float(row["mean_difference"])),
        Cell("–" if pd.isna(row["margin"]) else f"{row['margin']:g}", float(row["margin"])),
        chance("p_not_worse_holm"),
        chance("p_equivalent_holm"),
        Cell(frames, float(row["mixed_difference"])),
        *(Cell(number(name), float(row[name])) for name in ("detectable", "detectable_holm")),
    )
