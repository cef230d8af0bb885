"""What the names of folders of volumes depend on, and what they do not."""

import pytest
import yaml

from interslice.common.schemas import read_yaml
from interslice.data.dataset_files import load_dataset
from interslice.data.parts import key_of, low_part_of, part_of
from settings import ROOT, study_of


def dataset(**changes):
    schema = read_yaml(ROOT / "workflow/schemas/dataset.schema.yaml")
    return load_dataset("t1", schema, ROOT) | changes


def changed(split, **changes):
    """Whether the reference volumes and the low-resolution volumes of a split have another name."""
    before, after = dataset(), dataset(**changes)
    return tuple(key_of(part(before, split)) != key_of(part(after, split)) for part in (part_of, low_part_of))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Another"},
        {"figure_subject": "MRS"},
        {"factors": [2, 3]},
        {"shards": 4},
        {"score_px": 100},
        {"validation_frames": [0]},
        {"expected": 9},
        {"trained_on": "other"},
        {"access": {"page": "p", "terms": "t", "files": "f"}},
    ],
)
def test_what_makes_no_other_volumes_changes_no_name(changes):
    assert changed("train", **changes) == changed("test", **changes) == (False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"intensity": {"scaling": "percentile", "low": 1, "high": 99, "per": "volume"}},
        {"crop": {"margin_mm": 5, "centre_px": None}},
        {"background": "zero"},
        {"pad_px": 256},
        {"in_plane_mm": 2.0},
        {"slice_axis": "coronal"},
        {"folder": "elsewhere"},
        {"on_bad_case": "leave_out"},
        {"splits": {"train": 2, "validation": 1, "test": 5}},
    ],
)
def test_what_makes_other_volumes_changes_both(changes):
    assert changed("train", **changes) == changed("test", **changes) == (True, True)


def test_degradations_of_the_same_scans_share_their_references_and_models_are_trained_on_each():
    found = study_of()
    for split in ("train", "validation", "test"):
        thick, thin = (found.datasets[name] for name in ("t1_gaussian", "t1"))
        assert part_of(thick, split) == part_of(thin, split)
        assert key_of(low_part_of(thick, split)) != key_of(low_part_of(thin, split))
    shifted = study_of("misalignment.yaml").datasets["t1_shifted"]
    assert part_of(shifted, "test") == part_of(thin, "test") != part_of(shifted, "train")


@pytest.mark.parametrize("changes", [{"slice_profile": "gaussian"}, {"slice_shift": {"mm": 1.0, "seed": 1}}])
def test_what_makes_other_low_resolution_volumes_leaves_the_references(changes):
    assert changed("test", **changes) == (False, True)


def test_splits_that_are_lists_are_apart():
    splits = dataset()["splits"]
    more = {"splits": splits | {"test": [*splits["test"], "CSI9"]}}
    assert changed("test", **more) == (True, True)
    assert changed("train", **more) == changed("validation", **more) == (False, False)
    assert changed("test", already_low=["train"]) == (False, False)
    assert changed("train", already_low=["train"]) == (False, True)


def test_factors_count_where_a_volume_may_be_left_out_for_one():
    one, two = (dataset(on_bad_case="leave_out", factors=factors) for factors in ([2], [2, 6]))
    assert key_of(part_of(one, "test")) != key_of(part_of(two, "test"))


def test_the_order_of_keys_is_none():
    text = (ROOT / "config/datasets/t1.yaml").read_text()
    content = yaml.safe_load(text)
    assert key_of(content) == key_of(dict(reversed(content.items())))
    assert len(key_of(content)) == 10
