"""What stands beside an interpolated image in a folder of BIDS derivatives, and in that folder itself."""

import json
import os
from pathlib import Path
from typing import Any

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.files import replacing, write_json
from interslice.scan.auto import Choice
from interslice.scan.grid import Grid
from interslice.scan.scans import Scan

BIDS_VERSION = "1.9.0"
DESCRIPTION, PAGE = "dataset_description.json", "report.html"
# What bids-validator does not know of derivatives: the page, and gradients beside a described image (not by a longer pattern).
IGNORED = (PAGE, "*.bval", "*.bvec")


def sidecar(source: Path, scan: Scan, grid: Grid, keep_original: bool) -> dict[str, Any]:
    """What made the file, for its JSON; source: relative to its dataset. Spacings in mm."""
    return {
        "Description": "Slices added between the acquired ones by interpolation; not a medical device",
        "Sources": [f"bids:raw:{source.as_posix()}"],
        "InterpolationFactor": grid.factor or round(grid.ratio, 6),
        "InterpolationAxis": "ijk"[scan.axis],
        "SliceSpacingBefore": round(scan.slice_spacing_mm, 6),
        "SliceSpacingAfter": round(scan.slice_spacing_mm / grid.ratio, 6),
        "OriginalSlicesKept": keep_original,
        "OriginalSlicesOnGrid": f"{len(grid.kept)} of {grid.slices}",
        "SoftwareName": "interslice",
        "SoftwareVersion": __version__,
    }


def credit(choice: Choice) -> dict[str, Any]:
    """The method and where it comes from, for the JSON."""
    model = choice.model
    record: dict[str, Any] = {"InterpolationMethod": model.name}
    if model.sha256:
        record |= {"ModelFile": model.file, "ModelSHA256": model.sha256}
    if choice.scores:
        record["HeldOutPSNR"] = {name: round(value, 2) for name, value in choice.scores.items()}
    return record


def write_folder_files(source: Path, output: Path) -> None:
    """dataset_description.json and .bidsignore of the derivatives of a folder."""
    write_json(description(source, output), output / DESCRIPTION)
    ignored = output / ".bidsignore"
    if not ignored.exists():
        with replacing(ignored) as temporary:
            temporary.write_text("\n".join((*IGNORED, "")))


def check_own(output: Path) -> None:
    """Refuse a folder whose description or page, which a run replaces, is not ours."""
    file = output / DESCRIPTION
    try:
        makers = (
            json.loads(file.read_text(encoding="utf-8-sig")).get("GeneratedBy") if file.exists() else None
        )
        own = any(maker["Name"] == "interslice" for maker in makers or ())
    except (ValueError, TypeError, KeyError, AttributeError):
        own = False
    if found := [] if own else [name for name in (DESCRIPTION, PAGE) if (output / name).exists()]:
        raise InputError(
            f"output: {output / found[0]} is not of interslice, allowed is a new folder or one of interslice's"
        )


def description(source: Path, output: Path) -> dict[str, Any]:
    """dataset_description.json of the derivatives."""
    link = os.path.relpath(source.resolve(), output.resolve())
    return {
        "Name": f"{source.resolve().name}, through-plane interpolation",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "interslice", "Version": __version__, "Description": "interslice upsample"},
        ],
        "SourceDatasets": [{"URL": link}],
        "DatasetLinks": {"raw": link},
    }
