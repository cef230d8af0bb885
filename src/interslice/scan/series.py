"""A DICOM series as a scan."""

from dataclasses import replace
from pathlib import Path

from interslice.common.errors import InputError
from interslice.data.dicom import read_own_series
from interslice.data.dicom_series import Series
from interslice.scan.scans import Scan, scan_from_image


def read_dicom(
    source: Path | Series, name: str, axis: str | None, series: str | None = None, fill: bool = False
) -> Scan:
    """The Scan of a DICOM series, whose gaps may differ along its own slice axis; raises InputError as `check_scan`."""
    stack = read_own_series(source, series, unequal=True, fill=fill)
    uneven = stack.positions is not None
    scan = scan_from_image(stack.to_scanner(), name, "k" if uneven and axis is None else axis)
    if uneven and scan.axis != 2:
        raise InputError(f"{name}: its slices lie at unequal distances, allowed is --axis k, across them")
    return replace(
        scan, thickness_mm=stack.thickness_mm, remarks=stack.remarks, places=stack.places,
        positions=tuple(stack.positions.tolist()) if stack.positions is not None else (),
    )  # fmt: skip
