"""One page for a whole run: what became of every image, with a picture before and after, sortable and without a network."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from interslice.common.files import replacing
from interslice.scan.jobs import Outcome
from interslice.scan.scans import Scan

SIDE = 150  # pixels of a thumbnail, its longer side
WINDOW = (0.5, 99.7)  # percentiles shown as black and white
HEADINGS = (
    "image",
    "state",
    "method",
    "gain over the spline (dB)",
    "from (mm)",
    "to (mm)",
    "before | after",
    "remarks",
)


def thumbnail(before: Scan, after: Scan) -> bytes:
    """A PNG of the plane across the slices through the middle of the scan, before and after; nothing where all is NaN."""
    from matplotlib.image import imsave

    planes = [across(scan.parts()[0]) for scan in (before, after)]
    if np.isnan(planes[0][0]).all():
        return b""
    low, high = np.nanpercentile(planes[0][0], WINDOW)
    pictures = [resized(np.nan_to_num(plane, nan=low), sizes, planes[0]) for plane, sizes in planes]
    gap = np.full((len(pictures[0]), 3), high)
    file = io.BytesIO()
    both = np.hstack([pictures[0], gap, pictures[1]])[::-1]  # the first slice at the bottom
    imsave(file, both, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), format="png")
    return file.getvalue()


def across(scan: Scan) -> tuple[np.ndarray, tuple[float, float]]:
    """The plane (slices, columns) through the middle row of the middle frame; mm between slices, columns."""
    frame = scan.frame(scan.frames // 2)
    _, columns = (size for axis, size in enumerate(scan.spacing_mm) if axis != scan.axis)
    return frame[:, frame.shape[1] // 2], (scan.slice_spacing_mm, columns)


def resized(
    plane: np.ndarray, sizes: tuple[float, float], like: tuple[np.ndarray, tuple[float, float]]
) -> np.ndarray:
    """Nearest pixels of a plane on the field of view of another, SIDE pixels at the longer side."""
    field = [(count - 1) * size or 1.0 for count, size in zip(like[0].shape, like[1], strict=True)]
    shape = [max(2, round(SIDE * length / max(field))) for length in field]
    rows, columns = (
        np.clip(np.rint(np.linspace(0, length, count) / size).astype(int), 0, held - 1)
        for length, count, size, held in zip(field, shape, sizes, plane.shape, strict=True)
    )
    return plane[np.ix_(rows, columns)]


def gain(record: Mapping[str, Any]) -> float | None:
    """How far the chosen method is ahead of the spline on held-out slices, in dB; None where nothing was compared."""
    scores = record.get("HeldOutPSNR")
    return max(scores.values()) - scores["bspline"] if scores else None


def write_page(outcomes: Sequence[Outcome], source: Path, path: Path) -> None:
    """Write the page of a run, whole or not at all."""
    rows = "\n".join(row(outcome, source) for outcome in outcomes)
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(text)}</button></th>' for text in HEADINGS
    )
    web = files("interslice.report") / "web"
    style, script = (web.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "tables.js"))
    with replacing(path) as temporary:
        title = escape(f"interslice: {source.resolve().name}")
        text = PAGE.format(title=title, heads=heads, rows=rows, style=style, script=script)
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # names may be no UTF-8


def row(outcome: Outcome, source: Path) -> str:
    """A table row; what it is sorted by stands in data-value."""
    record, ahead = outcome.record, gain(outcome.record)
    name = escape(outcome.job.source.relative_to(source).as_posix())
    method = escape(str(record.get("ModelFile") or record.get("InterpolationMethod", "")))
    spacings = [str(record.get(f"SliceSpacing{when}", "")) for when in ("Before", "After")]
    picture = base64.b64encode(outcome.picture).decode()
    image = (
        f'<img alt="{name}, a plane across the slices: before and after" src="data:image/png;base64,{picture}">'
        if picture
        else ""
    )
    texts = [outcome.state, method, "" if ahead is None else f"{ahead:.2f}", *spacings]
    cells = [f'<td data-value="{text}">{text}</td>' for text in texts]
    remark = escape(outcome.reason)
    return (
        f'<tr class="{outcome.state}"><th scope="row" class="long" data-value="{name}">{name}</th>{"".join(cells)}'
        f'<td data-value="">{image}</td><td class="long" data-value="{remark}">{remark}</td></tr>'
    )


# Styles and sorting are those of a study's page; its templates need a package that a person with one scan has not.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>
{style}
tbody th.long {{ overflow-wrap: anywhere; }}
.wide td.long {{ min-width: 20rem; }}
tbody th, tbody td {{ vertical-align: top; }}
tr.failed th {{ border-left: 4px solid #c62828; }}
tr.skipped td {{ color: var(--quiet); }}
</style></head><body><main>
<h1>{title}</h1>
<p>Slices added by interpolation; not a medical device. The gain is the PSNR of the chosen method minus that of the cubic
B-spline on slices that were held out and predicted back at twice the spacing. A click on a heading sorts.</p>
<div class="table" role="region" aria-label="Images" tabindex="0"><table class="wide"><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table></div>
</main><script>
{script}
</script></body></html>
"""
