"""The methods paragraph: what it says of methods from elsewhere, about which nothing here knows more than their settings."""

import pandas as pd
import pytest
import yaml

from interslice.common.provenance import environment_record
from interslice.report.methods_text import methods_paragraph
from settings import study_of


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"method": "external", "command": "true {input} {output}", "learns_from": "scan"},
            "Theirs: a program from elsewhere that learns from the scan that it is given, as its settings say.",
        ),
        (
            {"method": "precomputed", "results": "there/{subject}.nii.gz", "learns_from": "high"},
            "Theirs: results that were made elsewhere, by something that has learned from high-resolution scans",
        ),
    ],
)
def test_methods_from_elsewhere_are_said_with_what_they_learned_from(tmp_path, settings, sentence):
    path = tmp_path / "theirs.yaml"
    path.write_text(yaml.safe_dump({"label": "Theirs", "role": "baseline"} | settings))
    study = study_of(methods=["linear", str(path)]).resolved
    tests = pd.DataFrame({"dataset": [], "n": [], "role": []})
    assert sentence in methods_paragraph(study, tests, environment_record())


@pytest.mark.parametrize(("scored", "said"), [("alex", True), ("vgg", False)])
def test_a_score_that_was_also_a_training_loss_is_said(scored, said):
    study = study_of(
        methods=["linear", "cae_mse", "cae"],
        evaluation={"metrics": ["ssim", "lpips"], "gap_step": 1, "lpips": scored},
    ).resolved
    tests = pd.DataFrame({"dataset": [], "n": [], "role": []})
    text = methods_paragraph(study, tests, environment_record())
    assert ("(alex) that was also in the training loss of CAE, in whose favour" in text) == said
    assert "loss of CAE, no" not in text


def test_a_training_that_time_or_a_plateau_ends_is_not_said_to_use_up_its_steps():
    tests = pd.DataFrame({"dataset": [], "n": [], "role": []})
    limits = {"steps": 1000, "seconds": 90.0, "until": "plateau", "schedule": "decay"}
    for training, said in (
        ({"steps": 1000}, "CAE: 1,000 updates of 4 triplets, crops"),
        (
            limits,
            "CAE: at most 1,000 updates of 4 triplets, ended before that after 90 s of the processor or at a plateau",
        ),
    ):
        study = study_of(methods=["linear", "cae"], training=training).resolved
        assert said in methods_paragraph(study, tests, environment_record())
