"""`interslice upsample` for one scan: options in, files out; what can be refused is refused first."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from interslice import __version__
from interslice.common.errors import InputError
from interslice.scan.acquired import check_even, prepared
from interslice.scan.bids import copy_companions
from interslice.scan.checks import check_series
from interslice.scan.formats import write_scan
from interslice.scan.grid import Grid, described
from interslice.scan.models import Model
from interslice.scan.motion import write_transform
from interslice.scan.options import Options, check_choices, check_one, check_outputs
from interslice.scan.scans import Scan, read_scan
from interslice.scan.upsampling import check_fits, check_makes, label_reason, upsample_labels, upsample_scan

if TYPE_CHECKING:
    from interslice.scan.own_training import Trained

NOT_OF_LABELS = ("check", "train_here", "uncertainty", "preview", "deblur")

Say = Callable[[str], None]


def prepare_training(scan: Scan, options: Options) -> "Callable[[TextIO | None], Trained]":
    """The training, checked but not begun; it takes the stream of its progress bar."""
    from interslice.scan.own_training import CONTINUED, check_training, train_here

    others = [read_scan(path, options.axis, trust=options.trust, nan=options.nan) for path in options.also]
    method, scans = options.method or CONTINUED, [scan, *others]
    check_training(scans, options.minutes, method, options.loss, options.check)
    return lambda progress: train_here(
        scans, options.minutes, method=method, loss=options.loss, seed=options.seed, with_check=options.check,
        save_to=options.save_model, progress=progress,
    )  # fmt: skip


def run_one(options: Options, say: Say, answer: Say, progress: TextIO | None = None) -> None:
    """Interpolate one scan. `say` gets remarks, `answer` what --check found, `progress` a bar.

    Raises InputError for everything that cannot be done.
    """
    check_choices(options)
    check_one(options)
    if options.output is None and not options.check:
        raise InputError("found no output, -o FILE is needed (or --check alone)")
    check_outputs(options)
    scan = read_scan(
        options.source, options.axis, trust=options.trust, nan=options.nan,
        series=options.series, fill=options.fill_missing,
    )  # fmt: skip
    check_even(scan, options)
    asked = {"dicom": options.writes_dicom, "series": options.series, "fill-missing": options.fill_missing}
    check_series(scan.name, scan.places is not None, asked)
    reason = label_reason(scan, options.label, options.named)
    if reason and any(getattr(options, name) for name in NOT_OF_LABELS):
        raise InputError(
            f"{scan.name}: a label map ({reason}) is only interpolated; --no-label takes it for an image"
        )
    scan, transform = (scan, None) if reason else prepared(scan, options)
    grid = None if options.output is None else options.grid(scan)
    chosen = None if options.train_here or reason else options.asked_model()
    if grid is not None:
        check_fits(scan, grid)
        if chosen is not None:
            check_makes(chosen.method, grid)
    training = prepare_training(scan, options) if options.train_here else None
    for remark in scan.remarks:
        say(f"{scan.name}: {remark}")
    if grid is not None:
        say(described(scan, grid, bool(reason) or options.keep_original))
    if reason and grid is not None and options.output is not None:
        say(f"{scan.name}: {labels_said(reason)}")
        save_as(upsample_labels(scan, grid), "the shape of the labels", options)
        say(f"{options.output}: written by the shape of the labels")
        return
    interpolate(scan, grid, chosen, training, options, (say, answer, progress))
    if transform is not None and options.output is not None:
        say(f"{write_transform(scan, transform, options.output)}: how the odd slices were moved")


def interpolate(
    scan: Scan,
    grid: Grid | None,
    chosen: Model | None,
    training: "Callable[[TextIO | None], Trained] | None",
    options: Options,
    streams: tuple[Say, Say, TextIO | None],
) -> None:
    """Train or choose where that is asked for, then check and write. grid: None where nothing is written."""
    say, answer, progress = streams
    held_out, before, why = None, None, ""
    if training is not None:
        trained = training(progress)
        chosen, held_out, before = trained.model, trained.held_out.check or None, trained.before
        say(trained.summary)
    if chosen is None:
        from interslice.scan.auto import choose_best

        choice = choose_best(scan, grid, options.keep_original)
        chosen, why = choice.model, f", {choice.summary}"
        if grid is None:
            say(f"method {chosen.shown}{why}")
    if grid is not None and (remark := chosen.remark(grid.ratio, scan.slice_spacing_mm, scan.thickness_mm)):
        say(remark)
    if options.check:
        from interslice.scan.trust import check_report

        answer(check_report(scan.parts()[0], chosen, held_out, options.keep_original, before))
    if grid is not None:
        write_outputs(scan, grid, chosen, options)
        say(f"{options.output}: written with {credited(chosen)}{why}")
        for copied in copy_companions(options.source, Path(str(options.output))):
            say(f"{copied}: copied, it holds for the new slices too")


def labels_said(reason: str) -> str:
    return (
        f"a label map ({reason}), interpolated by the shape of its labels, none of which is made up; "
        "--method nearest repeats slices, --no-label takes it for an image"
    )


def credited(model: Model) -> str:
    return model.name + (f" ({model.file}, sha256 {model.sha256[:12]})" if model.sha256 else "")


def save_as(scan: Scan, method: str, options: Options) -> None:
    """Write the result as an image file or as a DICOM series."""
    assert options.output is not None
    if options.writes_dicom:
        save_series(scan, method, options.output, options.force)
    else:
        write_scan(scan, options.output, options.force)


def save_series(scan: Scan, method: str, folder: Path, overwrite: bool) -> None:
    """Write a series that says what it was derived from and with which method."""
    from interslice.data.dicom_out import write_series

    assert scan.places is not None  # see `check_series`
    how = f"Slices added between the acquired ones by interslice {__version__} ({method}); computed, not measured"
    write_series(scan.stored, scan.affine, scan.places, folder, how, scan.thickness_mm, overwrite)


def write_outputs(scan: Scan, grid: Grid, model: Model, options: Options) -> None:
    """The scan, and the map and picture that were asked for."""
    assert options.output is not None
    fine = upsample_scan(scan, grid, model.method, options.keep_original)
    if options.uncertainty is not None:
        from interslice.scan.interval import interval

        spread = interval(scan.parts()[0], model, fine.parts()[0], grid, options.keep_original)
        write_scan(spread, options.uncertainty, options.force)
    if options.preview is not None:
        from interslice.scan.preview import write_preview

        write_preview(scan.parts()[0], fine.parts()[0], grid, model.name, options.preview)
    save_as(fine, credited(model), options)
