"""Published numbers and ours beside them as a table for people."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interslice.analysis.published import EVIDENCE
from interslice.report.formatting import Cell, ShownTable, decimals_of, format_value, metric_name, table_of
from interslice.scoring.registry import METRICS

OTHER_DECIMALS = 3  # of published numbers that are no metric of ours


def shown_published(table: pd.DataFrame, labels: Mapping[str, str]) -> ShownTable:
    """The comparison as a table for people."""

    def value(row: pd.Series, mean: str, sd: str) -> Cell:
        if np.isnan(row[mean]):
            return Cell("–", "–")
        decimals = decimals_of(row["metric"]) if row["metric"] in METRICS else OTHER_DECIMALS
        spread = "" if np.isnan(row[sd]) else f" ± {row[sd]:.{decimals}f}"
        return Cell(f"{format_value(row[mean], decimals)}{spread}", float(row[mean]))

    rows = []
    for _, row in table.iterrows():
        metric = metric_name(row["metric"]) if row["metric"] in METRICS else row["metric"].replace("_", " ")
        rows.append(
            {
                "What was published": row["wording"],
                "Slices": row["kind"],
                "Metric": metric,
                "Published": value(row, "mean", "sd"),
                "Ours": labels[row["ours"]] if row["ours"] else "–",
                "Value": value(row, "ours_mean", "ours_sd"),
                "Remark": row["remark"],
                "Evidence": Cell(EVIDENCE[row["evidence"]], row["evidence"]),
            }
        )
    notes = (
        "Ours stand beside a published value only where data, test subjects, K, window and protocol are recorded as equal.",
        "Published values are not from the paper's printed tables; sources are in config/published.csv.",
    )
    return table_of("Published numbers and ours", rows, notes)
