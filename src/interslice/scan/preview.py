"""A picture of a scan before and after: one in-plane view and both reformats, true to scale."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interslice.report.style import STYLE, WIDTH_INCHES, save
from interslice.scan.grid import Grid
from interslice.scan.scans import Scan

PLANES = ("sagittal", "coronal", "axial")  # the plane that a fixed R, A or S index shows
ENDS = (("L", "R"), ("P", "A"), ("I", "S"))
WINDOW = (0.5, 99.7)  # percentiles shown as black and white
LEFT, GAP, HEADER, TALLEST = 0.25, 0.08, 0.45, 3.8  # inches
MARGIN_MM = 8


def turned_to_ras(scan: Scan) -> tuple[np.ndarray, np.ndarray, int]:
    """The middle frame turned to the nearest R, A, S axes, its voxel sizes in mm, its slice axis."""
    frame = np.moveaxis(scan.frame(scan.frames // 2), 0, scan.axis)
    orientation = nib.io_orientation(scan.affine)
    turned = nib.orientations.apply_orientation(frame, orientation)
    sizes = np.empty(3)
    sizes[orientation[:, 0].astype(int)] = scan.spacing_mm
    return turned, sizes, int(orientation[scan.axis, 0])


def preview_figure(before: Scan, after: Scan, grid: Grid, label: str) -> Figure:
    """Before (left) and after (right): the slice half-way between two original ones, and two reformats.

    Top is anterior or superior, right is right or anterior, 1 mm is equally long everywhere; pixels are drawn
    as they are, without smoothing. The in-plane view on the left is the original slice just below.
    """
    (first, sizes, axis), (second, fine_sizes, _) = turned_to_ras(before), turned_to_ras(after)
    centre = bright_centre(first)
    gap = min(centre[axis], first.shape[axis] - 2)
    indices = [centre, list(centre)]
    off_centre = np.abs(grid.positions - gap - 0.5)
    off_centre[list(grid.kept)] = np.inf
    indices[0][axis], indices[1][axis] = gap, (new := int(off_centre.argmin()))
    planes = [axis, *sorted({0, 1, 2} - {axis}, reverse=True)]
    window = tuple(np.nanpercentile(first, WINDOW))
    fields = shown_fields(first, sizes, axis, window)
    extents = {plane: np.delete(fields[:, 1] - fields[:, 0], plane) for plane in planes}
    widest, tallest = np.max(list(extents.values()), axis=0)
    scale = min((WIDTH_INCHES - LEFT - GAP) / 2 / widest, TALLEST / tallest)
    width, total = widest * scale, HEADER + sum(extents[plane][1] * scale + GAP for plane in planes)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(LEFT + 2 * width + GAP, total))
        figure.set_layout_engine("none")
        top = HEADER
        for plane in planes:
            size = extents[plane] * scale
            for column, (volume, voxel) in enumerate(((first, sizes), (second, fine_sizes))):
                left = LEFT + column * (width + GAP) + (width - size[0]) / 2
                axes = add_axes(figure, (left, top, *size), total)
                draw(axes, np.take(volume, indices[column][plane], plane), np.delete(voxel, plane), window)
                horizontal, vertical = np.delete(fields, plane, axis=0)
                axes.set(xlim=horizontal, ylim=vertical)
                mark(axes, plane)
                if plane == axis:
                    place = f"{grid.positions[new] - gap:.2g} of the way to the next"
                    axes.set_title(f"new slice, {place}" if column else "original slice", pad=3)
                if column == 0:
                    axes.set_ylabel(PLANES[plane])
            top += size[1] + GAP
        spacing = f"{before.slice_spacing_mm:.3g} mm to {after.slice_spacing_mm:.3g} mm"
        name = Path(before.name).name.encode(errors="backslashreplace").decode()
        title = f"{name}: {label}, {spacing}"
        figure.suptitle(title, fontsize=8, y=1 - 0.08 / total, va="top", parse_math=False)
    return figure


def shown_fields(volume: np.ndarray, sizes: np.ndarray, axis: int, window: tuple[float, ...]) -> np.ndarray:
    """Per axis the range in mm to show, (3, 2): all slices, in plane what is bright with a margin.

    Both columns show the field of the coarse grid: its end slices reach half a thick slice further.
    """
    bright = volume > window[0] + 0.15 * (window[1] - window[0])
    fields = np.stack([-0.5 * sizes, (np.array(volume.shape) - 0.5) * sizes], axis=1)
    for plane in {0, 1, 2} - {axis}:
        profile = np.cumsum(bright.sum(axis=tuple({0, 1, 2} - {plane}))) / max(1, bright.sum())
        inside = np.flatnonzero((profile > 0.002) & (profile < 0.998))
        if len(inside):
            found = sizes[plane] * inside[0] - MARGIN_MM, sizes[plane] * inside[-1] + MARGIN_MM
            fields[plane] = max(fields[plane, 0], found[0]), min(fields[plane, 1], found[1])
    return fields


def bright_centre(volume: np.ndarray) -> list[int]:
    """The voxel in the middle of what is bright, within the array."""
    weight = volume - np.percentile(volume, 50)
    weight = np.clip(weight, 0, None)
    centre = []
    for axis in range(3):
        profile = weight.sum(axis=tuple(other for other in range(3) if other != axis))
        total = profile.sum()
        middle = (profile @ np.arange(len(profile))) / total if total > 0 else (len(profile) - 1) / 2
        centre.append(round(float(middle)))
    return centre


def add_axes(figure: Figure, place: tuple[float, float, float, float], total: float) -> Axes:
    """Axes at (left, top, width, height) inches from the upper left corner."""
    left, top, width, height = place
    whole = figure.get_figwidth()
    axes = figure.add_axes((left / whole, 1 - (top + height) / total, width / whole, height / total))
    axes.set(xticks=[], yticks=[], facecolor="black")
    axes.spines[:].set_visible(False)
    return axes


def draw(axes: Axes, plane: np.ndarray, voxel: np.ndarray, window: tuple[float, ...]) -> None:
    """One plane (horizontal, vertical) in mm; the centre of its first voxel is the origin."""
    edges = [(-0.5 * size, (count - 0.5) * size) for size, count in zip(voxel, plane.shape, strict=True)]
    axes.imshow(
        plane.T, cmap="gray", vmin=window[0], vmax=window[1], origin="lower", interpolation="nearest",
        extent=(*edges[0], *edges[1]), aspect="equal",
    )  # fmt: skip


def mark(axes: Axes, plane: int) -> None:
    """Letters for left, right, anterior, posterior, inferior, superior at the edges."""
    horizontal, vertical = (ENDS[i] for i in range(3) if i != plane)
    style: dict[str, Any] = {"color": "0.75", "fontsize": 6.5, "transform": axes.transAxes}
    axes.text(0.01, 0.5, horizontal[0], ha="left", va="center", **style)
    axes.text(0.99, 0.5, horizontal[1], ha="right", va="center", **style)
    axes.text(0.5, 0.01, vertical[0], ha="center", va="bottom", **style)
    axes.text(0.5, 0.99, vertical[1], ha="center", va="top", **style)


def write_preview(before: Scan, after: Scan, grid: Grid, label: str, path: str | Path) -> None:
    """Draw and write `preview_figure`; .png, .pdf or .svg."""
    save(preview_figure(before, after, grid, label), path)
