"""`interslice upsample` for one scan: options in, files out; what can be refused is refused first."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from interslice import __version__
from interslice.common.errors import InputError
from interslice.data.images import is_dicom
from interslice.data.itk import has_suffix
from interslice.scan.acquired import check_even, prepared
from interslice.scan.bids import companions, copy_companions
from interslice.scan.formats import OUTPUT_SUFFIXES, write_scan
from interslice.scan.grid import Grid, described, grid_for, parse_factor
from interslice.scan.models import FAST, Model, chosen_model
from interslice.scan.motion import transform_path, write_transform
from interslice.scan.scans import Scan, read_scan
from interslice.scan.upsampling import check_fits, check_makes, label_reason, upsample_labels, upsample_scan

if TYPE_CHECKING:
    from interslice.scan.own_training import Trained

PREVIEW_SUFFIXES = (".png", ".pdf", ".svg")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line says; see `interslice upsample --help`."""

    source: Path
    output: Path | None = None
    factor: str | None = None
    spacing: float | None = None
    isotropic: bool = False
    method: str | None = None
    fast: bool = False
    model: str | None = None
    axis: str | None = None
    trust: str | None = None
    nan: str = "keep"
    label: bool | None = None
    series: str | None = None
    dicom: bool = False
    thickness: float | None = None
    correct_motion: bool = False
    fill_missing: bool = False
    keep_original: bool = True
    train_here: bool = False
    also: tuple[Path, ...] = ()
    minutes: float = 10.0
    loss: str = "mse"
    seed: int = 0
    save_model: Path | None = None
    check: bool = False
    uncertainty: Path | None = None
    preview: Path | None = None
    force: bool = False
    jobs: int = 1
    include: str | None = None
    exclude: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()

    @property
    def named(self) -> str | None:
        """The method that is asked for by name."""
        return FAST if self.fast else self.method

    def grid(self, scan: Scan) -> Grid:
        """The slices that are asked for."""
        return grid_for(scan, self.factor, self.spacing, self.isotropic)

    @property
    def writes_dicom(self) -> bool:
        """Whether the output is the folder of a derived series: asked for, or a folder's name for a DICOM source."""
        if self.output is None or self.dicom:
            return self.dicom
        folder = self.output.is_dir() or not self.output.suffix
        return folder and (self.source.is_dir() or (self.source.is_file() and is_dicom(self.source)))

    def outputs(self) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
        """Every file to write: its option, path and allowed suffixes."""
        for name, path, suffixes in (
            ("output", None if self.writes_dicom else self.output, OUTPUT_SUFFIXES),
            ("uncertainty", self.uncertainty, OUTPUT_SUFFIXES),
            ("preview", self.preview, PREVIEW_SUFFIXES),
            ("save-model", self.save_model, (".pt",)),
        ):
            if path is not None:
                yield name, path, suffixes
        if self.output is not None and not self.writes_dicom:
            for _, goal in companions(self.source, self.output):
                yield goal.suffix[1:], goal, (goal.suffix,)
            if self.correct_motion:
                yield "transform", transform_path(self.output), (".tfm",)


def check_choices(options: Options) -> None:
    """Refuse options that contradict each other or are never allowed, before a file is read."""
    if sum((options.factor is not None, options.spacing is not None, options.isotropic)) > 1:
        raise InputError("found more than one of --factor, --spacing and --isotropic, allowed is one of them")
    if options.jobs < 1:
        raise InputError(f"jobs: found {options.jobs}, allowed are whole numbers from 1")
    if options.fast and (options.method or options.model or options.train_here):
        raise InputError("found --fast with another method, allowed is one of them: it is --method bspline")
    if options.factor is not None:
        parse_factor(options.factor)
    if options.train_here and options.model is not None:
        raise InputError("found both --model and --train-here, allowed is one of them")
    if options.also and not options.train_here:
        raise InputError("found --also without --train-here: further scans are only for training")
    if options.save_model and not options.train_here:
        raise InputError("found --save-model without --train-here: there is no model to save")
    if not options.train_here and options.model is None:
        chosen_model(options.named, None)


