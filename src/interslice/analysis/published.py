"""Published numbers (config/published.csv) and ours beside them, where dataset, K and protocol are the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.audit import switched_scores, without_nonfinite
from interslice.common.errors import InputError
from interslice.report.formatting import Cell, Row, ShownTable, decimals_of, format_value, metric_name
from interslice.scoring.longtable import subject_means
from interslice.scoring.registry import METRICS
from interslice.scoring.released_protocol import AS_PUBLISHED

COLUMNS = ["dataset", "K", "method", "variant", "kind", "split", "n", "window_px", "metric", "mean", "sd"]
COLUMNS += ["protocol", "wording", "source", "evidence"]
EVIDENCE = {"N": "stored output of a released notebook", "A": "abstract or README"}
NOT_COMPARABLE = "not comparable"
OTHER_DECIMALS = 3  # of published numbers that are no metric of ours


def read_published(path: Path) -> pd.DataFrame:
    """The published numbers, columns COLUMNS; an empty cell is NaN, or "" in a column of text. InputError for another file."""
    text = {name: str for name in COLUMNS if name not in ("K", "n", "window_px", "mean", "sd")}
    try:
        table = pd.read_csv(path, dtype=text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as a table ({error})") from error
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: found the columns {list(table.columns)}, allowed are {COLUMNS}")
    table[list(text)] = table[list(text)].fillna("")
    unsourced = table[
        (table["source"] == "") | (table["wording"] == "") | ~table["evidence"].isin(list(EVIDENCE))
    ]
    if len(unsourced):
        raise InputError(
            f"{path}: line {unsourced.index[0] + 2} has no wording, no source or the evidence "
            f"{unsourced['evidence'].iloc[0]!r}, allowed are {', '.join(EVIDENCE)}"
        )
    return table


def beside(
    published: pd.DataFrame, strict: pd.DataFrame, rescored: pd.DataFrame, study: Mapping[str, Any]
) -> pd.DataFrame:
    """`published` with ours beside it: columns ours, ours_mean, ours_sd, ours_n and remark.

    strict, rescored: the long tables of the study; study: `config.Study.resolved`. A row per published
    value and method of ours that it is about; one row with "not comparable" and the reason where there is none. Ours
    are means over frames, as in the released evaluation (every frame a sample), which left out what is not finite.
    """
    scores, dropped = without_nonfinite(switched_scores(strict, rescored, AS_PUBLISHED), AS_PUBLISHED)
    unit = scores["subject"].astype(str) + " frame " + scores["frame"].astype(str)
    scores = scores.assign(subject=unit)
    rows = []
    for _, row in published.iterrows():
        nothing = {"ours": "", "ours_mean": np.nan, "ours_sd": np.nan, "ours_n": np.nan}
        reason = _obstacle(row, study)
        found = [] if reason else _ours(row, scores, dropped, study)
        if not found:
            reason = reason or "this study has no such scores"
            rows.append({**row, **nothing, "remark": f"{NOT_COMPARABLE}: {reason}"})
        rows += [{**row, **own} for own in found]
    return pd.DataFrame(rows)


def _obstacle(row: pd.Series, study: Mapping[str, Any]) -> str:
    """Why a published value has no counterpart in this study; "" where it may have one."""
    datasets = {name: d for name, d in study["datasets"].items() if _same_data(row, d)}
    if row["metric"] not in METRICS:
        return "not a score"
    if not datasets:
        return f"this study has no dataset of source {row['dataset']}"
    if row["split"] != "test":
        return f"on {row['split']} subjects"
    if np.isnan(row["K"]):
        return "K is not stated"
    factors = {K for d in datasets.values() for K in d["factors"] or study["config"]["factors"]}
    if row["K"] not in factors:
        return f"this study has K = {', '.join(map(str, sorted(factors)))}"
    if not _methods(row, study):
        return f"this study has no method {row['method']}"
    if not any(_same_window(row, d) for d in datasets.values()):
        windows = {"the cropped volume" if w is None else f"{w} px" for w in map(_window, datasets.values())}
        return f"scored in a window of {row['window_px']:.0f} px, here {', '.join(sorted(windows))}"
    if row["protocol"] != AS_PUBLISHED:
        return f"protocol {row['protocol'] or 'not stated'}"
    return ""


def _same_data(row: pd.Series, dataset: Mapping[str, Any]) -> bool:
    """Whether a dataset is the published one: its source, and no copy whose slices were moved."""
    return dataset["source"] == row["dataset"] and not dataset["slice_shift"]


def _window(dataset: Mapping[str, Any]) -> int | None:
    """The side of the square that is scored, None for whole slices as they are cropped."""
    return dataset["score_px"] or dataset["crop"].get("centre_px") or dataset["pad_px"]


def _same_window(row: pd.Series, dataset: Mapping[str, Any]) -> bool:
    """A published value without a window is of whole slices, whatever their size."""
    return bool(np.isnan(row["window_px"])) or row["window_px"] == _window(dataset)


def _methods(row: pd.Series, study: Mapping[str, Any]) -> list[str]:
    """The methods of the study that a published one is."""
    return [
        name
        for name, settings in study["methods"].items()
        if settings["method"] == row["method"] and _as_released(settings)
    ]


def _as_released(settings: Mapping[str, Any]) -> bool:
    """The released autoencoder has the LPIPS term (Eq. 3 of the paper), the VAE and the ACAI have no synthesis loss."""
    synthesis = settings.get("synthesis", {})
    weights = {term: synthesis.get(term, 0) for term in ("lpips", "mse", "l1")}
    if settings["method"] == "cae":
        return weights["lpips"] > 0
    return not any(weights.values())


def _ours(
    row: pd.Series, scores: pd.DataFrame, dropped: Mapping[tuple, int], study: Mapping[str, Any]
) -> list[dict[str, Any]]:
    means = subject_means(scores, kind=row["kind"])
    found = []
    for name, dataset in study["datasets"].items():
        if not (_same_data(row, dataset) and _same_window(row, dataset)):
            continue
        for method in _methods(row, study):
            own = means[(means["dataset"] == name) & (means["K"] == row["K"])]
            own = own[(own["method"] == method) & (own["metric"] == row["metric"])]
            if len(own) == 0:
                continue
            patients = own["subject"].str.rsplit(" frame ", n=1).str[0].nunique()
            remarks = [] if patients == row["n"] else [f"n = {patients} here, {row['n']:.0f} there"]
            remarks += [f"theirs is a variant: {row['variant']}"] if row["variant"] else []
            lost = dropped.get((name, row["K"], row["metric"], method), 0)
            remarks += (
                [f"{lost} scores, kept or synthesised, that are not finite are left out"] if lost else []
            )
            value = own["value"]
            spread = float(value.std(ddof=1)) if len(value) > 1 and np.isfinite(value).all() else np.nan
            found.append(
                {"ours": method, "ours_mean": float(value.mean()), "ours_sd": spread, "ours_n": patients}
                | {"remark": "; ".join(remarks)}
            )
    return found


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
        texts = [row["wording"], row["kind"], metric]
        ours = [labels[row["ours"]] if row["ours"] else "–", row["remark"]]
        cells = [*(Cell(text, text) for text in texts), value(row, "mean", "sd"), Cell(ours[0], ours[0])]
        cells += [value(row, "ours_mean", "ours_sd"), Cell(ours[1], ours[1])]
        rows.append(Row((*cells, Cell(EVIDENCE[row["evidence"]], row["evidence"]))))
    header = ("What was published", "Slices", "Metric", "Published", "Ours", "Value", "Remark", "Evidence")
    notes = (
        "Ours stand beside a published value only where dataset, K, split, window and protocol (as published) are the same.",
        "Published values are not from the paper's printed tables; sources are in config/published.csv.",
    )
    return ShownTable("Published numbers and ours", header, tuple(rows), notes)
