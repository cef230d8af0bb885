"""What is known of how a scan was acquired: the thickness of its slices, and whether something moved between its passes."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interslice.common.errors import InputError
from interslice.scan.grid import millimetres
from interslice.scan.motion import FEWEST, corrected, detect_motion, register_halves
from interslice.scan.scans import Scan

if TYPE_CHECKING:
    import SimpleITK


SAME_MM = 0.02  # headers hold decimals


def with_thickness(scan: Scan, thickness_mm: float | None) -> Scan:
    """The scan with the thickness that a person gives, where he does, and a remark on thickness and gap where it is known."""
    if thickness_mm is not None:
        scan = replace(scan, thickness_mm=millimetres("thickness", thickness_mm))
    if scan.thickness_mm is None:
        return scan
    gap = scan.normal_spacing_mm - scan.thickness_mm
    between = f"gaps of {gap:.4g} mm between them" if gap > 0 else f"overlapping by {-gap:.4g} mm"
    remark = f"slices {scan.thickness_mm:.4g} mm thick, {between if abs(gap) > SAME_MM else 'without gaps'}"
    return replace(scan, remarks=(remark, *scan.remarks))


def without_motion(scan: Scan, correct: bool) -> "tuple[Scan, SimpleITK.Euler3DTransform | None]":
    """The scan, with a remark where its odd slices lie beside its even ones, and with `correct` moved back, and the transform.

    Raises InputError where a correction is asked for that cannot be made.
    """
    count = scan.stored.shape[scan.axis]
    if correct and (scan.frames > 1 or count < FEWEST or scan.stored.dtype.kind == "c"):
        raise InputError(
            f"{scan.name}: found {scan.frames} frame(s) of {count} slices, --correct-motion needs one of real numbers "
            f"and {FEWEST} slices or more"
        )
    seen = None if scan.stored.dtype.kind == "c" else detect_motion(scan)
    if seen is None:
        remark = "no movement between odd and even slices was found, nothing is corrected"
        return (replace(scan, remarks=(*scan.remarks, remark)) if correct else scan), None
    if not correct:
        remark = (
            f"warning: odd slices lie about {seen} beside the even ones, something moved between two passes"
        )
        return replace(scan, remarks=(*scan.remarks, f"{remark}; --correct-motion moves them back")), None
    motion, transform = register_halves(scan)
    remark = f"odd slices, which lay {motion} beside the even ones, are moved back; they are no longer bit by bit the scan's"
    return replace(corrected(scan, transform), remarks=(*scan.remarks, remark)), transform


def check_even(scan: Scan, options: Any) -> None:
    """Refuse what has a meaning for equal gaps alone, where they are not."""
    for name in ("check", "preview", "train_here", "correct_motion"):
        if scan.positions and getattr(options, name):
            raise InputError(f"{scan.name}: --{name.replace('_', '-')} needs equal gaps between the slices")


def prepared(scan: Scan, options: Any) -> "tuple[Scan, SimpleITK.Euler3DTransform | None]":
    """The scan with its thickness, looked at for movement between its passes; the transform where that was undone."""
    scan = with_thickness(scan, options.thickness)
    return (scan, None) if scan.positions else without_motion(scan, options.correct_motion)
