"""One gap of a volume: the two acquired slices and the K − 1 between them, as rows of images and as an animation."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from interslice.analysis.rows import check_labels
from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.report.formatting import marks_note
from interslice.report.style import WIDTH_INCHES, styled

LABEL_INCHES, TITLE_INCHES, LINE_INCHES, SPACE_INCHES = 0.9, 0.42, 0.13, 0.04
SMALLEST_SIDE = 256  # pixels of the longer side of an animation; smaller slices are enlarged
MILLISECONDS = 160


def middle_gap(slices: int, factor: int) -> int:
    """The first slice of the gap in the middle of a stack of `slices` output slices."""
    return (slices - 1) // factor // 2 * factor


@styled
def gap_rows(
    volumes: Mapping[str, np.ndarray],
    *,
    factor: int,
    first: int,
    labels: Mapping[str, str],
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    note: str = "",
) -> Figure:
    """A row per method of the slices `first` to `first` + K: acquired, K − 1 synthesised, acquired.

    volumes: method, or "reference" for the top row, to (slices, rows, columns) in [0, 1]; rows follow `labels`. Images are
    turned as in `panels`: for rows to the right and columns to the front, the front is up. Raises InputError for a method
    without a label and a gap that is not there.
    """
    check_labels(pd.Series([name for name in volumes if name != "reference"]), labels)
    shown = [name for name in ("reference", *labels) if name in volumes]
    stacks = {name: cut_gap(volumes[name], factor, first) for name in shown}
    rows, columns = stacks[shown[0]].shape[1:]
    width = (WIDTH_INCHES - LABEL_INCHES - SPACE_INCHES * factor) / (factor + 1)
    height = width * (columns * pixel_mm[1]) / (rows * pixel_mm[0])
    marks = marks_note(labels[name] for name in shown if name in labels)
    header = TITLE_INCHES + LINE_INCHES * len(marks)
    total = header + len(shown) * (height + SPACE_INCHES)
    figure = Figure(figsize=(WIDTH_INCHES, total))
    figure.set_layout_engine("none")
    for i, name in enumerate(shown):
        top = header + i * (height + SPACE_INCHES)
        for j, image in enumerate(stacks[name]):
            left = LABEL_INCHES + j * (width + SPACE_INCHES)
            place = left / WIDTH_INCHES, 1 - (top + height) / total, width / WIDTH_INCHES, height / total
            axes = figure.add_axes(place, label=f"{name} {j}")
            axes.imshow(np.rot90(image), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if i == 0:
                axes.set_title("acquired" if j in (0, factor) else f"{j}/{factor}", fontsize=7.5, pad=2)
        middle = 1 - (top + height / 2) / total
        text = "Reference" if name == "reference" else textwrap.fill(labels[name], 14)
        figure.text((LABEL_INCHES - 0.06) / WIDTH_INCHES, middle, text, ha="right", va="center", fontsize=7.5)
    figure.text(0.5, 1 - 0.04 / total, "\n".join([note, *marks]), ha="center", va="top", fontsize=7.5)
    return figure


def cut_gap(volume: np.ndarray, factor: int, first: int) -> np.ndarray:
    """Slices `first` to `first` + K; InputError where they do not begin and end on acquired slices of the volume."""
    if first % factor or not 0 <= first < len(volume) - factor:
        raise InputError(
            f"gap: first slice {first} asked for, allowed are multiples of {factor} from 0 to {len(volume) - 1 - factor}"
        )
    return volume[first : first + factor + 1]


def write_animation(stack: np.ndarray, paths: Sequence[Path]) -> None:
    """A gap (slices, rows, columns) in [0, 1], there and back, as animated .gif or .webp that repeats for ever.

    A white bar under the image shows the place between the two acquired slices, which it marks by touching the ends.
    """
    order = [*range(len(stack)), *range(len(stack) - 2, 0, -1)]
    frames = [_animation_frame(stack[i], i / (len(stack) - 1)) for i in order]
    # Acquired slices stay twice as long, so that the eye can tell them.
    durations = [MILLISECONDS * (2 if i in (0, len(stack) - 1) else 1) for i in order]
    for path in paths:
        options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
        if path.suffix not in (".gif", ".webp"):
            raise InputError(
                f"{path}: an animation cannot be written as {path.suffix!r}, allowed are .gif and .webp"
            )
        with replacing(path) as temporary:
            frames[0].save(
                temporary, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options
            )


def _animation_frame(image: np.ndarray, place: float) -> Image.Image:
    turned = np.round(255 * np.clip(np.rot90(image), 0, 1)).astype(np.uint8)
    scale = -(-SMALLEST_SIDE // max(turned.shape))
    turned = turned.repeat(scale, axis=0).repeat(scale, axis=1)
    bar = np.zeros((6, turned.shape[1]), np.uint8)
    knob = max(6, turned.shape[1] // 20)
    left = round(place * (turned.shape[1] - knob))
    bar[1:5, left : left + knob] = 255
    return Image.fromarray(np.concatenate([turned, bar]))
