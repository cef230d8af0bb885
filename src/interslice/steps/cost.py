"""Cost step: quality set against the time and memory that the interpolations took."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.costs import cost_table
from interslice.analysis.rows import labelled
from interslice.common.files import write_csv, write_text
from interslice.report.costs import quality_against_seconds, shown_costs
from interslice.report.formatting import markdown
from interslice.report.style import save
from interslice.scoring.longtable import read_means
from interslice.steps.budgets import marked_display, with_budgets
from interslice.steps.subjects import COSTS


def read_costs(runs: Sequence[tuple[str, int, str, Sequence[str]]]) -> pd.DataFrame:
    """dataset, K, method, seconds of one frame of a volume and of 10^6 of its voxels (medians over test subjects, the first
    subject of a shard left out where there are others: it warms up), and the largest peak_mib.

    runs: dataset, K, method and its folders of interpolated volumes. Seconds are those of `interpolate` alone: a method
    that trains on the scan trains in there, reading files and loading weights is not counted.
    """
    rows = []
    for dataset, factor, method, folders in runs:
        shards = [json.loads((Path(folder) / COSTS).read_text()) for folder in folders]
        records = pd.DataFrame([record for shard in shards for record in shard])
        warm = pd.DataFrame(
            [record for shard in shards for record in shard[1:]] or records.to_dict("records")
        )
        seconds = warm["seconds"] / warm["frames"]
        row = {"dataset": dataset, "K": int(factor), "method": method, "seconds": seconds.median()}
        row |= {"seconds_per_million": (1e6 * seconds / warm["voxels"]).median()}
        rows.append(row | {"peak_mib": records["peak_mib"].max()})
    return pd.DataFrame(rows)


def plot_cost(
    means: str,
    budgets: str,
    runs: Sequence[tuple[str, int, str, Sequence[str]]],
    display: Mapping[str, Any],
    datasets: Mapping[str, str],
    *,
    table: Path,
    shown: Path,
    figures: Sequence[str],
) -> None:
    """Write the comparison of quality and cost as CSV, Markdown and figure.

    budgets: the CSV of `budgets.collect_budgets`; runs: as in read_costs.
    """
    display = marked_display(display, budgets)
    scored = read_means(means, kind=["synthesised"], region=["whole"])
    results = with_budgets(cost_table(scored, read_costs(runs), display=display), budgets)
    write_csv(results, table)
    results = labelled(results, datasets)
    write_text(markdown(shown_costs(results)), shown)
    save(quality_against_seconds(results), *figures)
