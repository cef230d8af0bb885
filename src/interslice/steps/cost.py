"""Cost steps: the time and memory of one method on one whole volume, and quality set against it."""

import json
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interslice.analysis.costs import cost_table
from interslice.common.files import replacing
from interslice.common.parallel import set_threads
from interslice.data.volumes import open_volume
from interslice.methods import load_method
from interslice.report.costs import cost_markdown, quality_against_seconds
from interslice.scoring.longtable import read_scores
from interslice.steps.data import volumes_of
from interslice.steps.figures import save_all
from interslice.steps.tables import write_text


def measure_cost(
    low: Sequence[Path],
    checkpoint: Path | None,
    *,
    keys: Mapping[str, Any],
    settings: Mapping[str, Any],
    subject: str | None,
    threads: int,
    output: Path,
) -> None:
    """Interpolate every slice of the first frame of a test subject (None: the first) and write what it took as JSON.

    keys: dataset, K, method, which are written along. Seconds are those of `interpolate` alone: a method that trains on the
    scan trains in there, reading files and loading weights is not counted. Peak memory is that of the process, or of the
    largest program that it ran.
    """
    method = load_method(settings, checkpoint)
    set_threads(threads)
    files = volumes_of(low, "test")
    volume = np.ascontiguousarray(open_volume(files[subject or min(files)]).data[0])
    started = time.perf_counter()
    result = method.interpolate(volume, keys["K"])
    seconds = time.perf_counter() - started
    processes = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peak = max(resource.getrusage(who).ru_maxrss for who in processes)  # KiB on Linux
    record = {**keys, "seconds": seconds, "peak_mib": peak / 1024, "voxels": int(result.size)}
    write_text(json.dumps(record, indent=2) + "\n", output)


def plot_cost(
    scores: str,
    costs: Sequence[str],
    trainings: Sequence[str],
    display: Mapping[str, Any],
    *,
    table: Path,
    shown: Path,
    figures: Sequence[str],
) -> None:
    """Write the comparison of quality and cost as CSV, Markdown and figure. trainings: provenance.json files by run folder."""
    records = pd.DataFrame([json.loads(Path(path).read_text()) for path in costs])
    # .../train_method/DATASET/K2/METHOD/seed1/provenance.json
    spent = [
        {"dataset": path.parts[-5], "K": int(path.parts[-4][1:]), "method": path.parts[-3]}
        | {"training_seconds": json.loads(path.read_text())["seconds"]}
        for path in map(Path, trainings)
    ]
    columns = ["dataset", "K", "method", "training_seconds"]
    results = cost_table(
        read_scores(Path(scores)), records, pd.DataFrame(spent, columns=columns), display=display
    )
    with replacing(table) as temporary:
        results.to_csv(temporary, index=False)
    write_text(cost_markdown(results), shown)
    save_all(quality_against_seconds(results), figures)
