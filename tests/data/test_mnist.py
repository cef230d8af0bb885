"""Rotated digits: which digit is in which split, which rotations a case has, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from digits import dataset, images, write_csv
from generators import write_idx
from interslice.common.errors import InputError
from interslice.common.schemas import read_yaml
from interslice.data.index import split_cases
from interslice.data.parts import low_part_of, part_of
from interslice.data.sources.mnist import angles, convert, find, turn
from interslice.data.volumes import open_volume
from interslice.steps.data import convert_split, decimate_shard, index_split, normalise_shard
from interslice.training.triplets import draw_batch
from settings import ROOT, small_settings


def found(tmp_path, digits, **changes):
    write_csv(tmp_path / "digits", digits)
    settings = dataset(tmp_path, **changes)
    return find(Path(settings["folder"]), settings)


def test_no_digit_is_in_two_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("interslice.data.sources.mnist.BLOCK", 5)
    cases = found(tmp_path, images())
    sizes = [(case.subject.split("-")[0], case.split, len(case.members)) for case in cases]
    assert sizes[:3] == [("train", "train", 5), ("train", "train", 3), ("validation", "validation", 2)]
    assert sizes[3:] == [("digit", "test", 1)] * 3
    members = [digit for case in cases for digit in case.members]
    assert len(members) == len(set(members)) == 13
    assert {case.subject: split for split, case in split_cases(dataset(tmp_path), "")} == {
        case.subject: case.split for case in cases
    }


def test_the_default_takes_that_many_digits():
    """2,000 digits for training, 20 to choose the checkpoint, 100 test digits, as in the paper's architecture study."""
    settings = read_yaml(ROOT / "config" / "datasets" / "mnist.yaml")
    assert settings["splits"] == {"train": 2000, "validation": 20, "test": 100}
    assert read_yaml(ROOT / "config" / "datasets" / "mnist_idx.yaml")["splits"]["test"] == 100


def test_equal_pictures_in_two_splits_are_refused(tmp_path):
    twins = np.concatenate([images()[:5]] * 3)
    with pytest.raises(InputError, match=r"mnist: digit \d+ of \w+ is the same image as digit \d+ of train"):
        found(tmp_path, twins)


def test_too_few_digits_and_other_tables_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"key splits: found 9 digits for training and 3 for tests, the counts need 8 \+ 2"
    ):
        found(tmp_path, images()[:12])
    (tmp_path / "digits" / "digits.csv.gz").unlink()
    (tmp_path / "digits" / "digits.csv").write_text("1,2,3\n4,5,6\n")
    settings = dataset(tmp_path)
    with pytest.raises(InputError, match=r"found a table of shape \(2, 3\), allowed are 785 columns"):
        find(Path(settings["folder"]), settings)


def test_test_digits_of_the_original_files_are_those_of_the_test_file(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte", images()[:20])
    write_idx(folder / "t10k-images-idx3-ubyte.gz", images()[20:])
    settings = dataset(tmp_path)
    members = {case.split: [] for case in find(folder, settings)}
    for case in find(folder, settings):
        members[case.split] += case.members
    assert min(members["test"]) >= 20 > max(members["train"] + members["validation"])
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    assert find(folder, settings) == []


def test_training_rotations_are_fifteen_degrees_apart_from_every_whole_degree_on():
    rotations = np.array([angles(digit, "train") for digit in range(300)])
    assert (np.diff(rotations, axis=1) == 15).all()
    first_of_triplets = rotations[:, :-2]
    assert set(first_of_triplets.ravel()) == set(range(330))
    np.testing.assert_array_equal(angles(3, "test"), np.arange(36) * 10)


def test_digits_are_turned_counter_clockwise_about_the_centre():
    turned = turn(images()[0], np.array([0, 90, 180]))
    assert turned.shape == (3, 32, 32)
    np.testing.assert_array_equal(turned[0], np.pad(images()[0], 2))
    np.testing.assert_allclose(turned[1].astype(int), np.rot90(turned[0]), atol=1)
    np.testing.assert_allclose(turned[2].astype(int), np.rot90(turned[0], 2), atol=1)


def test_the_data_rules_keep_training_rotations_and_thin_out_test_rotations(tmp_path):
    """Neighbours of training triplets are 15 degrees apart, those of the test 40 with three rotations between."""
    write_csv(tmp_path / "digits", images())
    settings = dataset(tmp_path)
    for split in ("train", "test"):
        part, converted, index = (
            part_of(settings, split),
            tmp_path / "converted" / split,
            tmp_path / f"{split}.csv",
        )
        convert_split(part, split, "", converted, 1)
        index_split(part, split, "", converted, index, tmp_path / "excluded.csv", 1)
        normalise_shard(index, 0, 1, settings, "made", tmp_path / "normal" / split, 1)
        decimate_shard(
            tmp_path / "normal" / split, 4, low_part_of(settings, split), tmp_path / "low" / split, 1
        )
    train = open_volume(tmp_path / "low" / "train" / "train-000.nii").data
    assert train.shape == (8, 24, 32, 32)
    assert train.max() == 1
    cases = {case.subject: case for case in find(Path(settings["folder"]), settings)}
    digit = cases["train-000"].members[2]
    expected = np.rot90(turn(images()[digit], angles(digit, "train")), -1, axes=(1, 2))  # x right, y up
    np.testing.assert_allclose(train[2] / train[2].max(), expected / expected.max(), atol=0.01)
    name = next(subject for subject in cases if subject.startswith("digit-"))
    low = open_volume(tmp_path / "low" / "test" / f"{name}.nii").data
    reference = open_volume(tmp_path / "normal" / "test" / f"{name}.nii").data
    assert (reference.shape, low.shape) == ((1, 36, 32, 32), (1, 9, 32, 32))
    np.testing.assert_array_equal(low, reference[:, ::4])
    drawn = convert(cases[name]).get_fdata()
    assert drawn.shape == (32, 32, 36, 1)
    training = small_settings("cae")["training"] | {"contrast": False, "crop": 32}
    assert draw_batch([train], training, 0, 0)[0].shape == (4, 3, 32, 32)


@pytest.mark.parametrize(
    "names",
    [
        ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
    ],
)
def test_the_released_digits_and_the_names_of_both_kinds_of_mirrors(tmp_path, monkeypatch, names):
    """Each file in a folder of its own, as it is unpacked; validation digits come from the test file."""
    monkeypatch.setattr("interslice.data.sources.mnist.RELEASED_VALIDATION", 6)
    many = images()
    for name, part in zip(names, (many[:8], many[8:20]), strict=True):
        (tmp_path / "digits" / "MNIST" / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        write_idx(tmp_path / "digits" / "MNIST" / "raw" / name, part)
    settings = dataset(tmp_path, splits={"order": "released", "train": 8, "validation": 3, "test": 2})
    members = {}
    for case in find(tmp_path / "digits", settings):
        members.setdefault(case.split, []).extend(case.members)
    assert members == {"train": list(range(8)), "validation": [14, 15, 16], "test": [8, 9]}
    many_more = dataset(tmp_path, splits={"order": "released", "train": 8, "validation": 7, "test": 2})
    with pytest.raises(InputError, match="key splits.validation: found 7, of the released order there are 6"):
        find(tmp_path / "digits", many_more)
