"""Published numbers (config/published.csv), and ours beside them where data, split, K, window and protocol are the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.audit import frames_as_subjects, switched_scores, without_nonfinite
from interslice.common.errors import InputError
from interslice.scoring.longtable import frame_means, subject_means
from interslice.scoring.registry import METRICS
from interslice.scoring.released_protocol import AS_PUBLISHED

COLUMNS = ["dataset", "K", "method", "variant", "kind", "split", "n", "window_px", "metric", "mean", "sd"]
COLUMNS += ["protocol", "wording", "source", "evidence"]
EVIDENCE = {"N": "stored output of a released notebook", "A": "abstract or README"}
NOT_COMPARABLE = "not comparable"


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

    strict, rescored: the long tables of the study; study: `study.Study.resolved`. A row per published value and method of
    ours that it is about; one row with "not comparable" and the reason where there is none: data, test subjects, K, window
    and protocol must be recorded as equal, by `same_as` in a dataset's file and by published.csv. Ours are means over
    frames, as in the released evaluation (every frame a sample), which left out what is not finite.
    """
    scores, dropped = without_nonfinite(switched_scores(strict, rescored, AS_PUBLISHED), AS_PUBLISHED)
    scores = frames_as_subjects(scores)
    means, patients = frame_means(scores), scores.groupby(["dataset", "method"])["patient"].nunique()
    rows = []
    for _, row in published.iterrows():
        nothing = {"ours": "", "ours_mean": np.nan, "ours_sd": np.nan, "ours_n": np.nan}
        reason = _obstacle(row, study)
        found = [] if reason else _ours(row, means, patients, dropped, study)
        others = sorted({own["ours_n"] for own in found} - {row["n"]})
        if others:
            reason, found = f"n = {others[0]} here, {row['n']:.0f} there", []
        if not found:
            reason = reason or "this study has no such scores"
            rows.append({**row, **nothing, "remark": f"{NOT_COMPARABLE}: {reason}"})
        rows += [{**row, **own} for own in found]
    return pd.DataFrame(rows)


def _obstacle(row: pd.Series, study: Mapping[str, Any]) -> str:
    """Why a published value has no counterpart in this study; "" where it may have one."""
    datasets = {name: d for name, d in study["datasets"].items() if _same_data(row, d)}
    sources = {d["source"] for d in study["datasets"].values()}
    if row["metric"] not in METRICS:
        return "not a score"
    if not datasets and row["dataset"] in sources:
        return "files or test subjects are not known to be the published ones"
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
    if np.isnan(row["window_px"]):
        return "its window is not stated"
    if not any(row["window_px"] == _window(d) for d in datasets.values()):
        windows = {"the cropped volume" if w is None else f"{w} px" for w in map(_window, datasets.values())}
        return f"scored in a window of {row['window_px']:.0f} px, here {', '.join(sorted(windows))}"
    if row["protocol"] != AS_PUBLISHED:
        return f"protocol {row['protocol'] or 'not stated'}"
    return ""


def _same_data(row: pd.Series, dataset: Mapping[str, Any]) -> bool:
    """Whether a dataset is recorded to be the published one, and is no copy whose slices were moved."""
    return dataset["same_as"] == row["dataset"] and not dataset["slice_shift"]


def _window(dataset: Mapping[str, Any]) -> int | None:
    """The side of the square that is scored, None for whole slices as they are cropped."""
    return dataset["score_px"] or dataset["crop"].get("centre_px") or dataset["pad_px"]


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
    row: pd.Series,
    frames: pd.DataFrame,
    patients: pd.Series,
    dropped: Mapping[tuple, int],
    study: Mapping[str, Any],
) -> list[dict[str, Any]]:
    means = subject_means(frames, kind=row["kind"])
    found = []
    for name, dataset in study["datasets"].items():
        if not (_same_data(row, dataset) and row["window_px"] == _window(dataset)):
            continue
        for method in _methods(row, study):
            own = means[(means["dataset"] == name) & (means["K"] == row["K"])]
            own = own[(own["method"] == method) & (own["metric"] == row["metric"])]
            if len(own) == 0:
                continue
            training = study["methods"][method].get("training", {})
            remarks = [f"theirs is a variant: {row['variant']}"] if row["variant"] else []
            if "steps" in training:
                remarks.append(f"ours has at most {training['steps']:,} updates, theirs are not recorded")
            if lost := dropped.get((name, row["K"], row["metric"], method), 0):
                remarks.append(f"{lost} scores, kept or synthesised, that are not finite are left out")
            value = own["value"]
            spread = float(value.std(ddof=1)) if len(value) > 1 and np.isfinite(value).all() else np.nan
            ours = {"ours": method, "ours_mean": float(value.mean()), "ours_sd": spread}
            found.append(ours | {"ours_n": patients[name, method], "remark": "; ".join(remarks)})
    return found


def read_beside(path: Path) -> pd.DataFrame:
    """The table of `beside` as it was written to a file; an empty cell of text is ""."""
    texts = ["ours", "kind", "variant", "split", "protocol", "remark"]
    table = pd.read_csv(path, dtype=dict.fromkeys(texts, str))
    return table.assign(**{name: table[name].fillna("") for name in texts})
