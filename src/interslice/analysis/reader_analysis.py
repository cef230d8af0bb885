"""What readers could tell: rates with exact intervals, and the agreement between readers.

In: the key that `reader_study` wrote and the answers that its page exported.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa, to_table
from statsmodels.stats.proportion import proportion_confint

from interslice.common.errors import InputError

ALL_READERS = "all readers"
REFERENCE = "reference"  # what stands for a method where an image is real
KEY_KIND, ANSWERS_KIND = "interslice reader key", "interslice reader answers"


@dataclass(frozen=True)
class Answers:
    """What one reader said: item, synthetic, seconds, interrupted; and how many items the page had."""

    reader: str
    table: pd.DataFrame


def read_json(path: Path) -> dict[str, Any]:
    """A key or answers file; InputError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in (KEY_KIND, ANSWERS_KIND):
        raise InputError(f"{path}: found kind {kind!r}, allowed are {KEY_KIND!r} and {ANSWERS_KIND!r}")
    return dict(content)


def read_answers(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[Answers]]:
    """The items of the one key and the answers of every other file; InputError where they do not belong together."""
    contents = {path: read_json(path) for path in paths}
    keys = [path for path, content in contents.items() if content["kind"] == KEY_KIND]
    if len(keys) != 1 or len(contents) < 2:
        raise InputError(
            f"reader-analysis: {len(keys)} keys and {len(contents) - len(keys)} answer files found, needed are the one key "
            "that reader-study wrote beside the page (….key.json) and at least one file of answers"
        )
    key = contents.pop(keys[0])
    items = pd.DataFrame(key["items"])
    answers: list[Answers] = []
    for path, content in contents.items():
        if content["study"] != key["study"]:
            raise InputError(
                f"{path}: answers of study {content['study']} found, the key is of {key['study']}"
            )
        if content["reader"] in [one.reader for one in answers]:
            raise InputError(
                f"{path}: a second file of reader {content['reader']!r} found, allowed is one of each"
            )
        table = pd.DataFrame(content["answers"], columns=["item", "synthetic", "seconds", "interrupted"])
        if table.empty or not table["item"].is_unique or not set(table["item"]) <= set(items.index):
            raise InputError(
                f"{path}: items {sorted(table['item'])} found, allowed are 0 to {len(items) - 1}, each once"
            )
        answers.append(Answers(content["reader"], table))
    return items, answers


def reader_rates(items: pd.DataFrame, answers: Sequence[Answers], confidence: float = 0.95) -> pd.DataFrame:
    """How often each reader, and all together, called the slices of each method synthesised.

    items: a row per image with its method. Returns reader, method, n, called, rate, ci_low, ci_high
    (Clopper-Pearson), p (Fisher's exact test, one-sided, against real slices of the same reader; NaN for
    these) and seconds (median time of answers that nothing interrupted).
    """
    tables = [one.table.assign(reader=one.reader) for one in answers]
    readers = tables if len(tables) == 1 else [*tables, pd.concat(tables).assign(reader=ALL_READERS)]
    rows = []
    methods = [*sorted(set(items["method"]) - {REFERENCE}), REFERENCE]
    for table in readers:
        method_of = items["method"].loc[table["item"]].to_numpy()
        real = table[method_of == REFERENCE]["synthetic"]
        for method in methods:
            own = table[method_of == method]
            called, n = int(own["synthetic"].sum()), len(own)
            low = high = math.nan
            if n:
                low, high = proportion_confint(called, n, alpha=1 - confidence, method="beta")
            against = [[called, n - called], [int(real.sum()), len(real) - int(real.sum())]]
            tested = method != REFERENCE and n > 0 and len(real) > 0
            rows.append(
                {
                    "reader": table["reader"].iloc[0], "method": method, "n": n, "called": called,
                    "rate": called / n if n else math.nan, "ci_low": low, "ci_high": high,
                    "p": float(fisher_exact(against, alternative="greater").pvalue) if tested else math.nan,
                    "seconds": own["seconds"][~own["interrupted"].astype(bool)].median(),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def agreement(answers: Sequence[Answers]) -> tuple[str, float, int]:
    """Name, value and number of images of the agreement between readers, on the images that all answered.

    Cohen's kappa for two readers, Fleiss' for more (statsmodels). NaN for one reader, no common image, or
    where every answer is the same, for which kappa is not defined.
    """
    name = "Cohen's kappa" if len(answers) == 2 else "Fleiss' kappa"
    if len(answers) < 2:
        return name, math.nan, 0
    columns = [one.table.set_index("item")["synthetic"].astype(int) for one in answers]
    common = pd.concat(columns, axis=1, join="inner")
    if len(np.unique(common)) < 2:
        return name, math.nan, len(common)
    if len(answers) == 2:
        table, _ = to_table(common.to_numpy())
        return name, float(cohens_kappa(table, return_results=False)), len(common)
    counts, _ = aggregate_raters(common.to_numpy(), n_cat=2)
    return name, float(fleiss_kappa(counts, method="fleiss")), len(common)
