"""Figure steps: each reads the long table, the volumes or the histories, and writes PDF and PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.figures import metric_against_factor, metric_boxplots, qualitative_panel, save, training_curves
from interslice.longtable import read_scores
from interslice.steps.data import volumes_of
from interslice.volumes import open_volume, reference_slices


def save_all(figure: Any, paths: Sequence[str]) -> None:
    """Write one figure in the formats that the paths name."""
    for path in paths:
        save(figure, path)


def plot_factor(scores: str, metric: str, display: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Metric against K. `display`: region and the labels, controls and supervised methods of the study."""
    save_all(metric_against_factor(read_scores(Path(scores)), metric, **display), outputs)


def plot_boxes(scores: str, statistics: str, metric: str, display: Mapping[str, Any], outputs: Sequence[str]) -> None:
    """Box plots over subjects with the tests of the same region as brackets."""
    tests = pd.read_csv(statistics)
    tests = tests[tests["region"] == display["region"]]
    save_all(metric_boxplots(read_scores(Path(scores)), tests, metric, **display), outputs)


def plot_panel(
    normalised: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    *,
    subject: str | None,
    factor: int,
    labels: Mapping[str, str],
    outputs: Sequence[str],
) -> None:
    """A synthesised slice half-way through the subject's middle gap, and the through-plane view in its
    middle.

    With None the subject is the first whose volumes were kept. The first frame is shown. The plane that is
    reformatted is coronal for axial slices, so that no face is in profile.
    """
    subject = subject or first_kept(interpolated)
    reference = open_volume(volumes_of(normalised, "test")[subject])
    target = reference_slices(reference.data, factor)[0]
    volumes = {
        method: open_volume(next(Path(f) / f"{subject}.nii" for f in folders if (Path(f) / f"{subject}.nii").exists()))
        for method, folders in interpolated.items()
    }
    figure = qualitative_panel(
        {method: volume.data[0] for method, volume in volumes.items()},
        target,
        spacing_mm=reference.spacing,
        slice_index=(target.shape[0] - 1) // factor // 2 * factor + factor // 2,
        reformat="column",
        index=target.shape[2] // 2,
        labels=labels,
    )
    save_all(figure, outputs)


def first_kept(interpolated: Mapping[str, Sequence[Path]]) -> str:
    """The first subject by name among the kept volumes; every method kept the same ones."""
    return min(path.stem for folders in interpolated.values() for folder in folders for path in Path(folder).glob("*.nii"))


def plot_training(histories: Mapping[str, str], outputs: Sequence[str]) -> None:
    """Training curves of every trained method, label to history file."""
    save_all(training_curves({label: pd.read_csv(path) for label, path in histories.items()}), outputs)
