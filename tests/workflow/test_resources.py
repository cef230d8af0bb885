"""What a run on one machine may use, and that a key of the command line does not replace the results of a study's file."""

import re

import pytest


@pytest.fixture(scope="module")
def checkout(new_checkout):
    return new_checkout()


@pytest.mark.parametrize(
    ("visible", "options", "limit"),
    [("0,1", [], "2"), ("", [], None), ("0", ["--resources", "gpu=3"], "3")],
)
def test_no_more_trainings_than_gpus_unless_told(checkout, monkeypatch, visible, options, limit):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    run = checkout.snakemake(*options, "--cores", "4", "check_data")
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    assert re.findall(r"Provided resources: .*\bgpu=\D*(\d+)", output) == ([limit] if limit else [])


def test_a_training_asks_for_a_gpu(checkout):
    plan = checkout.snakemake("--dry-run").stdout
    trainings = re.findall(r"^rule train_method:.*?^    resources: (.*?)$", plan, re.MULTILINE | re.DOTALL)
    assert ["gpu=1" in resources for resources in trainings] == [True, True]


def test_a_key_of_the_command_line_does_not_replace_results(checkout):
    run = checkout.snakemake("--dry-run", "--config", "factors=[3]")
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert (
        "key factors: changed on the command line, which would replace the results of study tiny; add study=NAME"
        in output
    )
    assert "Traceback" not in output
