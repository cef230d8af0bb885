"""A whole dataset: a folder or a BIDS tree in, BIDS derivatives out, several files at a time."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError, NothingToDo
from interslice.common.files import walk, write_json
from interslice.data.itk import has_suffix
from interslice.scan.acquired import check_even, prepared
from interslice.scan.auto import Choice, choose_best
from interslice.scan.bids import copy_companions, source_metadata, tree_of
from interslice.scan.checks import check_one_geometry, check_series
from interslice.scan.command import Say, labels_said, save_series
from interslice.scan.derivatives import (
    DESCRIPTION,
    PAGE,
    check_own,
    credit,
    sidecar,
    write_folder_files,
)
from interslice.scan.formats import OUTPUT_SUFFIXES, write_scan
from interslice.scan.grid import Grid
from interslice.scan.jobs import Job, Outcome, Wanted, find_jobs
from interslice.scan.models import Model
from interslice.scan.motion import write_transform
from interslice.scan.options import Options, check_choices, check_writable
from interslice.scan.page import thumbnail, write_page
from interslice.scan.scans import Scan, read_dicom, read_scan
from interslice.scan.upsampling import check_makes, label_reason, upsample_labels, upsample_scan

ONE_SCAN_ONLY = ("train_here", "uncertainty")


def run_batch(options: Options, say: Say) -> list[Outcome]:
    """Interpolate every image of a folder; a failed one is named and does not stop the others.

    Returns an outcome per image, which a page in the output folder shows. Raises InputError where the command as a whole cannot
    be carried out.
    """
    check_batch(options)
    assert options.output is not None
    wanted = Wanted(options.include, options.exclude, options.participants)
    jobs = find_jobs(options.source, options.output, wanted)
    if all(job.series for job in jobs):  # beside NIfTI files --trust is for these
        check_one_geometry(str(options.source), options.trust)
    if options.fill_missing and not any(job.series for job in jobs):
        raise InputError(f"{options.source}: holds no DICOM series, whose headers --fill-missing needs")
    if options.dicom:  # a folder for each
        jobs = [replace(job, target=job.target.with_name(job.sidecar.stem)) for job in jobs]
    for remark in tree_remarks(jobs, options, wanted):
        say(remark)
    model = options.asked_model()
    write_folder_files(options.source, options.output)

    def work(job: Job) -> Outcome:
        outcome = run_job(job, model, options)
        say(f"{outcome.state}: {outcome.reason or job.source}")
        return outcome

    outcomes = list(for_all(work, jobs, options.jobs))
    try:
        write_page(outcomes, options.source, options.output / PAGE)
    except (InputError, OSError) as error:  # of a disk that is full, say: the images are there all the same
        say(f"{PAGE} was not written: {error}")
    return outcomes


def tree_remarks(jobs: Sequence[Job], options: Options, wanted: Wanted) -> Iterator[str]:
    """What is to be said of a tree before its images: phases that are left out, and links that lead elsewhere."""
    subjects = [options.source / name for name in sorted(wanted.subjects(options.source))]
    phases = [
        path
        for folder in subjects or [options.source]
        for path in walk(folder)
        if "part-phase" in path.name.split("_")
    ]
    if phases and options.include is None:
        yield f"left out: {len(phases)} phase image(s), whose values wrap (part-phase); --include takes them"
    root = os.path.realpath(options.source)
    elsewhere = [
        job.source
        for job in jobs
        if job.source.exists() and not Path(os.path.realpath(job.source)).is_relative_to(root)
    ]
    if elsewhere:
        first = f"{elsewhere[0]}{', …' if len(elsewhere) > 1 else ''}"
        yield f"{len(elsewhere)} image(s) are behind links that lead out of {options.source} ({first})"


def check_batch(options: Options) -> None:
    """Refuse what cannot be done for a folder, before anything is done."""
    check_choices(options)
    for name in ONE_SCAN_ONLY:
        if getattr(options, name):
            raise InputError(
                f"found --{name.replace('_', '-')} with a folder of scans, allowed is it for one scan"
            )
    output = options.output
    if output is None:
        raise InputError("found no output, -o FOLDER is needed")
    if has_suffix(output, OUTPUT_SUFFIXES):
        raise InputError(f"output: found the file name {output} for a folder of images, allowed is a folder")
    for name, path in (("output", output), ("preview", options.preview)):
        if path is not None and path.exists() and not path.is_dir():
            raise InputError(f"{name}: found the file {path}, allowed is a folder")
    if options.source.resolve().is_relative_to(output.resolve()):
        found = "is" if output.resolve() == options.source.resolve() else "holds"
        raise InputError(f"output: {output} {found} the input, allowed is another folder")
    if options.series is not None:
        raise InputError(
            f"{options.source}: found --series for a folder of images, allowed is it for DICOM alone"
        )
    check_own(output)
    check_writable(output / DESCRIPTION)


def for_all(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """`work` of every job, in order, `workers` at a time; an interruption reaches those that are under way.

    Threads serve: numpy's products and zlib hold no interpreter lock.
    """
    busy: set[int] = set()

    def working(job: Job) -> Outcome:
        busy.add(threading.get_ident())
        try:
            return work(job)
        finally:
            busy.discard(threading.get_ident())

    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(working, jobs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for thread in list(busy):  # Python has no other way to end a thread before its work is done
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
                )
            raise


def run_job(job: Job, asked: Model | None, options: Options) -> Outcome:
    """One image. Any error is the job's alone: hundreds of others may be waiting."""
    if job.problem:
        return Outcome(job, "failed", job.problem)
    try:
        if job.done and not options.force:
            return Outcome(job, "skipped", f"{job.source}: {job.target} exists; --force makes it again")
        if job.source.is_symlink() and not job.source.exists():
            reason = f"{job.source}: a link to a file that is not here ({os.readlink(job.source)})"
            return Outcome(job, "absent", f"{reason}; get it first (git annex get, datalad get)")
        return written(job, asked, options)
    except NothingToDo as error:
        return Outcome(job, "skipped", str(error))
    except InputError as error:
        named = str(job.source) in str(error)
        return Outcome(job, "failed", str(error) if named else f"{job.source}: {error}")
    except OSError as error:
        return Outcome(job, "failed", f"{job.source}: {error.filename}: {error.strerror or error}")
    except Exception as error:
        return Outcome(job, "failed", f"{job.source}: {type(error).__name__}: {error}")


