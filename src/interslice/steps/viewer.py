"""Viewer step: the interpolated volumes of one dataset and K as picture stacks for the page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from interslice.common.files import write_text
from interslice.report.viewer_images import viewer_record
from interslice.steps.shown import marked_as_shown, shown_volumes


def pack_viewer(
    normalised: Sequence[Path],
    low: Sequence[Path],
    interpolated: Mapping[str, Sequence[Path]],
    *,
    dataset: str,
    subject: str | None,
    factor: int,
    labels: Mapping[str, str],
    opened: Sequence[str],
    budget: int,
    output: Path,
) -> None:
    """Write the record of one view as JSON; `interpolated` maps a method to its folders.

    The viewer begins with the first and the last method of `opened`. With None the subject is the first by
    name. The first frame is shown.
    """
    subject, reference, volumes = shown_volumes(normalised, low, interpolated, subject, factor)
    labels = marked_as_shown(labels, interpolated)
    record = viewer_record(
        {labels[method]: volume for method, volume in volumes.items()},
        reference.data[0],
        factor=factor,
        spacing_mm=reference.spacing,
        subject=subject,
        title=f"{dataset}, K = {factor}",
        opened=(labels[opened[0]], labels[opened[-1]]),
        budget=budget,
    )
    write_text(json.dumps(record, sort_keys=True), output)
