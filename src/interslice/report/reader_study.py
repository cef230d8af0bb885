"""A blind reader study: one offline page that shows slices in random order and asks whether each is real.

The truth is in a key file beside the page and not in the page. Real slices are of the reference at positions
that every method had to synthesise, and no position is shown twice, so that neither the place of a slice nor
a comparison from memory gives it away.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interslice.analysis.reader_analysis import ANSWERS_KIND, KEY_KIND, REFERENCE
from interslice.common.errors import InputError
from interslice.common.files import write_text
from interslice.data.interpolated import ENDING, read_interpolated
from interslice.data.masks import foreground_mask
from interslice.data.parts import check_same_reference
from interslice.data.volumes import open_volume, reference_slices
from interslice.report.viewer_images import quantise
from interslice.report.web import render

# Of the subject's fullest slice: a slice of the crown or the neck shows nothing to judge.
LEAST_FOREGROUND = 0.3


@dataclass(frozen=True)
class ReaderCase:
    """One subject: the reference and each method's volume, (slices, rows, columns) in [0, 1] of one shape."""

    subject: str
    reference: np.ndarray
    volumes: Mapping[str, np.ndarray]
    pixel_mm: tuple[float, float]  # row, column


@dataclass(frozen=True)
class Item:
    """What one image of the page is: a method or REFERENCE, and its place."""

    method: str
    subject: str
    slice: int


def study_cases(folder: Path, dataset: str, factor: int, methods: Sequence[str]) -> list[ReaderCase]:
    """The test subjects of a study's results, the first frame of each.

    folder: results/STUDY. Raises InputError that names what is there where a dataset, K or method is not, and where the methods
    were given volumes of different preprocessings.
    """
    place = folder / "score_method" / dataset / f"K{factor}"
    known = sorted(path.name for path in place.glob("*/") if path.is_dir())
    absent = [method for method in methods if method not in known]
    if absent or not methods:
        there = ", ".join(known) if known else "none"
        raise InputError(
            f"{place}: found no results of {', '.join(absent) or 'any method'}, there are {there}"
        )
    # The folders are named as Snakemake has them: below the folder that results/ lies in.
    shards = {method: first_seed(place / method, folder.parent.parent) for method in methods}
    first = next(iter(shards.values()))
    check_same_reference([path for places in shards.values() for shard in places for path in shard.values()])
    references = files_of([shard["normalised"] for shard in first], ".nii")
    lows = files_of([shard["low"] for shard in first], ".nii")
    results = {
        method: files_of([shard["interpolated"] for shard in places], ENDING)
        for method, places in shards.items()
    }
    subjects = sorted(set(references).intersection(lows, *results.values()))
    if not subjects:
        raise InputError(f"{place}: found no subject with a volume of every method, at least 1 is needed")
    cases = []
    for subject in subjects:
        reference = open_volume(references[subject])
        volumes = {
            method: read_interpolated(files[subject], lows[subject]).data[0]
            for method, files in results.items()
        }
        target = reference_slices(reference.data, factor)[0]
        cases.append(ReaderCase(subject, target, volumes, reference.spacing[1:]))
    return cases


def first_seed(folder: Path, root: Path) -> list[dict[str, Path]]:
    """Where the volumes lie that a method was scored on with its first seed: the folders that each shard's record names."""
    seeds = sorted(folder.glob("seed*"), key=lambda path: int(path.name.removeprefix("seed")))
    records = sorted(seeds[0].glob("*.json")) if seeds else []
    return [
        {name: root / place for name, place in json.loads(record.read_text()).items()} for record in records
    ]


def files_of(folders: Sequence[Path], ending: str) -> dict[str, Path]:
    """Subject to its file in any of the folders."""
    return {path.name.removesuffix(ending): path for folder in folders for path in folder.glob(f"*{ending}")}


def draw_items(cases: Sequence[ReaderCase], factor: int, per_method: int, seed: int) -> list[Item]:
    """`per_method` slices of every method and as many of the reference as of all methods, in random order.

    Every place (subject and slice) is used once at most. Raises InputError where there are too few.
    """
    methods = list(cases[0].volumes)
    for case in cases:
        for method, volume in case.volumes.items():
            if volume.shape != case.reference.shape:
                raise InputError(
                    f"{case.subject}: {method} of shape {volume.shape} found, allowed is the reference's {case.reference.shape}"
                )
    places = [(case.subject, int(index)) for case in cases for index in usable_slices(case, factor)]
    needed = 2 * len(methods) * per_method
    if per_method < 1 or needed > len(places):
        raise InputError(
            f"--per-method: found {per_method}, allowed are 1 to {len(places) // (2 * len(methods))}: "
            f"{len(places)} places for {len(methods)} methods and as many real slices, each shown once"
        )
    draw = np.random.default_rng(seed)
    chosen = [places[i] for i in draw.permutation(len(places))[:needed]]
    names = [method for method in methods for _ in range(per_method)] + [REFERENCE] * (needed // 2)
    items = [Item(name, *place) for name, place in zip(names, chosen, strict=True)]
    return [items[i] for i in draw.permutation(needed)]


def usable_slices(case: ReaderCase, factor: int) -> np.ndarray:
    """The synthesised slices with enough of the object to judge."""
    area = foreground_mask(case.reference).sum(axis=(1, 2))
    index = np.arange(len(area))
    return index[(index % factor != 0) & (area >= LEAST_FOREGROUND * area.max())]


def page_record(cases: Sequence[ReaderCase], items: Sequence[Item], study: str) -> dict[str, Any]:
    """What the page holds: pixels and sizes. Pixels are bare bytes: a compressed size would tell how smooth a slice is."""
    by_name = {case.subject: case for case in cases}
    images = []
    for item in items:
        case = by_name[item.subject]
        volume = case.reference if item.method == REFERENCE else case.volumes[item.method]
        grey = quantise(volume[item.slice][np.newaxis])[0]
        height, width = grey.shape
        row_mm, column_mm = case.pixel_mm
        pixels = base64.b64encode(grey.tobytes()).decode()
        images.append(
            {
                "height": height,
                "width": width,
                "ratio": width * row_mm / (height * column_mm),
                "pixels": pixels,
            }
        )
    return {"study": study, "kind": ANSWERS_KIND, "images": images}


def write_reader_study(
    cases: Sequence[ReaderCase],
    *,
    factor: int,
    per_method: int,
    seed: int,
    labels: Mapping[str, str],
    output: Path,
) -> Path:
    """Write the page, and beside it the key with the truth and the seed; returns the path of the key.

    labels: what facts of the study the key repeats, such as dataset and K. The same input gives the same bytes.
    """
    items = draw_items(cases, factor, per_method, seed)
    key: dict[str, Any] = {
        "kind": KEY_KIND,
        **labels,
        "seed": seed,
        "items": [asdict(item) for item in items],
    }
    study = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    key_path = output.with_name(f"{output.stem}.key.json")
    write_text(json.dumps({"study": study, **key}, indent=1) + "\n", key_path)
    write_text(render("reader.html.j2", record=page_record(cases, items, study)), output)
    return key_path