def written(job: Job, asked: Model | None, options: Options) -> Outcome:
    """Interpolate one image and write it, with its JSON last: it says that all is there."""
    assert options.output is not None
    scan = read_job(job, options)
    check_series(scan.name, scan.places is not None, {"dicom": options.dicom})
    check_even(scan, options)
    reason = label_reason(scan, options.label, options.named)
    scan, transform = (scan, None) if reason else prepared(scan, options)
    grid = options.grid(scan)
    fine, record, said = interpolated(scan, grid, asked, options, reason)
    source = job.source.absolute()
    root = tree_of(options.source) or options.source.absolute()
    known = source_metadata(source, root)
    if "SpacingBetweenSlices" in known:
        known["SpacingBetweenSlices"] = round(scan.slice_spacing_mm / grid.ratio, 6)
    if not reason:  # required of derivatives of images; a raw one is not, and another says so itself
        known = {"SkullStripped": False} | known
    record = sidecar(job.source.relative_to(options.source), scan, grid, options.keep_original) | record
    job.sidecar.unlink(missing_ok=True)
    if options.dicom:
        save_series(fine, record["InterpolationMethod"], job.target, overwrite=True)
    else:
        write_scan(fine, job.target)
    if transform is not None:
        write_transform(scan, transform, job.target)
    copy_companions(source, job.target, root)
    if options.preview is not None:
        from interslice.scan.preview import write_preview

        picture = options.preview / job.target.relative_to(options.output).with_name(
            f"{job.sidecar.stem}.png"
        )
        write_preview(scan.parts()[0], fine.parts()[0], grid, record["InterpolationMethod"], picture)
    write_json(known | record, job.sidecar)
    how = ", ".join([f"factor {grid.ratio:.4g}", *([said] if said else []), *scan.remarks])
    return Outcome(job, "written", f"{job.target} ({how})", record, thumbnail(scan, fine))


def read_job(job: Job, options: Options) -> Scan:
    if job.series is not None:
        return read_dicom(
            job.series, str(job.source), options.axis, fill=options.fill_missing, nan=options.nan
        )
    return read_scan(job.source, options.axis, trust=options.trust, nan=options.nan)


def interpolated(
    scan: Scan, grid: Grid, asked: Model | None, options: Options, reason: str
) -> tuple[Scan, dict[str, Any], str]:
    """The result, what its JSON says of the method, and a remark for the person.

    asked: None lets the tool choose. reason: why it is a label map.
    """
    if reason:
        return upsample_labels(scan, grid), {"InterpolationMethod": "shape of labels"}, labels_said(reason)
    choice = Choice(asked, {}, "") if asked else choose_best(scan, grid, options.keep_original)
    model = choice.model
    check_makes(model.method, grid)
    strange = model.remark(grid.ratio, scan.slice_spacing_mm, scan.thickness_mm)
    why = f"{model.shown}, {choice.summary}" if choice.summary else ""
    record, said = credit(choice), "; ".join(part for part in (why, strange) if part)
    if options.check:
        from interslice.scan.trust import check_report

        try:
            report = check_report(scan.parts()[0], model, None, options.keep_original)
        except InputError as error:  # of too few slices: no reason not to interpolate them
            report = str(error)
        record["Check"] = report.splitlines()
        said = "; ".join(part for part in (said, record["Check"][-1].strip()) if part)
    return upsample_scan(scan, grid, model.method, options.keep_original), record, said
