"""The long table: one row per scored slice, region and metric; and its means over the slices of a frame.

Slices stay in the files of the shards that they were scored in; statistics, tables and figures read the means.
A metric that has one value for a whole volume has slice -1 and kind synthesised (`whole_volume`).
"""

from collections.abc import Collection, Iterable, Sequence
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
FRAME = ["dataset", "method", "K", "seed", "protocol", "subject", "frame", "kind", "region", "metric"]
MEANS = [*FRAME, "value", "shortfall", "slices", "nonfinite", "gap_step"]


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


def read_scores(paths: Path | Iterable[Path], **wanted: Collection[str]) -> pd.DataFrame:
    """Read one or several Parquet long tables into one, of the rows alone whose columns have a value that is wanted."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    rows = [(column, "in", list(values)) for column, values in wanted.items()]
    tables = [pd.read_parquet(path, filters=rows or None) for path in paths]
    return check_scores(pd.concat(tables, ignore_index=True))


def frame_means(scores: pd.DataFrame) -> pd.DataFrame:
    """The means of a long table over the slices of every frame, columns MEANS, sorted by FRAME.

    kind is kept, synthesised, or all for both together. shortfall: the mean of the `shortfall` of every score, so that too
    much here and too little there do not cancel. slices: how many; nonfinite: how many of them are inf or NaN, none is
    dropped: a mean with a NaN is NaN. gap_step: every how many-th gap was scored, NaN where that was one gap or none.
    """
    if unknown := sorted(set(scores["metric"]) - set(METRICS)):
        raise InputError(
            f"score table: metric {unknown} found, allowed are those of the registry: {list(METRICS)}"
        )
    if scores.empty:
        return pd.DataFrame(columns=MEANS)
    scores = scores.sort_values("slice", kind="stable")
    fallen = scores.groupby("metric")["value"].transform(lambda values: shortfall(str(values.name), values))
    gaps = (scores["slice"] // scores["K"]).where(scores["slice"] >= 0)
    scores = scores.assign(shortfall=fallen, nonfinite=~np.isfinite(scores["value"]), slices=1, gap=gaps)
    parts = []
    for kind in (*KINDS, "all"):
        chosen = scores[(scores["kind"] == kind) | (kind == "all")].assign(kind=kind)
        steps = chosen.groupby(FRAME)["gap"].diff()
        groups = chosen.assign(gap_step=steps.where(steps > 0)).groupby(FRAME)
        means = groups[["value", "shortfall"]].mean(skipna=False)
        counts = groups.agg({"slices": "sum", "nonfinite": "sum", "gap_step": "min"})
        parts.append(means.join(counts).reset_index())
    return pd.concat(parts).sort_values(FRAME, ignore_index=True)[MEANS]


def collect_means(parts: Sequence[str], output: Path) -> None:
    """One file of the means of many shards, each of one dataset, method, K and seed: sorted, and never in memory as a whole."""
    import pyarrow
    from pyarrow import parquet

    runs: dict[tuple, list[str]] = {}
    for part in parts:
        # A shard may be empty.
        for run in parquet.read_table(part, columns=FRAME[:4]).slice(0, 1).to_pylist():
            runs.setdefault(tuple(run.values()), []).append(part)
    with replacing(output) as temporary:
        writer = None
        for run in sorted(runs):
            table = pd.concat(pd.read_parquet(part) for part in runs[run]).sort_values(FRAME)
            repeated = table.duplicated(FRAME)
            if repeated.any():
                raise InputError(
                    f"score table: {table.loc[repeated, FRAME].iloc[0].to_dict()} is there twice"
                )
            rows = pyarrow.Table.from_pandas(table, preserve_index=False)
            writer = writer or parquet.ParquetWriter(temporary, rows.schema)
            writer.write_table(rows)
        if writer is None:
            raise InputError("score table: found no score, at least one is needed")
        writer.close()


def read_means(path: str | Path, **wanted: Collection[str]) -> pd.DataFrame:
    """The means of a study, of the rows alone whose columns have a value that is wanted."""
    rows = [(column, "in", list(values)) for column, values in wanted.items()]
    return pd.read_parquet(path, filters=rows or None)


def read_views(path: str | Path) -> pd.DataFrame:
    """Every kind, region and protocol that the means of a study are of, a row each."""
    from pyarrow import parquet

    columns = ["kind", "region", "protocol"]
    table = parquet.read_table(path, columns=columns, read_dictionary=columns)
    return pd.DataFrame(table.group_by(columns).aggregate([]).to_pylist())


def gap_step(means: pd.DataFrame) -> int | None:
    """Every how many-th gap of a volume was scored, as `evaluation.gap_step` had it; None where that was one gap or none."""
    step = means["gap_step"].min()
    return None if np.isnan(step) else int(step)


def subject_means(means: pd.DataFrame, kind: str = "synthesised", region: str = "whole") -> pd.DataFrame:
    """One value per subject, the unit of every test, of the `frame_means`: the mean over frames, then over seeds.

    `kind` is "kept", "synthesised" or "all"; `region` is "whole" or "foreground".
    Returns columns dataset, method, K, protocol, metric, subject, value, shortfall, slices (scored per seed), nonfinite
    (scores that are inf or NaN, over all seeds) and seed_sd (standard deviation over seeds; NaN for one seed). Nothing is
    dropped: a subject with a NaN has mean NaN.
    """
    keys = ["dataset", "method", "K", "protocol", "metric", "subject"]
    groups = seed_values(means, kind, region).groupby(keys)
    values = groups[["value", "shortfall"]].mean(skipna=False)
    added = {"slices": groups["slices"].first(), "nonfinite": groups["nonfinite"].sum()}
    return values.assign(**added, seed_sd=groups["value"].std()).reset_index()


def seed_values(means: pd.DataFrame, kind: str = "synthesised", region: str = "whole") -> pd.DataFrame:
    """As `subject_means`, one value per subject and seed, with the column seed and without seed_sd."""
    chosen = means[(means["region"] == region) & (means["kind"] == kind)]
    groups = chosen.groupby(["dataset", "method", "K", "protocol", "metric", "subject", "seed"])
    values = groups[["value", "shortfall"]].mean(skipna=False)
    return groups[["slices", "nonfinite"]].sum().join(values).reset_index()