def check_outputs(options: Options) -> None:
    """Refuse paths that cannot or must not be written, before any work is done."""
    if options.writes_dicom and options.output is not None:
        from interslice.data.dicom_out import check_folder

        check_folder(options.output, options.force)
        check_writable(options.output / "series")
    inputs = [options.source, *options.also]
    seen: list[Path] = []
    for name, path, suffixes in options.outputs():
        if not has_suffix(path, suffixes):
            raise InputError(f"{name}: found {path}, allowed are names that end in {', '.join(suffixes)}")
        if any(same_file(path, other) for other in inputs):
            raise InputError(f"{name}: {path} is an input, allowed is another file")
        if any(same_file(path, other) for other in seen):
            raise InputError(f"{name}: {path} is asked for twice, allowed is a file of its own")
        check_writable(path)
        if path.exists() and not options.force:
            raise InputError(f"{name}: {path} exists already; --force overwrites it")
        seen.append(path)


def same_file(first: Path, second: Path) -> bool:
    return os.path.realpath(first) == os.path.realpath(second) or (
        first.exists() and second.exists() and os.path.samefile(first, second)
    )


def check_writable(path: Path) -> None:
    """Refuse a path whose folder cannot be made or written to; nothing is made yet."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, allowed is a file name")
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        reason = "is not a folder" if not folder.is_dir() else "cannot be written to"
        raise InputError(f"{path}: cannot be written, because {folder} {reason}")


def prepare_training(scan: Scan, options: Options) -> "Callable[[TextIO | None], Trained]":
    """The training, checked but not begun; it takes the stream of its progress bar."""
    from interslice.scan.own_training import check_training, train_here

    others = [read_scan(path, options.axis, trust=options.trust, nan=options.nan) for path in options.also]
    method, scans = options.method or "cae", [scan, *others]
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
    if options.output is None and not options.check:
        raise InputError("found no output, -o FILE is needed (or --check alone)")
    check_outputs(options)
    scan = read_scan(
        options.source, options.axis, trust=options.trust, nan=options.nan,
        series=options.series, fill=options.fill_missing,
    )  # fmt: skip
    check_even(scan, options)
    if options.writes_dicom:
        check_series(scan)
    reason = label_reason(scan, options.label, options.named)
    if reason and (options.check or options.train_here or options.uncertainty or options.preview):
        raise InputError(
            f"{scan.name}: a label map ({reason}) is only interpolated; --no-label takes it for an image"
        )
    scan, transform = (scan, None) if reason else prepared(scan, options)
    grid = None if options.output is None else options.grid(scan)
    chosen = None if options.train_here or reason else chosen_model(options.named, options.model)
    if grid is not None:
        check_fits(scan, grid)
        if chosen is not None:
            check_makes(chosen.method, grid)
    training = prepare_training(scan, options) if options.train_here else None
    for remark in scan.remarks:
        say(f"{scan.name}: {remark}")
    if grid is not None:
        say(described(scan, grid))
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
    held_out, why = None, ""
    if training is not None:
        trained = training(progress)
        chosen, held_out = trained.model, trained.held_out.check or None
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

        answer(check_report(scan.parts()[0], chosen, held_out, options.keep_original))
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


def check_series(scan: Scan) -> None:
    """Refuse to write DICOM from anything else."""
    if scan.places is None:
        raise InputError(f"{scan.name}: is no DICOM series, whose headers --dicom needs")


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
        from interslice.scan.trust import disagreement

        spread = disagreement(scan.parts()[0], model, fine.parts()[0], grid, options.keep_original)
        write_scan(spread, options.uncertainty, options.force)
    if options.preview is not None:
        from interslice.scan.preview import write_preview

        write_preview(scan.parts()[0], fine.parts()[0], grid, model.name, options.preview)
    save_as(fine, credited(model), options)
