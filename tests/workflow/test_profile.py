"""What jobs ask a scheduler for, and the profile, without a cluster; with one: tests/cluster."""

import re

import pytest
import yaml

from settings import ROOT

RULES = "".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
SCRIPTED = {
    block.split(":")[0].removeprefix("rule "): block
    for block in re.split(r"^(?=rule )", RULES, flags=re.MULTILINE)
    if block.startswith("rule ") and "    script:" in block
}


def is_local(rule):
    return "localrule: True" in SCRIPTED[rule]


@pytest.mark.parametrize("rule", [rule for rule in SCRIPTED if not is_local(rule)])
def test_every_job_of_a_cluster_asks_for_memory_and_time_from_the_configuration(rule):
    (step,) = set(re.findall(r'(?:mem_mb=memory_of|runtime=minutes_of)\("(\w+)"\)', SCRIPTED[rule]))
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert step in config["memory_mb"]
    assert step in config["minutes"]
    assert "mem_mb=" in SCRIPTED[rule]
    assert "runtime=" in SCRIPTED[rule]


def test_trainings_and_evaluations_ask_for_the_gpus_of_the_configuration():
    asking = {rule: re.findall(r'gpu=config\["gpus"\]\["(\w+)"\]', SCRIPTED[rule]) for rule in SCRIPTED}
    evaluations = ["interpolate_volumes", "score_method", "score_as_published"]
    expected = {"train_method": ["train"], **{rule: ["evaluate"] for rule in evaluations}}
    assert {rule: found for rule, found in asking.items() if found} == expected


def test_the_profile_retries_keeps_going_and_asks_squeue():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert profile["retries"] >= 2
    assert profile["keep-going"] is True
    assert profile["rerun-incomplete"] is True
    assert profile["latency-wait"] >= 30
    assert profile["slurm-status-command"] == "squeue"
    assert "default-resources" not in profile, "partition and account are the user's"
