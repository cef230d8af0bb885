"""Test subjects as the workflow leaves them for scoring: interpolated, as they are and with lesions in them, and kept."""

from pathlib import Path
from typing import Any

from interslice.data.interpolated import write_interpolated
from interslice.data.volumes import open_volume
from interslice.methods.base import Method
from interslice.scoring.evaluation import TestCase
from interslice.steps.interpolate import interpolate_subject


def kept_case(
    method: Method,
    subject: str,
    reference: Path,
    low: Path,
    factor: int,
    lesions: dict[str, Any] | None = None,
) -> TestCase:
    """The case of a subject after a method, its volumes beside `low`; lesions: as in `interpolate_volumes`."""
    files = []
    for name, inserted in [("plain", None), *([("lesions", lesions)] if lesions else [])]:
        frames, _ = interpolate_subject(method, subject, reference, low, factor, inserted)
        files.append(low.with_name(f"{subject}-{type(method).__name__}-{name}.nii.gz"))
        write_interpolated(frames, open_volume(low), factor, files[-1], exact=method.needs_reference)
    return TestCase(subject, reference, low, *files)
