"""What the command line asks for, and what of it is refused before any work is done."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interslice.common.errors import InputError
from interslice.data.images import is_dicom
from interslice.data.itk import ITK_SUFFIXES, has_suffix, itk_path
from interslice.scan.bids import companions
from interslice.scan.checks import check_there
from interslice.scan.formats import OUTPUT_SUFFIXES, parts_of
from interslice.scan.grid import Grid, grid_for, parse_factor
from interslice.scan.models import FAST, Model, check_deblur, chosen_model, deblurring
from interslice.scan.motion import transform_path
from interslice.scan.scans import Scan

OF_TRAINING = ("minutes", "loss", "seed")

PREVIEW_SUFFIXES = (".png", ".pdf", ".svg")


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
    deblur: bool = False
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

    def asked_model(self) -> Model | None:
        """The method that is asked for; None where the choice is left to the tool."""
        return deblurring() if self.deblur else chosen_model(self.named, self.model)

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
                for part in parts_of(path)[1:]:
                    yield name, part, (part.suffix.lower(),)
        if self.output is not None and not self.writes_dicom:
            for _, goal in companions(self.source, self.output):
                yield goal.suffix[1:], goal, (goal.suffix,)
            if self.correct_motion:
                yield "transform", transform_path(self.output), (".tfm",)


def check_choices(options: Options) -> None:
    """Refuse options that contradict each other or are never allowed, before a file is read."""
    if sum((options.factor is not None, options.spacing is not None, options.isotropic)) > 1:
        raise InputError("found more than one of --factor, --spacing and --isotropic, allowed is one of them")
    for name, least in (("jobs", 1), ("seed", 0)):
        if (found := getattr(options, name)) < least:
            raise InputError(f"{name}: found {found}, allowed are whole numbers from {least}")
    for name in ("preview", "uncertainty"):
        if options.output is None and getattr(options, name):
            raise InputError(f"found --{name} without -o, it is of a result")
    if options.fast and (options.method or options.model or options.train_here):
        raise InputError("found --fast with another method, allowed is one of them: it is --method bspline")
    if options.deblur:
        check_deblur(vars(options), options.method)
    if options.factor is not None:
        parse_factor(options.factor)
    if options.train_here and options.model is not None:
        raise InputError("found both --model and --train-here, allowed is one of them")
    if options.also and not options.train_here:
        raise InputError("found --also without --train-here: further scans are only for training")
    for name in OF_TRAINING:
        if getattr(options, name) != getattr(Options, name) and not options.train_here:
            raise InputError(f"found --{name} without --train-here, it is of a training")
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
    inputs = [part for path in (options.source, *options.also) for part in parts_of(path)]
    seen: list[Path] = []
    for name, path, suffixes in options.outputs():
        if has_suffix(path, (*ITK_SUFFIXES, ".tfm")):
            itk_path(path)
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
    if path.exists() and not path.is_file():
        found = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"{path}: is {found}, allowed is a file name")
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        reason = "is not a folder" if not folder.is_dir() else "cannot be written to"
        raise InputError(f"{path}: cannot be written, because {folder} {reason}")


def check_one(options: Options) -> None:
    """Refuse a scan that is not there, and what has a meaning for a folder of scans alone."""
    check_there(options.source)
    for option in ("include", "exclude", "participants"):
        if getattr(options, option):
            name = option.replace("participants", "participant-label")
            raise InputError(f"found --{name} with one scan, allowed is it for a folder of scans")
