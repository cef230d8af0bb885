"""Jobs through profiles/generic, of a scheduler that is a background shell."""

import os
import re
import sys

import pytest
from test_generic_profile import stand_in
from tiny_study import write_tiny_study


@pytest.mark.cluster
@pytest.mark.timeout(180)  # Snakemake asks for ever after a job of which no answer comes
def test_a_group_runs_through_the_profile_in_its_container_after_an_attempt_that_was_killed(
    resources, tmp_path, monkeypatch
):
    """The scheduler is a background shell that kills the first job; apptainer runs what it is given, without an image."""
    checkout = write_tiny_study(tmp_path, resources, ["cae"])
    place = checkout.folder
    stand_in(
        place / "bin",
        "qsub",
        'for script; do :; done; echo "$*" >> asked.txt; number=$(wc -l < asked.txt)\n'
        "if [ $number = 1 ]; then echo 271 > ended.1; else\n"
        '(sh "$script" > log; echo $? > ended.$number) > /dev/null 2>&1 < /dev/null & fi; echo $number',
    )
    stand_in(
        place / "bin",
        "qstat",
        'if [ -e ended.$3 ]; then echo "job_state = F"; echo "Exit_status = $(cat ended.$3)"; else echo "job_state = R"; fi',
    )
    stand_in(
        place / "bin",
        "apptainer",
        'if [ "$1" = --version ]; then echo "apptainer version 1.3.0"; exit; fi\n'
        'echo "${@: -4:1}" >> images.txt; exec bash -c "${@: -1}"',
    )
    stand_in(place / "bin", "python", f'exec {sys.executable} "$@"')  # the image's own
    (place / "envs" / "torch.sif").touch()
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    options = ["--groups", "index_dataset=all", "--group-components", "all=3", "--sdm", "apptainer"]
    options += ["--set-resources", "index_dataset:options='-q night'", "--seconds-between-status-checks", "1"]
    run = checkout.snakemake("--profile", "profiles/generic", *options, "--until", "index_dataset")
    assert run.returncode == 0, run.stdout + run.stderr
    asked = [
        re.findall(r"mem=(\d+)mb .*walltime=(\d+) (.*) /", line)[0] for line in (place / "asked.txt").open()
    ]
    assert asked == [("6000", "1800", "-q night"), ("12000", "3600", "-q night")], (
        "three jobs in one, then twice as much"
    )
    assert (place / "images.txt").read_text().split() == ["envs/torch.sif"] * 3
    assert len(list((place / "results/index_dataset/phantoms").glob("*_excluded.csv"))) == 3
