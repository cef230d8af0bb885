"""The record of a training as it is written beside its model."""

import json

import pytest

from interslice.common.errors import InputError
from interslice.training.record import read_record

FACTS = {
    "updates": 1250,
    "best_step": 1200,
    "seconds": 900.5,
    "compute_seconds": 1700.2,
    "settings": {"steps": 5000},
}


@pytest.mark.parametrize(
    ("ended", "marked", "words"),
    [("plateau", False, "ended at a plateau"), ("budget", True, "ended at its budget, not a plateau")],
)
def test_a_row_that_ended_at_its_budget_is_marked(tmp_path, ended, marked, words):
    (tmp_path / "provenance.json").write_text(json.dumps(FACTS | {"ended": ended}))
    record = read_record(tmp_path / "provenance.json")
    assert record.marked == marked
    assert record.sentence("12 triplets") == f"1,250 updates of 12 triplets in 1,700 s, {words}"


def test_a_file_of_an_older_version_is_refused(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps(FACTS))
    with pytest.raises(InputError, match=r"provenance.json: found no ended"):
        read_record(tmp_path / "provenance.json")
