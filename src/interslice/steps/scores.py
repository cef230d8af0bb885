"""Score steps: many long tables into one, and the tests on subjects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.inference import supplement
from interslice.analysis.statistics import compare
from interslice.common.files import replacing
from interslice.scoring.longtable import REGIONS, read_scores, subject_means, write_scores


def collect_scores(parts: Sequence[str], output: str) -> None:
    """One long table from the shards' tables."""
    write_scores(read_scores([Path(part) for part in parts]), Path(output))


def compare_methods(
    scores: str, trained: Sequence[str], baselines: Sequence[str], settings: Mapping[str, Any], output: str
) -> None:
    """The paired tests of every trained method against every baseline, on synthesised slices, for both regions.

    settings: the study's `statistics`. Each region is a family of its own.
    """
    table = read_scores(Path(scores))
    tests = []
    for region in REGIONS:
        compared = compare(
            subject_means(table, kind="synthesised", region=region),
            list(trained),
            list(baselines),
            confidence=settings["confidence"],
            bootstrap=settings["bootstrap"],
            family=settings["family"],
        )
        more = {key: settings[key] for key in ("margins", "family", "confidence", "power")}
        tests.append(supplement(compared, table, region=region, **more).assign(region=region))
    with replacing(output) as temporary:
        pd.concat(tests, ignore_index=True).to_csv(temporary, index=False)
