"""Interpolation step: one method on the test subjects of a shard. Scores, figures and costs are made of what it keeps."""

import json
import resource
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import replacing, sha256_of
from interslice.common.parallel import set_threads
from interslice.data.interpolated import ENDING, write_interpolated
from interslice.data.parts import check_same_reference, read_record, write_record
from interslice.data.volumes import in_frame_order, open_volume, reference_slices
from interslice.methods import load_method
from interslice.methods.base import Method, Scan
from interslice.methods.registry import self_trained
from interslice.scoring.frames import frame_of, interpolate_frame, lesions_of, with_inserted
from interslice.steps.data import volumes_of
from interslice.steps.subjects import COSTS, done_subjects
from interslice.training.record import training_record

COST = "cost.json"


def interpolate_volumes(
    normalised: Path,
    low: Path,
    checkpoint: Path | None,
    *,
    factor: int,
    settings: Mapping[str, Any],
    told: Mapping[str, Any],
    lesions: Mapping[str, Any] | None,
    unseen_of: str | None,
    threads: int,
    digest: str,
    resume: Path,
    output: Path,
) -> None:
    """Write SUBJECT.nii.gz for every subject of the shard (`data.interpolated`), and what each took as COSTS.

    lesions: `slice_profile` and `score_px` of the dataset, to interpolate the volumes with lesions in them
    (`frames.with_inserted`); None for the volumes as they are. told: settings that change no volume. unseen_of: the
    dataset whose test subjects a finished model must not have seen; None for any other method. What is done is kept in the
    folder `resume`, subject by subject, and not done again after a stop, unless the files it is made from, the settings or
    the code (`digest`) are others.
    """
    check_same_reference([normalised, low])
    references, lows = volumes_of([normalised]), volumes_of([low])
    files = {subject: [references[subject], path] for subject, path in lows.items()}
    if unseen_of:
        refuse_seen(checkpoint, unseen_of, list(lows))
    every = {**settings, **told}
    method, training = load_method(every, checkpoint), training_of(every, checkpoint)
    method.prepare(list(lows), factor)
    set_threads(threads)

    def work(subject: str, folder: Path) -> None:
        pair, result = (references[subject], lows[subject]), folder / f"{subject}{ENDING}"
        frames, seconds = interpolate_subject(method, subject, *pair, factor, lesions)
        write_interpolated(frames, open_volume(lows[subject]), factor, result, exact=method.needs_reference)
        cost = {"subject": subject, "frames": len(frames), "voxels": int(frames[0].size), "seconds": seconds}
        cost |= {"training": training, "peak_mib": peak_mib(), "threads": threads}
        (folder / COST).write_text(json.dumps(cost))

    run = [digest, factor, settings, lesions, *([sha256_of(checkpoint)] if checkpoint else [])]
    with replacing(output) as to:
        to.mkdir(parents=True)
        done = dict(done_subjects(files, work, resume=resume, run=run))
        for subject, folder in done.items():
            shutil.copyfile(folder / f"{subject}{ENDING}", to / f"{subject}{ENDING}")
        costs = [json.loads((folder / COST).read_text()) for folder in done.values()]
        (to / COSTS).write_text(json.dumps(costs, indent=2) + "\n")
        write_record(to, read_record(low))
    shutil.rmtree(resume)


def training_of(settings: Mapping[str, Any], checkpoint: Path | None) -> dict[str, Any] | None:
    """updates, seconds and ended (`training.record`) of what a method has learned; None for one that learns nothing.

    A method that learns from the scan itself has no seconds of its own: they are those of the interpolation.
    """
    if checkpoint is not None:
        from interslice.common.checkpoints import read_checkpoint

        return training_record(read_checkpoint(checkpoint))
    ended = self_trained(settings)
    if ended is None:
        return None
    return {"updates": settings.get("training", {}).get("steps"), "seconds": None, "ended": ended}


def interpolate_subject(
    method: Method, subject: str, reference: Path, low: Path, factor: int, lesions: Mapping[str, Any] | None
) -> tuple[np.ndarray, float]:
    """All frames (frames, slices, rows, columns) float32 in [0, 1], and the seconds that the method took for them."""
    given, sharp = open_volume(low), open_volume(reference)
    volume = given.data
    targets = reference_slices(sharp.data, factor)
    method.gap_px = factor * sharp.spacing[0] / float(np.mean(sharp.spacing[1:]))
    seconds = 0.0

    def timed(given: np.ndarray, answer: np.ndarray) -> np.ndarray:
        nonlocal seconds
        started = time.perf_counter()
        result = interpolate_frame(method, given, answer, factor)
        seconds += time.perf_counter() - started
        return result

    results = []
    for index in range(len(volume)):
        target = np.ascontiguousarray(targets[index])
        if method.needs_scan:
            limits = sharp.limits[index] if sharp.limits else (0.0, 1.0)
            method.scan = Scan(in_frame_order(given), limits, subject, index, len(volume))
        if lesions is None:
            results.append(timed(volume[index], target))
        else:
            frame = frame_of(target, sharp.spacing, factor, f"{subject} {index}", **lesions)
            results.append(timed(*with_inserted(frame, lesions_of(frame))))
    return np.stack(results), seconds


def peak_mib() -> float:
    """The largest memory that this process has had until now, or a program that it ran."""
    processes = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(who).ru_maxrss for who in processes) / 1024  # KiB on Linux


def refuse_seen(checkpoint: Path | None, dataset: str, subjects: Collection[str]) -> None:
    """InputError where a finished model was trained on a test subject that it is to be scored on, or its step picked by one."""
    from interslice.common.checkpoints import read_checkpoint

    assert checkpoint is not None
    state = read_checkpoint(checkpoint)
    # A model file that does not say its dataset is taken to be of this one.
    if state.get("dataset", dataset) != dataset:
        return
    for use, key in (("trained", "subjects"), ("selected", "validation_subjects")):
        if key not in state:
            raise InputError(
                f"{checkpoint}: found no {key}, needed to know that the model saw no test subject"
            )
        seen = sorted(set(subjects) & set(state[key]))
        if seen:
            raise InputError(
                f"{checkpoint}: was {use} on {', '.join(seen)}, which the test split of {dataset} holds; "
                "allowed are models that saw no test subject"
            )
