"""Finished models: exported, described, evaluated, and refused where they saw a test subject."""

import json
import re

import pytest
import torch
import yaml

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.common.errors import InputError
from interslice.config import load_method_settings, load_study
from interslice.methods import build_method, load_method
from interslice.steps.interpolate import refuse_seen
from interslice.steps.pretrained import export_model, write_card
from settings import ROOT, small_settings

COMMITTED = sorted((ROOT / "src" / "interslice" / "methods" / "pretrained").glob("*.pt"))


@pytest.fixture
def exported(tmp_path):
    """A model as the training rule leaves it, exported."""
    settings = small_settings("cae")
    torch.manual_seed(0)
    history = [
        {"step": step, "loss": 0.1, "validation_ssim": ssim, "validation_psnr": psnr}
        for step, ssim, psnr in [(30, 0.7123, 23.456), (60, 0.6, 20.0)]
    ]
    state = {
        "settings": settings, "seed": 5, "K": 4, "digest": "d", "subjects": ["A", "B"],
        "validation_subjects": ["V"], "best_step": 30,
        "history": history, "seconds": 5400.0, "compute_seconds": 5000.0, "updates": 60, "ended": "plateau",
        "weights": build_method(settings).network.state_dict(),
    }  # fmt: skip
    write_checkpoint(state, tmp_path / "model.pt")
    provenance = {"environment": {"git": {"commit": "0123456789abcdef"}}}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    export_model(
        tmp_path / "model.pt", tmp_path / "provenance.json", "t1", "gaussian", tmp_path / "cae_K4.pt"
    )
    return tmp_path / "cae_K4.pt"


def test_an_exported_model_loads_and_says_what_it_is(exported):
    state = read_checkpoint(exported)
    assert (state["dataset"], state["subjects"], state["commit"]) == ("t1", ["A", "B"], "0123456789abcdef")
    assert state["slice_profile"] == "gaussian"
    assert (state["updates"], state["compute_seconds"], state["ended"]) == (60, 5000.0, "plateau")
    loaded = load_method(small_settings("cae") | {"checkpoint": "x_K{K}.pt"}, exported)
    torch.testing.assert_close(
        loaded.network.state_dict(), read_checkpoint(exported.parent / "model.pt")["weights"]
    )


def test_the_card_has_the_scores_of_the_best_step(exported, tmp_path):
    write_card({"cae_K4": exported}, "heads", tmp_path / "README.md")
    card = (tmp_path / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith("| cae_K4"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        "4", "gaussian", "60", "plateau", "30", "4 x 16²", "float32", "1.4", "5", "0123456", "0.712", "23.46"
    ]  # fmt: skip
    assert "Not a medical device" in card
    assert "Training subjects: A, B of *heads*" in card
    assert "V picked the step" in card
    assert "--factor 4 --model cae_K4" in card
    assert "cae_residual" not in card, "a card names no model that is not there"


def test_the_committed_card_names_the_models_beside_it_and_methods_that_exist():
    card = (ROOT / "src" / "interslice" / "methods" / "pretrained" / "README.md").read_text()
    assert {path.stem for path in COMMITTED} == set(re.findall(r"^\| (\w+) +\|", card, re.MULTILINE)) - {
        "model"
    }
    assert set(re.findall(r"--model (\w+)", card)) <= {path.stem for path in COMMITTED}
    for method in re.findall(r"`(\w+_pretrained)`", card):
        assert (ROOT / "config" / "methods" / f"{method}.yaml").is_file(), method


def test_a_model_that_saw_a_test_subject_is_refused(exported):
    refuse_seen(exported, "t1", ["C", "D"])
    refuse_seen(exported, "acdc", ["A"])  # another dataset's A is another person
    with pytest.raises(InputError, match=r"cae_K4.pt: was trained on B, which the test split of t1 holds"):
        refuse_seen(exported, "t1", ["B", "C"])
    with pytest.raises(InputError, match=r"cae_K4.pt: was selected on V, which the test split of t1 holds"):
        refuse_seen(exported, "t1", ["V", "C"])
    silent = {key: value for key, value in read_checkpoint(exported).items() if key != "validation_subjects"}
    write_checkpoint(silent, exported.parent / "silent.pt")
    with pytest.raises(InputError, match=r"silent.pt: found no validation_subjects, needed"):
        refuse_seen(exported.parent / "silent.pt", "t1", ["C"])
    with pytest.raises(InputError, match="was trained on A, B"):
        refuse_seen(exported.parent / "model.pt", "t1", ["A", "B"])  # does not say its dataset


def test_a_finished_model_is_needed_for_every_factor():
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config |= {"methods": ["linear", "cae_pretrained"], "factors": [7]}
    with pytest.raises(
        InputError,
        match=r"cae_pretrained: key checkpoint: found no file src/interslice/methods/pretrained/cae_K7",
    ):
        load_study(config, ROOT)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_models_saw_no_test_subject_and_fit_their_method(path):
    name, _, factor = path.stem.partition("_K")
    state = read_checkpoint(path)
    dataset = yaml.safe_load((ROOT / "config" / "datasets" / "t1.yaml").read_text())
    assert path.stat().st_size < 5e6
    assert state["K"] == (int(factor) if factor else 4), "the factor that it was validated at"
    assert state["dataset"] == "t1"
    assert set(state["subjects"]) == set(dataset["splits"]["train"])
    assert set(state["validation_subjects"]) == set(dataset["splits"]["validation"])
    assert not set(state["subjects"]) & {*dataset["splits"]["test"], *dataset["splits"]["validation"]}
    load_method(load_method_settings(f"{name}_pretrained", ROOT), path)
