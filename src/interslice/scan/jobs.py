"""Which images of a folder or a BIDS tree are interpolated, and where each result goes."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interslice.common.errors import InputError
from interslice.common.files import walk
from interslice.data.images import is_dicom
from interslice.data.itk import ITK_SUFFIXES, has_suffix
from interslice.scan.bids import ignored_patterns, is_ignored, matcher
from interslice.scan.formats import OUTPUT_SUFFIXES

if TYPE_CHECKING:
    from interslice.data.dicom_headers import Unusable
    from interslice.data.dicom_series import Series

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".hdr", ".mgz", ".mgh", *ITK_SUFFIXES)
LABEL = "desc-interslice"
BIDS_DEFAULT, FOLDER_DEFAULT = "sub-*/**/anat/*", "**/*"
NOT_RAW = ("derivatives", "sourcedata", "code")  # of a BIDS dataset: no raw images below these


@dataclass(frozen=True)
class Job:
    """One input, a file or a DICOM series and its folder, and its output; problem: why it cannot be made."""

    source: Path
    target: Path
    series: "Series | None" = None
    problem: str = ""

    @property
    def sidecar(self) -> Path:
        return self.target.with_name(self.target.name.removesuffix(".nii.gz") + ".json")

    @property
    def done(self) -> bool:
        return self.target.exists() and self.sidecar.exists()


@dataclass(frozen=True)
class Outcome:
    """What became of a job: "written", "skipped", "failed" or "absent" (a link to nothing), and why.

    For the page its record and a picture (PNG).
    """

    job: Job
    state: str
    reason: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    picture: bytes = b""


def is_batch(source: Path, output: Path | None = None, series: str | None = None) -> bool:
    """Whether a folder is a dataset: a BIDS tree, or image files, or several DICOM series of which none is asked for.

    One series may lie in several folders; that of several which the name of an output file is given for is chosen elsewhere,
    whatever image files lie beside them.
    """
    if not source.is_dir():
        return False
    if (source / "dataset_description.json").exists():
        return True
    images = any(image_stem(path) for path in walk(source))
    single = series is not None or (output is not None and has_suffix(output, OUTPUT_SUFFIXES))
    if single:
        return images and not dicom_series(source)
    return images or len(dicom_series(source, output)) > 1


def dicom_series(source: Path, output: Path | None = None) -> list["Series"]:
    """The DICOM series of a folder that `dicom_series.choose` would take, without what is below `output`."""
    return dicom_found(source, output)[0]


def dicom_found(source: Path, output: Path | None) -> tuple[list["Series"], "Unusable | None"]:
    """The same, and where there is none but an image that is no slice of a volume, what is wrong with that."""
    paths = [
        path
        for path in walk(source)
        if path.is_file() and is_dicom(path) and not (output and path.is_relative_to(output))
    ]
    if not paths:
        return [], None
    from interslice.data.dicom_headers import Unusable
    from interslice.data.dicom_series import described, is_main, list_series

    try:
        found = list_series(paths)
    except Unusable as error:
        return [], error
    except InputError:  # reports and the like, without an image
        return [], None
    chosen = [one for one in found if is_main(one, found)]
    if rest := [line for line, one in zip(described(found), found, strict=True) if not is_main(one, found)]:
        remark = f"left out of the folder, --series takes them: {'; '.join(rest)}"
        chosen[:1] = [replace(one, remarks=(*one.remarks, remark)) for one in chosen[:1]]
    return chosen, None


def dicom_jobs(source: Path, output: Path) -> list[Job]:
    """A job for each series, named by its folder where it is alone there, else also by number and description."""
    series, problem = dicom_found(source, output)
    if problem:
        target = output / problem.path.relative_to(source).with_name(derivative_name(problem.path.name))
        return [Job(problem.path, target, problem=str(problem))]
    series = sorted(series, key=lambda one: one.slices[0].group)
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
    name = path.name.lower()
    return next((path.name[: -len(end)] for end in IMAGE_SUFFIXES if name.endswith(end)), None)


def derivative_name(stem: str) -> str:
    """desc-interslice before the suffix of a BIDS name, at the end of any other name."""
    entities = [part for part in stem.split("_") if not part.startswith("desc-")]
    if len(entities) > 1 and "-" in entities[0] and "-" not in entities[-1]:
        entities.insert(-1, LABEL)
    else:
        entities.append(LABEL)
    return "_".join(entities) + ".nii.gz"


@dataclass(frozen=True)
class Wanted:
    """Which images of a folder: glob patterns to include (None: the usual ones) and to exclude, participants (none: all)."""

    include: str | None = None
    exclude: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()

    def subjects(self, source: Path) -> set[str]:
        """The folders of the participants; InputError for one that is not there."""
        asked = {f"sub-{label.removeprefix('sub-')}" for label in self.participants}
        found = {path.name for path in source.glob("sub-*") if path.is_dir()}
        if absent := sorted(asked - found):
            raise InputError(
                f"{source}: found no {', '.join(absent)}, there are {', '.join(sorted(found)) or 'none'}"
            )
        return asked


def find_jobs(source: Path, output: Path, wanted: Wanted | None = None) -> list[Job]:
    """Every image below `source` that is wanted, with its place below `output`, in order.

    By default these are the anatomical images of a BIDS dataset, without phases, and all images of another folder. A DICOM
    series counts as one image. Earlier outputs are no inputs. Of inputs that would have one output the later ones have a
    problem. Raises InputError where nothing matches.
    """
    wanted = wanted or Wanted()
    bids = (source / "dataset_description.json").exists() or any(source.glob("sub-*"))
    pattern = wanted.include or (BIDS_DEFAULT if bids else FOLDER_DEFAULT)
    included, excluded = matcher(pattern), [matcher(text) for text in wanted.exclude]
    subjects, ignored = wanted.subjects(source), ignored_patterns(source) if bids else []
    jobs = []
    for path in walk(source):
        relative = path.relative_to(source)
        stem = image_stem(path)
        outside = not path.is_relative_to(output) and not (bids and relative.parts[0] in NOT_RAW)
        phase = wanted.include is None and "part-phase" in (stem or "").split("_")
        usable = outside and not phase and not is_ignored(relative, ignored)
        usable = usable and (not subjects or relative.parts[0] in subjects)
        name = relative.as_posix()
        usable = usable and not any(one.fullmatch(name) for one in excluded)
        if usable and path.is_dir():
            jobs.append(Job(path, output / relative, problem=f"{path}: the folder cannot be read"))
        elif stem and usable and LABEL not in stem.split("_") and included.fullmatch(name):
            jobs.append(Job(path, output / relative.with_name(derivative_name(stem))))
    if not bids and wanted.include is None:
        jobs += [
            job
            for job in dicom_jobs(source, output)
            if not any(one.fullmatch(job.source.relative_to(source).as_posix()) for one in excluded)
        ]
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
        other = targets.setdefault(job.target, job.source)
        problem = f"{job.source} and {other} would both be written to {job.target}"
        found.append(job if other is job.source else replace(job, problem=problem))
    return found
