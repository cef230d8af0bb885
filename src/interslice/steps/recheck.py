"""Recheck step: a random sample of a study's scores made again from its volumes, by other people's code."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.data.interpolated import ENDING, read_interpolated
from interslice.data.volumes import central, open_volume, reference_slices
from interslice.scoring.longtable import read_scores
from interslice.scoring.rescore import ALLOWED, LIBRARIES, deviation, rescore
from interslice.steps.data import volumes_of
from interslice.training.lpips import load_lpips

SLICES, SEED = 40, 1
PLACE = ["dataset", "K", "method", "seed", "subject", "frame", "slice"]
COLUMNS = ["metric", "library", "slices", "largest", "allowed"]


def recheck_scores(
    scores: str,
    places: Sequence[str],
    sides: dict[str, int | None],
    *,
    backbone: tuple[str, Path] | None,
    output: Path,
) -> None:
    """Score a sample of slices of every method again, whole image, and write the largest deviation of each metric.

    places: the JSON files of `evaluate.score_method`; sides: dataset to the side of the central square that is scored;
    backbone: name and weights of LPIPS where it is scored. Raises InputError for a score that is off by more than ALLOWED.
    """
    network = load_lpips(*backbone) if backbone else None
    sampled = sample(read_scores(Path(scores)))
    files = {_run_of(path): json.loads(Path(path).read_text()) for path in sorted(places)}
    largest, counts = dict.fromkeys(LIBRARIES, 0.0), dict.fromkeys(LIBRARIES, 0)
    for keys, rows in sampled.groupby(PLACE):
        place = dict(zip(PLACE, keys, strict=True))
        image, reference = slices_of(place, files, sides[str(place["dataset"])])
        for metric, ours in zip(rows["metric"], rows["value"], strict=True):
            theirs = rescore(metric, image, reference, network)
            off = deviation(ours, theirs)
            if off > ALLOWED[metric]:
                where = ", ".join(f"{key} {value}" for key, value in place.items())
                raise InputError(
                    f"{scores}: found {metric} {ours:.8g} of {where}, {LIBRARIES[metric]} gives {theirs:.8g}; allowed is a "
                    f"difference of {ALLOWED[metric]:g}"
                )
            largest[metric], counts[metric] = max(largest[metric], off), counts[metric] + 1
    found = [
        [name, LIBRARIES[name], count, largest[name], ALLOWED[name]]
        for name, count in counts.items()
        if count
    ]
    with replacing(output) as temporary:
        pd.DataFrame(found, columns=COLUMNS).to_csv(temporary, index=False)


def sample(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, by metrics of LIBRARIES, of some SLICES slices, of every dataset, K and method equally many, at least one.

    Drawn with a fixed seed, so that the check of a study is the same wherever it is run.
    """
    own = scores[
        (scores["protocol"] == "strict") & (scores["region"] == "whole") & scores["metric"].isin(LIBRARIES)
    ]
    slices = own[PLACE].drop_duplicates().sample(frac=1, random_state=SEED)
    runs = slices.groupby(["dataset", "K", "method"])
    chosen = slices[runs.cumcount() < max(1, SLICES // max(1, runs.ngroups))]
    return own.merge(chosen, on=PLACE)


def _run_of(path: str) -> tuple[str, int, str, int, int]:
    """Dataset, K, method, seed and shard of a file .../DATASET/KK/METHOD/seedSEED/SHARD.json."""
    *_, dataset, factor, method, seed, shard = Path(path).parts
    return dataset, int(factor[1:]), method, int(seed[4:]), int(Path(shard).stem)


def slices_of(place: dict, files: dict, side: int | None) -> tuple:
    """The interpolated slice and its reference, from the volumes as they lie on the disk."""
    subject, frame, index = (place[key] for key in ("subject", "frame", "slice"))
    run = tuple(place[key] for key in ("dataset", "K", "method", "seed"))
    folders = next(
        found
        for key, found in files.items()
        if key[:4] == run and subject in volumes_of([found["interpolated"]], ENDING)
    )
    low, reference = (volumes_of([folders[name]])[subject] for name in ("low", "normalised"))
    result = read_interpolated(volumes_of([folders["interpolated"]], ENDING)[subject], low).data[frame]
    target = reference_slices(open_volume(reference).data, place["K"])[frame]
    return tuple(central(volume[index : index + 1], side)[0] for volume in (result, target))
