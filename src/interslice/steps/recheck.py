"""Recheck step: a random sample of a study's scores made again from its volumes, by other people's code."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from interslice.common.errors import InputError
from interslice.common.files import write_csv
from interslice.data.interpolated import ENDING, read_interpolated
from interslice.data.volumes import central, open_volume, reference_slices
from interslice.scoring.longtable import read_scores
from interslice.scoring.rescore import ALLOWED, LIBRARIES, deviation, rescore
from interslice.steps.data import volumes_of
from interslice.training.lpips import lpips_itself

SLICES, SEED = 40, 1
PLACE = ["dataset", "K", "method", "seed", "subject", "frame", "slice"]
COLUMNS = ["metric", "library", "slices", "largest", "allowed"]


def recheck_scores(
    scores: Sequence[str],
    places: Sequence[str],
    sides: dict[str, int | None],
    *,
    backbone: tuple[str, Path] | None,
    output: Path,
) -> None:
    """Score a sample of slices of every method again, whole image, and write the largest deviation of each metric.

    scores, places: the long tables and the JSON files of `evaluate.score_method`; sides: dataset to the side of the central
    square that is scored;
    backbone: name and weights of LPIPS where it is scored. Raises InputError for a score that is off by more than ALLOWED.
    """
    network = lpips_itself(*backbone) if backbone else None
    sampled = sample(scores)
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
                    f"score table: found {metric} {ours:.8g} of {where}, {LIBRARIES[metric]} gives {theirs:.8g}; allowed is a "
                    f"difference of {ALLOWED[metric]:g}"
                )
            largest[metric], counts[metric] = max(largest[metric], off), counts[metric] + 1
    found = [
        [name, LIBRARIES[name], count, largest[name], ALLOWED[name]]
        for name, count in counts.items()
        if count
    ]
    write_csv(pd.DataFrame(found, columns=COLUMNS), output)


def sample(shards: Sequence[str]) -> pd.DataFrame:
    """The scores, by metrics of LIBRARIES, of some SLICES slices, of every dataset, K and method equally many, at least one.

    Drawn with a fixed seed, so that the check of a study is the same wherever it is run; read are as many shards as there are
    slices at the most.
    """
    runs: dict[tuple, list[str]] = {}
    for shard in sorted(shards):
        runs.setdefault(_run_of(shard)[:3], []).append(shard)
    each, draw = max(1, SLICES // max(1, len(runs))), np.random.default_rng(SEED)
    parts = []
    for of_run in runs.values():
        chosen = draw.permutation(of_run)[:each]
        for shard in chosen:
            own = read_scores(Path(shard), region=["whole"], metric=list(LIBRARIES))
            slices = own[PLACE].drop_duplicates()
            wanted = min(len(slices), -(-each // len(chosen)))
            parts.append(own.merge(slices.iloc[draw.permutation(len(slices))[:wanted]], on=PLACE))
    return pd.concat(parts, ignore_index=True)


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
