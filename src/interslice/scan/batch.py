"""A whole dataset: a folder or a BIDS tree in, BIDS derivatives out, several files at a time."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.images import is_dicom
from interslice.scan.bids import copy_companions, ignored_patterns, is_ignored, matcher, source_metadata, walk
from interslice.scan.command import Options, Say, check_choices, check_writable, choose_factor, labels_said
from interslice.scan.scans import OUTPUT_SUFFIXES, Scan, read_scan, scan_from_stack, write_scan
from interslice.scan.upsampling import (
    Model,
    NothingToDo,
    choose_model,
    label_reason,
    upsample_labels,
    upsample_scan,
)

if TYPE_CHECKING:
    from interslice.data.dicom_series import Series

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".hdr", ".mgz", ".mgh")
LABEL = "desc-interslice"
BIDS_DEFAULT, FOLDER_DEFAULT = "sub-*/**/anat/*", "**/*"
NOT_RAW = ("derivatives", "sourcedata", "code")  # of a BIDS dataset: no raw images below these
BIDS_VERSION = "1.9.0"


@dataclass(frozen=True)
class Job:
    """One input, a file or a DICOM series and its folder, and its output."""

    source: Path
    target: Path
    series: "Series | None" = None

    @property
    def sidecar(self) -> Path:
        return self.target.with_name(self.target.name.removesuffix(".nii.gz") + ".json")

    @property
    def done(self) -> bool:
        return self.target.exists() and self.sidecar.exists()


@dataclass(frozen=True)
class Outcome:
    """What became of a job: "written", "skipped" or "failed", and why."""

    job: Job
    state: str
    reason: str = ""


def is_batch(source: Path, output: Path | None = None, series: str | None = None) -> bool:
    """Whether a folder is a dataset: a BIDS tree, or image files, or several DICOM series of which none is asked for.

    One series may lie in several folders; that of several which the name of an output file is given for is chosen elsewhere.
    """
    if not source.is_dir():
        return False
    if (source / "dataset_description.json").exists():
        return True
    if any(image_stem(path) for path in source.rglob("*") if path.is_file()):
        return True
    single = series is not None or (output is not None and output.name.endswith(OUTPUT_SUFFIXES))
    return not single and len(dicom_series(source, output)) > 1


def dicom_series(source: Path, output: Path | None = None) -> list["Series"]:
    """The DICOM series of a folder that `dicom_series.choose` would take, without what is below `output`."""
    paths = [
        path
        for path in walk(source)
        if path.is_file() and is_dicom(path) and not (output and path.is_relative_to(output))
    ]
    if not paths:
        return []
    from interslice.data.dicom_series import is_main, list_series

    found = list_series(paths)
    return [one for one in found if is_main(one, found)]


def dicom_jobs(source: Path, output: Path) -> list[Job]:
    """A job for each series, named by its folder where it is alone there, else also by number and description."""
    series = sorted(dicom_series(source, output), key=lambda one: one.slices[0].group)
    folders = [Path(os.path.commonpath([image.path.parent for image in one.slices])) for one in series]
    jobs = []
    for number, (one, folder) in enumerate(zip(series, folders, strict=True), 1):
        place = folder.relative_to(source)
        if folder == source or folders.count(folder) > 1:
            place = place / f"{number:02d}_{re.sub(r'[^A-Za-z0-9]+', '-', one.description).strip('-')}"
        jobs.append(Job(folder, output / place.with_name(derivative_name(place.name)), one))
    return jobs


def image_stem(path: Path) -> str | None:
    """The name without the suffix of an image format, None for other files and hidden ones."""
    if path.name.startswith("."):
        return None
    return next((path.name.removesuffix(end) for end in IMAGE_SUFFIXES if path.name.endswith(end)), None)


def derivative_name(stem: str) -> str:
    """desc-interslice before the suffix of a BIDS name, at the end of any other name."""
    entities = [part for part in stem.split("_") if not part.startswith("desc-")]
    if len(entities) > 1 and "-" in entities[0] and "-" not in entities[-1]:
        entities.insert(-1, LABEL)
    else:
        entities.append(LABEL)
    return "_".join(entities) + ".nii.gz"


def find_jobs(source: Path, output: Path, include: str | None = None) -> list[Job]:
    """Every image below `source` that the pattern matches, with its place below `output`, in order.

    include: a glob pattern; the default is the anatomical images of a BIDS dataset, all images of another
    folder. A DICOM series counts as one image. Earlier outputs are no inputs. Raises InputError
    where nothing matches or two inputs would have one output.
    """
    bids = (source / "dataset_description.json").exists() or any(source.glob("sub-*"))
    pattern = include or (BIDS_DEFAULT if bids else FOLDER_DEFAULT)
    jobs = []
    wanted, ignored = matcher(pattern), ignored_patterns(source) if bids else []
    for path in walk(source):
        relative = path.relative_to(source)
        stem = image_stem(path)
        outside = not path.is_relative_to(output) and not (bids and relative.parts[0] in NOT_RAW)
        phase = bids and include is None and "part-phase" in (stem or "").split("_")
        usable = outside and not phase and not is_ignored(relative, ignored)
        if stem and usable and LABEL not in stem.split("_") and wanted.fullmatch(relative.as_posix()):
            jobs.append(Job(path, output / relative.with_name(derivative_name(stem))))
    if not bids and include is None:
        jobs += dicom_jobs(source, output)
    if not jobs:
        raise InputError(
            f"{source}: found no image that matches {pattern!r} ({', '.join(IMAGE_SUFFIXES)} or DICOM)"
        )
    return apart(jobs)


def apart(jobs: Sequence[Job]) -> list[Job]:
    """Jobs with outputs of their own: where two would share one, those with a desc- keep it in their name."""
    targets: dict[Path, Path] = {}
    found = []
    for job in jobs:
        described = re.search(r"_desc-([A-Za-z0-9]+)_", job.source.name)
        if described and sum(other.target == job.target for other in jobs) > 1:
            name = job.target.name.replace(LABEL, f"desc-{described[1]}Interslice")
            job = Job(job.source, job.target.with_name(name))
        if job.target in targets:
            raise InputError(f"{job.source} and {targets[job.target]} would both be written to {job.target}")
        targets[job.target] = job.source
        found.append(job)
    return found


def run_batch(options: Options, say: Say) -> list[Outcome]:
    """Interpolate every image of a folder; a failed one is named and does not stop the others.

    Returns an outcome per image. Raises InputError where the command as a whole cannot be carried out.
    """
    check_choices(options)
    for name in ("train_here", "check", "uncertainty", "preview", "dicom"):
        if getattr(options, name):
            raise InputError(
                f"found --{name.replace('_', '-')} with a folder of scans, allowed is it for one scan"
            )
    if options.output is None:
        raise InputError("found no output, -o FOLDER is needed")
    if options.jobs < 1:
        raise InputError(f"jobs: found {options.jobs}, allowed are whole numbers from 1")
    output = options.output
    if output.exists() and not output.is_dir():
        raise InputError(f"output: found the file {output}, allowed is a folder")
    if output.resolve() == options.source.resolve():
        raise InputError(f"output: {output} is the input, allowed is another folder")
    check_writable(output / "dataset_description.json")
    jobs = find_jobs(options.source, output, options.include)
    phases = [path for path in walk(options.source) if "part-phase" in path.name.split("_")]
    if phases and options.include is None:
        say(f"left out: {len(phases)} phase image(s), whose values wrap (part-phase); --include takes them")
    model = choose_model(options.method, options.model)
    write_json(description(options.source, output), output / "dataset_description.json")

    def work(job: Job) -> Outcome:
        outcome = run_job(job, model, options)
        say(f"{outcome.state}: {outcome.reason or job.source}")
        return outcome

    return list(for_all(work, jobs, options.jobs))


def for_all(work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Threads serve: numpy's products and zlib hold no interpreter lock."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(work, jobs)


def run_job(job: Job, model: Model, options: Options) -> Outcome:
    """One image. Any error is the job's alone: hundreds of others may be waiting."""
    if job.done and not options.force:
        return Outcome(job, "skipped", f"{job.source}: {job.target} exists; --force makes it again")
    try:
        if job.source.is_symlink() and not job.source.exists():
            raise InputError(
                f"{job.source}: a link to a file that is not here ({os.readlink(job.source)}); "
                "get it first (git annex get, datalad get)"
            )
        scan = read_job(job, options)
        reason = label_reason(scan, options.label, options.method)
        factor = choose_factor(scan, options)
        fine = interpolated(scan, factor, model, options, reason)
        job.sidecar.unlink(missing_ok=True)
        write_scan(fine, job.target)
        record = sidecar(job, scan, fine, factor, model, options)
        if reason:
            record |= {"InterpolationMethod": "shape of labels", "OriginalSlicesKept": True}
        copy_companions(job.source, job.target)
        write_json(source_metadata(job.source) | record, job.sidecar)
    except NothingToDo as error:
        return Outcome(job, "skipped", str(error))
    except InputError as error:
        return Outcome(job, "failed", str(error))
    except Exception as error:
        return Outcome(job, "failed", f"{job.source}: {type(error).__name__}: {error}")
    remarks = [labels_said(reason), *scan.remarks] if reason else scan.remarks
    how = ", ".join([f"factor {factor}", *remarks])
    return Outcome(job, "written", f"{job.target} ({how})")


