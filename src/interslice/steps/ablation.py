"""Ablation step: the variants of a study against their base, as one table and its figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from interslice.analysis.ablation import ablation_table
from interslice.analysis.rows import labelled
from interslice.common.files import replacing
from interslice.report.ablation import ablation_figure, shown_ablation
from interslice.report.formatting import BUDGET_MARK, write_formats
from interslice.report.style import save
from interslice.scoring.longtable import REGIONS, read_means
from interslice.training.record import read_record


def tabulate_ablation(
    means: str,
    trainings: Sequence[tuple[str, int, str, str]],
    *,
    base: str,
    variants: Sequence[str],
    labels: Mapping[str, str],
    datasets: Mapping[str, str],
    confidence: float,
    folder: Path,
) -> None:
    """Write REGION.csv, .md and .tex for both regions. trainings: dataset, K, method and provenance.json of each."""
    table, costs = read_means(means, kind=["synthesised"]), read_costs(trainings)
    stopped = {method for *_, method, path in trainings if read_record(Path(path)).marked}
    labels = {name: label + (BUDGET_MARK if name in stopped else "") for name, label in labels.items()}
    with replacing(folder) as tables:
        tables.mkdir(parents=True)
        for region in REGIONS:
            result = ablation_table(
                table,
                costs,
                base=base,
                variants=variants,
                labels=labels,
                region=region,
                confidence=confidence,
            )
            write_formats(result, shown_ablation(labelled(result, datasets)), tables, region)


def read_costs(trainings: Sequence[tuple[str, int, str, str]]) -> pd.DataFrame:
    """dataset, K, method, parameters and seconds per step (wall time with validations; the mean over seeds)."""
    rows = []
    for dataset, factor, method, path in trainings:
        record = json.loads(Path(path).read_text())
        row = {"dataset": dataset, "K": int(factor), "method": method, "parameters": record["parameters"]}
        rows.append(row | {"seconds_per_step": 1 / record["steps_per_second"]})
    return pd.DataFrame(rows).groupby(["dataset", "K", "method"]).mean().reset_index()


def plot_ablation(
    tables: str,
    *,
    dataset: str,
    factor: int,
    region: str,
    datasets: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """The forest plot of one dataset, K and region from the tables of `tabulate_ablation`."""
    rows = pd.read_csv(Path(tables) / f"{region}.csv")
    rows = rows[(rows["dataset"] == dataset) & (rows["K"] == factor)]
    save(ablation_figure(labelled(rows, datasets)), *outputs)
