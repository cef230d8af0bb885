"""The long table: one row per scored slice, region and metric. Statistics, tables and figures read nothing else.

A metric that has one value for a whole volume has slice -1 and kind synthesised (`whole_volume`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.scoring.registry import METRICS

Values = TypeVar("Values", float, np.ndarray, pd.Series)
KEYS = ["dataset", "method", "K", "seed", "protocol", "subject", "frame", "slice", "kind", "region", "metric"]
COLUMNS = [*KEYS, "value"]
INTEGERS = ["K", "seed", "frame", "slice"]
KINDS = ("kept", "synthesised")
REGIONS = ("whole", "foreground")


def shortfall(metric: str, values: Values) -> Values:
    """How far values of a metric are from its best one, in its unit up to a constant: the smaller, the better.

    The distance from a best value that is finite; else the value itself, turned around where larger is better.
    """
    best = METRICS[metric].best
    if np.isfinite(best):
        return abs(values - best)
    return -values if best > 0 else values


def check_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return `scores` with the columns in order and the right types; raise InputError where a rule of the table is broken.

    Values may be infinite (PSNR of identical slices) or NaN: both stay in the table, so that they can be counted.
    """
    missing, surplus = set(COLUMNS) - set(scores.columns), set(scores.columns) - set(COLUMNS)
    if missing or surplus:
        raise InputError(f"score table: missing columns {sorted(missing)}, unknown columns {sorted(surplus)}")
    scores = scores[COLUMNS].astype({**dict.fromkeys(INTEGERS, "int64"), "value": "float64"})
    for column, allowed in (("kind", KINDS), ("region", REGIONS)):
        found = set(scores[column].unique()) - set(allowed)
        if found:
            raise InputError(f"score table: {column} {sorted(found)} found, allowed are {list(allowed)}")
    repeated = scores.duplicated(KEYS)
    if repeated.any():
        raise InputError(
            f"score table: {int(repeated.sum())} rows are there twice, first {scores[repeated].iloc[0].to_dict()}"
        )
    return scores


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Write a checked long table as Parquet, sorted by its keys so that equal scores give equal files."""
    scores = check_scores(scores).sort_values(KEYS, ignore_index=True)
    with replacing(path) as temporary:
        scores.to_parquet(temporary, index=False)


def read_scores(paths: Path | Iterable[Path]) -> pd.DataFrame:
    """Read one or several Parquet long tables into one."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    return check_scores(pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True))


def gap_step(scores: pd.DataFrame) -> int | None:
    """Every how many-th gap of a volume was scored, as `evaluation.gap_step` had it; None where that was one gap or none."""
    sliced = scores[scores["slice"] >= 0]
    gaps = np.unique(sliced["slice"] // sliced["K"])
    return int(np.diff(gaps).min()) if len(gaps) > 1 else None


def subject_means(scores: pd.DataFrame, kind: str = "synthesised", region: str = "whole") -> pd.DataFrame:
    """One value per subject, the unit of every test: the mean over its scored slices, then over frames, then over seeds.

    `kind` is "kept", "synthesised" or "all"; `region` is "whole" or "foreground".
    Returns columns dataset, method, K, protocol, metric, subject, value, shortfall (as value, of the `shortfall` of every
    score, so that too much here and too little there do not cancel), slices (scored per seed), nonfinite (values that
    are inf or NaN, over all seeds) and seed_sd (standard deviation over seeds; NaN for one seed). Nothing is dropped: a
    subject with a NaN has mean NaN.
    """
    keys = ["dataset", "method", "K", "protocol", "metric", "subject"]
    groups = seed_values(scores, kind, region).groupby(keys)
    means = groups[["value", "shortfall"]].mean(skipna=False)
    added = {"slices": groups["slices"].first(), "nonfinite": groups["nonfinite"].sum()}
    return means.assign(**added, seed_sd=groups["value"].std()).reset_index()


def seed_values(scores: pd.DataFrame, kind: str = "synthesised", region: str = "whole") -> pd.DataFrame:
    """As `subject_means`, one value per subject and seed, with the column seed and without seed_sd."""
    chosen = scores[(scores["region"] == region) & ((scores["kind"] == kind) | (kind == "all"))]
    fallen = chosen.groupby("metric")["value"].transform(lambda values: shortfall(str(values.name), values))
    chosen = chosen.assign(shortfall=fallen, nonfinite=~np.isfinite(chosen["value"]), slices=1)
    keys = ["dataset", "method", "K", "protocol", "metric", "subject", "seed"]
    for level in (["frame"], []):
        groups = chosen.groupby([*keys, *level])
        means = groups[["value", "shortfall"]].mean(skipna=False)
        chosen = groups[["slices", "nonfinite"]].sum().join(means).reset_index()
    return chosen