def read_job(job: Job, options: Options) -> Scan:
    if job.series is None:
        return read_scan(job.source, options.axis, trust=options.trust, nan=options.nan)
    from interslice.data.dicom import read_own_series

    return scan_from_stack(read_own_series(job.series), str(job.source), options.axis)


def interpolated(scan: Scan, factor: int, model: Model, options: Options, reason: str) -> Scan:
    if reason:
        return upsample_labels(scan, factor)
    return upsample_scan(scan, factor, model.method, options.keep_original)


def sidecar(job: Job, scan: Scan, fine: Scan, factor: int, model: Model, options: Options) -> dict[str, Any]:
    """What made the file, for its JSON; spacings in mm."""
    assert options.output is not None
    record: dict[str, Any] = {
        "Description": "Slices added between the acquired ones by interpolation; not a medical device",
        "Sources": [f"bids:raw:{job.source.relative_to(options.source).as_posix()}"],
        "InterpolationMethod": model.name,
        "InterpolationFactor": factor,
        "InterpolationAxis": "ijk"[scan.axis],
        "SliceSpacingBefore": round(scan.slice_spacing_mm, 6),
        "SliceSpacingAfter": round(fine.slice_spacing_mm, 6),
        "OriginalSlicesKept": options.keep_original,
        "SoftwareName": "interslice",
        "SoftwareVersion": __version__,
    }
    if model.sha256:
        record |= {"ModelFile": model.file, "ModelSHA256": model.sha256}
    return record


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


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all; InputError where it cannot be written."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
