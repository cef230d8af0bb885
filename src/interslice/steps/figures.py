"""Figure steps: each reads the long table, the volumes or the histories, and writes PDF and PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.analysis.rows import labelled
from interslice.report.box_figure import metric_boxplots
from interslice.report.factor_figure import metric_against_factor
from interslice.report.lesion_figure import lesions_against_size
from interslice.report.qualitative import qualitative_panel, training_curves
from interslice.report.ranks import rank_figure
from interslice.report.robustness import degradation_curves
from interslice.report.style import save
from interslice.scoring.longtable import read_means
from interslice.steps.budgets import marked, marked_display

SHOWN = ("synthesised",)  # the kind of slices that figures are of


def plot_factor(
    means: str, budgets: str, display: Mapping[str, Any], datasets: Mapping[str, str], outputs: Sequence[str]
) -> None:
    """Metric against K, for every region and metric that the outputs, factor_REGION_METRIC, name.

    budgets: the CSV of `budgets.collect_budgets`; display: labels, controls and supervised methods of the study; datasets: to
    their labels, in order.
    """
    table, display = labelled(read_means(means, kind=SHOWN), datasets), marked_display(display, budgets)
    for (region, metric), paths in by_region_and_metric(outputs).items():
        save(metric_against_factor(table, metric, region=region, **display), *paths)


def plot_boxes(
    means: str,
    statistics: str,
    budgets: str,
    display: Mapping[str, Any],
    datasets: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """Box plots over subjects with the comparisons of the same region as brackets; outputs are boxes_REGION_METRIC."""
    table, tests = (
        labelled(one, datasets) for one in (read_means(means, kind=SHOWN), pd.read_csv(statistics))
    )
    display = marked_display(display, budgets)
    for (region, metric), paths in by_region_and_metric(outputs).items():
        save(metric_boxplots(table, tests, metric, region=region, **display), *paths)


def plot_ranks(
    ranks: str,
    significance: str,
    budgets: str,
    metric: str,
    labels: Mapping[str, str],
    datasets: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """Ranks with their intervals, and by `metric` what is better than what."""
    ranked, tests = (labelled(pd.read_csv(path), datasets) for path in (ranks, significance))
    save(rank_figure(ranked, tests, metric, marked(labels, pd.read_csv(budgets))), *outputs)


def plot_robustness(
    means: str,
    metric: str,
    perturbations: Mapping[str, Mapping[str, str]],
    display: Mapping[str, Any],
    outputs: Sequence[str],
) -> None:
    """Degradation curves; perturbations: as in `robustness.degradation_curves`."""
    shown = {name: display[name] for name in ("labels", "controls")}
    save(degradation_curves(read_means(means, kind=SHOWN), metric, perturbations, **shown), *outputs)


def plot_lesions(
    means: str, budgets: str, display: Mapping[str, Any], datasets: Mapping[str, str], outputs: Sequence[str]
) -> None:
    """Recovered contrast against the size of inserted lesions."""
    table = labelled(read_means(means, kind=SHOWN), datasets)
    save(lesions_against_size(table, **marked_display(display, budgets)), *outputs)


def by_region_and_metric(outputs: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """The files KIND_REGION_METRIC.SUFFIX of every figure."""
    figures: dict[tuple[str, str], list[str]] = {}
    for path in outputs:
        _, region, metric = Path(path).stem.split("_", 2)
        figures.setdefault((region, metric), []).append(path)
    return figures


def plot_panel(
    normalised: Sequence[Path],
    low: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    *,
    subject: str | None,
    factor: int,
    labels: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """A synthesised slice half-way through the subject's middle gap, and the through-plane view in its
    middle.

    With None the subject is the first by name. The first frame is shown. The plane that is
    reformatted is coronal for axial slices, so that no face is in profile.
    """
    from interslice.steps.shown import marked_as_shown, shown_volumes  # the other figures read no volume

    _, reference, volumes = shown_volumes(normalised, low, interpolated, subject, factor)
    target = reference.data[0]
    figure = qualitative_panel(
        volumes,
        target,
        spacing_mm=reference.spacing,
        slice_index=(target.shape[0] - 1) // factor // 2 * factor + factor // 2,
        reformat="column",
        index=target.shape[2] // 2,
        labels=marked_as_shown(labels, interpolated),
    )
    save(figure, *outputs)


def plot_training(histories: Mapping[str, str], select: str, outputs: Sequence[str]) -> None:
    """Training curves of every trained method, label to history file; `select` picked the checkpoint."""
    curves = {label: pd.read_csv(path) for label, path in histories.items()}
    save(training_curves(curves, criterion=f"validation_{select}"), *outputs)  # type: ignore[arg-type]
