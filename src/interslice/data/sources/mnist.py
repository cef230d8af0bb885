"""Source `mnist`: handwritten digits turned about their centre, a volume per digit whose slices are rotations.

The architecture study of Sander, de Vos and Isgum 2022, as in their released code: training triplets at r, r + 15 and
r + 30 degrees, r a whole number below 330; 36 rotations of 10 degrees for validation and test. Two layouts are
read: a CSV file of 785 columns (784 pixels and the digit; gzip), as in the package that the default takes, or the
IDX files of the original, at any depth, under their own names (gzip or not) or those of MNIST/raw (train-images.idx3-ubyte).
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import scipy

from interslice.common.errors import InputError
from interslice.data.sources import SPLITS, Found, files_below
from interslice.data.sources.drawn import upright
from interslice.data.sources.idx import read_idx

COMPANIONS = ("*-labels?idx1-ubyte*",)
IMAGE_FILES = ("train-images?idx3-ubyte*", "t10k-images?idx3-ubyte*")
RELEASED_VALIDATION = 9000  # in the test file: digits 69000 to 69128 of all, in the paper's code
SIDE, PAD = 28, 2  # pixels
TRAIN_STEP, TRAIN_SLICES = 15, 24  # degrees; from 0 to 14 degrees on, so that r is below 330
TEST_STEP, TEST_SLICES = 10, 36
BLOCK = 500  # training digits that share a file, as its frames
ORDER_SEED = 0


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """Training digits in blocks, all validation digits in one case, a case per test digit; `splits` counts digits.

    Raises InputError where a digit would be in two cases: by index, or because two images are equal.
    """
    files = digit_files(folder)
    if not files:
        return []
    images, first_test = read_digits(files)
    counts = {split: dataset["splits"][split] for split in SPLITS}
    released = dataset["splits"].get("order") == "released"
    chosen = (choose_released if released else choose)(len(images), first_test, counts, dataset["name"])
    check_leakage(images, chosen)
    blocks = [chosen["train"][first : first + BLOCK] for first in range(0, counts["train"], BLOCK)]
    cases = [Found(f"train-{n:03d}", files, split="train", members=block) for n, block in enumerate(blocks)]
    if counts["validation"]:
        cases.append(Found("validation", files, split="validation", members=chosen["validation"]))
    return cases + [Found(f"digit-{n:05d}", files, split="test", members=(n,)) for n in chosen["test"]]


def digit_files(folder: Path) -> tuple[Path, ...]:
    """The CSV file, or the two IDX files of images, plain or gzip; nothing where they are not there."""
    tables = files_below(folder, "**/*.csv*")
    # Of a file that is there packed and unpacked, the unpacked one; folders of unpacked archives have the archives' names.
    found = [files_below(folder, f"**/{name}") for name in IMAGE_FILES]
    images = [min(files, key=lambda path: (path.suffix == ".gz", path)) for files in found if files]
    return (tables[0],) if tables else tuple(images) if len(images) == len(IMAGE_FILES) else ()


@functools.lru_cache(maxsize=1)
def read_digits(files: tuple[Path, ...]) -> tuple[np.ndarray, int]:
    """All digits (n, 28, 28) uint8 and the index of the first one that is for tests only (0: there is no such part)."""
    if len(files) == 2:
        parts = [read_idx(path) for path in files]
        for path, part in zip(files, parts, strict=True):
            check_images(part, path)
        return np.concatenate(parts), len(parts[0])
    path = files[0]
    try:
        table = pd.read_csv(path, header=None).to_numpy()
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a readable table of digits ({error})") from error
    if table.ndim != 2 or table.shape[1] != SIDE * SIDE + 1 or table.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: found a table of shape {table.shape}, allowed are 785 columns of numbers: pixels and digit"
        )
    images = table[:, :-1].reshape(-1, SIDE, SIDE)
    check_images(images, path)
    return images.astype(np.uint8), 0


def check_images(images: np.ndarray, path: Path) -> None:
    """Refuse what is no stack of 28 x 28 grey images."""
    if images.shape[1:] != (SIDE, SIDE) or images.min() < 0 or images.max() > 255:
        raise InputError(f"{path}: found images of shape {images.shape[1:]}, allowed are 28 x 28 bytes")


def choose(total: int, first_test: int, counts: Mapping[str, int], name: str) -> dict[str, tuple[int, ...]]:
    """Split to digit indices, in a fixed random order; test digits from `first_test` on, the others before it."""
    rng = np.random.default_rng(ORDER_SEED)
    boundary = first_test or total - counts["test"]
    order = rng.permutation(total)
    if first_test:
        order = np.concatenate([order[order < boundary], order[order >= boundary]])
    if counts["train"] + counts["validation"] > boundary or counts["test"] > total - boundary:
        raise InputError(
            f"dataset {name}: key splits: found {boundary} digits for training and {total - boundary} for tests, the counts "
            f"need {counts['train']} + {counts['validation']} and {counts['test']}"
        )
    stop = counts["train"] + counts["validation"]
    parts = order[: counts["train"]], order[counts["train"] : stop], order[boundary:][: counts["test"]]
    return {split: tuple(part.tolist()) for split, part in zip(SPLITS, parts, strict=True)}


def choose_released(
    total: int, first_test: int, counts: Mapping[str, int], name: str
) -> dict[str, tuple[int, ...]]:
    """Split to digit indices as the paper's code has them: the first ones of the training file, test digits the first of the
    test file, validation digits of the test file as well, from RELEASED_VALIDATION on.
    """
    starts = {"train": 0, "validation": first_test + RELEASED_VALIDATION, "test": first_test}
    ends = {"train": first_test, "validation": total, "test": first_test + RELEASED_VALIDATION}
    for split, start in starts.items():
        if start + counts[split] > ends[split]:
            raise InputError(
                f"dataset {name}: key splits.{split}: found {counts[split]}, of the released order there are "
                f"{max(0, ends[split] - start)}"
            )
    return {split: tuple(range(start, start + counts[split])) for split, start in starts.items()}


def check_leakage(images: np.ndarray, chosen: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a digit that is in two splits, by index or by equal pixels."""
    owner: dict[bytes, tuple[str, int]] = {}
    for split in SPLITS:
        for index in chosen[split]:
            other, twin = owner.setdefault(images[index].tobytes(), (split, index))
            if other != split:
                raise InputError(
                    f"mnist: digit {index} of {split} is the same image as digit {twin} of {other}"
                )


def convert(found: Found) -> nib.Nifti1Image:
    """Turn the digits of a case: bytes (rows, columns, slices, frames), a frame per digit, a slice per rotation."""
    images, _ = read_digits(found.files)
    turned = [turn(images[index], angles(index, found.split)) for index in found.members]
    return upright(np.stack(turned))


def angles(index: int, split: str) -> np.ndarray:
    """The rotations of a digit in degrees: training digits begin at 0 to 14, so that r takes every whole number."""
    if split != "train":
        return TEST_STEP * np.arange(TEST_SLICES)
    return np.random.default_rng((ORDER_SEED, index)).integers(TRAIN_STEP) + TRAIN_STEP * np.arange(
        TRAIN_SLICES
    )


def turn(image: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """A digit (28, 28) padded to 32 and turned counter-clockwise, linear interpolation: (angles, 32, 32) uint8."""
    padded = np.pad(image, PAD).astype(np.float32)
    turned = [scipy.ndimage.rotate(padded, angle, reshape=False, order=1) for angle in degrees]
    return np.round(np.clip(turned, 0, 255)).astype(np.uint8)
