"""Counts of subjects and a folder that changes: nobody moves from one split to another unsaid."""

import pytest

from interslice.common.errors import InputError
from interslice.data.split_records import counted, record_of, record_splits, refuse_moves
from interslice.data.splits import assign_splits, read_split_file

COUNTS = {"train": 2, "validation": 1, "test": "rest"}


@pytest.fixture
def dataset(tmp_path):
    """A folder of five (empty) scans, split by counts; records go to another folder."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in "bdfhj":
        (folder / f"{name}.nii").touch()
    return {"name": "mine", "source": "folder", "folder": str(folder), "pattern": None, "splits": COUNTS}


@pytest.fixture
def records(tmp_path):
    return tmp_path / "records"


def add(dataset, name):
    open(f"{dataset['folder']}/{name}.nii", "w").close()


def test_the_record_is_a_split_file_of_the_same_assignment(dataset, records):
    record_splits(dataset, "", records)
    record = record_of(dataset, records)
    assert read_split_file(record) == dict(
        zip("bdfhj", ["train", "train", "validation", "test", "test"], strict=True)
    )
    add(dataset, "a")
    kept = dataset | {"splits": {"file": str(record)}}
    assert assign_splits([], kept) == read_split_file(record), "the way out that the sentence names"
    refuse_moves(kept, "", records)


def test_a_subject_that_moves_others_is_refused_before_anything_is_written(dataset, records):
    record_splits(dataset, "", records)
    before = record_of(dataset, records).read_bytes()
    add(dataset, "c")
    with pytest.raises(
        InputError,
        match=r"dataset mine: key splits: .* 2 would change their split \(d from train to validation\); write lists",
    ) as raised:
        refuse_moves(dataset, "", records)
    assert "\n" not in str(raised.value)
    assert record_of(dataset, records).read_bytes() == before


def test_a_subject_that_goes_moves_others_too(dataset, records):
    record_splits(dataset, "", records)
    (records.parent / "scans" / "b.nii").unlink()
    with pytest.raises(InputError, match=r"f from validation to train"):
        refuse_moves(dataset, "", records)


def test_a_subject_that_falls_out_of_every_split_has_moved(dataset, records):
    fixed = dataset | {"splits": {"train": 1, "validation": 1, "test": 3}}
    record_splits(fixed, "", records)
    add(dataset, "z")
    with pytest.raises(InputError, match=r"f from test to none"):
        refuse_moves(fixed, "", records)


def test_a_subject_that_moves_nobody_is_let_in_and_recorded(dataset, records):
    record_splits(dataset, "", records)
    add(dataset, "z")
    refuse_moves(dataset, "", records)
    record_splits(dataset, "", records)
    assert read_split_file(record_of(dataset, records))["z"] == "test"


def test_other_counts_are_wanted(dataset, records):
    record_splits(dataset, "", records)
    refuse_moves(dataset | {"splits": COUNTS | {"train": 1}}, "", records)
    refuse_moves(dataset | {"splits": COUNTS | {"order": "grouped"}}, "", records)


@pytest.mark.parametrize(
    "changes",
    [
        {"splits": {"train": ["b"], "validation": ["d"], "test": ["f"]}},
        {"splits": {"file": "list.csv"}},
        {"source": "lines", "splits": {"train": 1, "validation": 1, "test": 1}},
        {"folder": "nowhere"},
        {"splits": {"train": 9, "validation": 1, "test": 1}},
    ],
)
def test_nothing_is_recorded_where_counts_do_not_decide(dataset, records, changes):
    assert counted(dataset | changes, "") == {}
    record_splits(dataset | changes, "", records)
    assert not records.exists()
