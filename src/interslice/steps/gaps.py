"""Gap steps: example slices of all methods, and a strip and an animation of one method; captions of all figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.files import write_text
from interslice.common.provenance import environment_record
from interslice.report.captions import figure_captions
from interslice.report.gap_figure import cut_gap, gap_rows, middle_gap, write_animation
from interslice.report.methods_text import batch_of, recipe_of
from interslice.report.style import save
from interslice.scoring.longtable import read_means
from interslice.steps.shown import marked_as_shown, shown_volumes
from interslice.training.record import read_record


def plot_gap(
    normalised: Sequence[Path],
    low: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    *,
    subject: str | None,
    dataset: str,
    factor: int,
    in_mm: bool,
    labels: Mapping[str, str],
    with_reference: bool,
    figures: Sequence[str],
    animations: Sequence[str] = (),
) -> None:
    """The middle gap of the subject's first frame; an animation is of the one method that is interpolated.

    With None the subject is the first by name. in_mm: say how many millimetres the gap spans.
    """
    subject, reference, volumes = shown_volumes(normalised, low, interpolated, subject, factor)
    target = reference.data[0]
    rows = {"reference": target, **volumes} if with_reference else volumes
    first = middle_gap(len(target), factor)
    through, *in_plane = reference.spacing
    apart = f", {through * factor:g} mm apart" if in_mm else ""
    note = f"{dataset}, subject {subject}, slices {first} to {first + factor}{apart}, K = {factor}"
    labels = marked_as_shown(labels, interpolated)
    figure = gap_rows(
        rows,
        factor=factor,
        first=first,
        labels=labels,
        pixel_mm=(in_plane[0], in_plane[1]),
        note=note,
    )
    save(figure, *figures)
    for method in interpolated if animations else ():
        write_animation(cut_gap(volumes[method], factor, first), [Path(path) for path in animations])


def write_captions(
    means: str,
    trainings: Sequence[tuple[str, str, int, str, str]],
    figures: Mapping[str, Mapping[str, Any]],
    lenders: Mapping[str, str],
    finished: Mapping[str, str],
    datasets: Mapping[str, str],
    output: str,
) -> None:
    """Write the captions. trainings: label, dataset, K, method and provenance.json of each; others: `figure_captions`."""
    rows = []
    for label, dataset, factor, method, path in trainings:
        settings = json.loads(Path(path).read_text())["settings"]
        budget = f"{label}, {read_record(Path(path)).sentence(batch_of(settings))} ({recipe_of(settings)})"
        rows.append({"dataset": dataset, "K": factor, "method": method, "budget": budget})
    table = pd.DataFrame(rows, columns=["dataset", "K", "method", "budget"])
    text = figure_captions(
        figures, read_means(means, kind=["all"]), table, environment_record(), lenders, finished, datasets
    )
    write_text(text, Path(output))
