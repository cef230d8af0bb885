"""The results of a study as numbers: the means of frames in; one row per dataset, K and method out."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.rows import mean_of, metric_order, sd_of, seed_means, select_means
from interslice.scoring.longtable import gap_step, subject_means


def results_table(
    means: pd.DataFrame,
    *,
    kind: str = "synthesised",
    region: str = "whole",
    protocol: str = "strict",
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> pd.DataFrame:
    """One row per dataset (as they come), K and method (in the order of `labels`); unrounded, so that a CSV keeps all.

    Columns: dataset, K, protocol, kind, region, method, label, control, supervised, seeds, gap_step (`longtable.gap_step`), and
    for each metric `_mean` and `_sd` (over subjects, ddof 1, of the values of `longtable.subject_means`), `_shortfall` (mean
    of the subjects'), `_seed_sd` (standard
    deviation over seeds of the mean over subjects: how far the row's mean moves when training is repeated; NaN for one
    seed), `_n` (subjects), `_slices_min` and `_slices_max` (slices scored per subject and seed) and `_nonfinite` (scored
    values that are inf or NaN). A mean that is inf or NaN stays so.
    Raises InputError as `select_means` does.
    """
    chosen = select_means(means, kind=kind, region=region, protocol=protocol, labels=labels)
    metrics, order = metric_order(list(chosen["metric"].unique())), list(labels)
    datasets = list(chosen["dataset"].unique())
    keys = ["dataset", "K", "method"]
    subjects: dict[Any, pd.DataFrame] = dict(list(subject_means(chosen, kind, region).groupby(keys)))
    over_seeds = seed_means(chosen, kind=kind, region=region).groupby([*keys, "metric"])["value"].agg(sd_of)
    seeds = chosen.groupby(keys)["seed"].nunique()
    steps = {key: gap_step(part) for key, part in chosen.groupby(keys)}
    rows = []
    for dataset, factor, method in sorted(
        subjects, key=lambda key: (datasets.index(key[0]), key[1], order.index(key[2]))
    ):
        part = subjects[dataset, factor, method]
        row = {"dataset": dataset, "K": factor, "protocol": protocol, "kind": kind, "region": region}
        row |= {"method": method, "label": labels[method], "control": method in controls}
        row |= {"supervised": method in supervised, "seeds": seeds[dataset, factor, method]}
        row["gap_step"] = steps[dataset, factor, method]
        for metric in metrics:
            row |= _over_subjects(part[part["metric"] == metric], metric)
            row[f"{metric}_seed_sd"] = over_seeds.get((dataset, factor, method, metric), np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def group_means(
    means: pd.DataFrame, groups: Mapping[str, Mapping[str, Sequence[str]]], labels: Mapping[str, str]
) -> pd.DataFrame:
    """Means over groups of test subjects, such as those of one scanner, of synthesised slices under the strict protocol.

    groups: dataset to group to its subjects. A dataset of one test subject with several frames has its frames, from 0, for
    groups. One row per dataset, K, group, method and metric, with label, mean and n: the subjects (or frames) of the group that
    were scored. Without rows where there are no groups.
    """
    chosen = select_means(means, kind="synthesised", region="whole", protocol="strict", labels=labels)
    subjects, columns = subject_means(chosen), ["dataset", "K", "group", "method", "metric"]
    parts = [
        subjects[(subjects["dataset"] == dataset) & subjects["subject"].isin(list(names))].assign(group=group)
        for dataset, own in groups.items()
        for group, names in own.items()
    ]
    for _, part in chosen.groupby("dataset"):
        if part["subject"].nunique() == 1 and part["frame"].nunique() > 1:
            names = [f"frame {frame}" for frame in sorted(part["frame"].unique())]
            frames = subject_means(part.assign(subject="frame " + part["frame"].astype(str)))
            parts += [frames[frames["subject"] == name].assign(group=name) for name in names]
    if not parts:
        return pd.DataFrame(columns=[*columns, "mean", "n", "label"])
    over = pd.concat(parts).groupby(columns, sort=False)["value"]
    table = over.agg(mean=mean_of, n="size").reset_index()
    table = table.sort_values("method", key=lambda names: names.map(list(labels).index), kind="stable")
    return table.assign(label=table["method"].map(labels))


def _over_subjects(subjects: pd.DataFrame, metric: str) -> dict[str, float]:
    scored = len(subjects) > 0
    return {
        f"{metric}_mean": mean_of(subjects["value"]) if scored else np.nan,
        f"{metric}_sd": sd_of(subjects["value"]),
        f"{metric}_shortfall": mean_of(subjects["shortfall"]) if scored else np.nan,
        f"{metric}_n": len(subjects),
        f"{metric}_slices_min": int(subjects["slices"].min()) if scored else 0,
        f"{metric}_slices_max": int(subjects["slices"].max()) if scored else 0,
        f"{metric}_nonfinite": int(subjects["nonfinite"].sum()),
    }


def table_metrics(table: pd.DataFrame) -> list[str]:
    """The metrics of a results table, in order."""
    return [column.removesuffix("_mean") for column in table.columns if column.endswith("_mean")]
