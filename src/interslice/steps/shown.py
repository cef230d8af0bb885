"""The interpolated volumes of one subject of a dataset, for people to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from interslice.common.errors import InputError
from interslice.data.interpolated import ENDING, read_interpolated
from interslice.data.parts import check_same_reference
from interslice.data.volumes import Volume, open_volume, reference_slices
from interslice.steps.budgets import budget_table, marked
from interslice.steps.data import volumes_of


def marked_as_shown(
    labels: Mapping[str, str], interpolated: Mapping[str, Sequence[Path | str]]
) -> dict[str, str]:
    """The labels, marked where what made the shown volumes stopped at its budget (`budgets.marked`)."""
    # One place and K: the names of both do not matter.
    runs = [
        ("shown", 0, method, [str(folder) for folder in folders]) for method, folders in interpolated.items()
    ]
    return marked(labels, budget_table(runs))


def shown_volumes(
    normalised: Sequence[Path],
    low: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    subject: str | None,
    factor: int,
) -> tuple[str, Volume, dict[str, np.ndarray]]:
    """The subject, its reference cut to what factor gives back, and the first frame of every method's volume.

    normalised, low, interpolated: shard folders of the reference volumes, of the low-resolution ones, and method to
    those of what it made of them. With None the subject is the first by name. InputError for a subject that is not
    among them, or volumes of another preprocessing.
    """
    check_same_reference(
        [*normalised, *low, *(folder for folders in interpolated.values() for folder in folders)]
    )
    references, lows = volumes_of(normalised), volumes_of(low)
    subject = subject or min(references)
    if subject not in references:
        raise InputError(
            f"figure_subject: found {subject!r}, allowed are the test subjects {', '.join(references)}"
        )
    reference = open_volume(references[subject])
    volumes = {
        method: read_interpolated(volumes_of(folders, ENDING)[subject], lows[subject]).data[0]
        for method, folders in interpolated.items()
    }
    return subject, replace(reference, data=reference_slices(reference.data, factor)), volumes
