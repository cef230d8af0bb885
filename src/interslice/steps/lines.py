"""Lines step: interpolated pairs of lines in, the two metrics of Berthelot et al. 2018 as a long table and as tables out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.results import results_table
from interslice.common.errors import InputError
from interslice.common.files import write_text
from interslice.data.interpolated import ENDING, read_interpolated
from interslice.report.formatting import plain, write_formats
from interslice.report.tables import shown_results
from interslice.scoring.lines import nearest_lines, smoothness
from interslice.scoring.longtable import frame_means, write_scores
from interslice.steps.budgets import budget_table, marked


def tabulate_lines(
    volumes: Sequence[tuple[str, int, Sequence[str]]], display: Mapping[str, Any], outputs: Sequence[str]
) -> None:
    """Write lines.parquet, .csv, .md, .tex and .txt. volumes: method, seed and their folders of interpolated volumes.

    Raises InputError where there are none, as in a study without lines.
    """
    if not any(folders for *_, folders in volumes):
        raise InputError(
            "lines: found no dataset of source lines in the study, needed is one as in config/lines.yaml"
        )
    scores = pd.concat(
        score_lines(read_interpolated(next(Path(folder).glob(f"*{ENDING}"))).data).assign(
            method=method, seed=seed
        )
        for method, seed, folders in volumes
        for folder in folders
    )
    table = scores.assign(dataset="lines", protocol="strict", region="whole", frame=0)
    by_ending = {Path(path).suffix: Path(path) for path in outputs}
    write_scores(table, by_ending[".parquet"])
    runs = [("lines", 0, method, folders) for method, _, folders in volumes]
    labels = marked(display["labels"], budget_table(runs))
    results = results_table(
        frame_means(table), kind="all", labels=labels, controls=set(display["controls"]), supervised=set()
    )
    shown = shown_results(results)
    write_formats(results, shown, by_ending[".csv"].parent, by_ending[".csv"].stem)
    write_text("\n".join(plain(shown)) + "\n", by_ending[".txt"])


def score_lines(images: np.ndarray) -> pd.DataFrame:
    """Rows of the long table for interpolated pairs (pairs, K + 1, 32, 32); a pair takes the place of a subject.

    Mean Distance has a value per image, Smoothness one per pair, written to its first synthesised image.
    """
    distances, angles = nearest_lines(images)
    pairs, count = distances.shape
    pair, place = (index.ravel() for index in np.indices((pairs, count)))
    rows = pd.DataFrame(
        {"subject": pair, "slice": place, "metric": "mean_distance", "value": distances.ravel()}
    )
    turning = pd.DataFrame(
        {"subject": np.arange(pairs), "slice": 1, "metric": "smoothness", "value": smoothness(angles)}
    )
    rows = pd.concat([rows, turning], ignore_index=True)
    kind = np.where(rows["slice"] % (count - 1) == 0, "kept", "synthesised")
    return rows.assign(subject=rows["subject"].map("pair-{:03d}".format), kind=kind, K=count - 1)
