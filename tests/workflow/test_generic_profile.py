"""profiles/generic with stand-ins for the schedulers: what they are asked, and what is made of their answers."""

import os
import re
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from settings import ROOT

PROFILE = (ROOT / "profiles/generic/config.yaml").read_text()
COMMANDS = {"pbs": yaml.safe_load(PROFILE)}
for scheduler, text in zip(
    ("sge", "lsf"), re.split(r"^# (?=\S)", PROFILE, flags=re.MULTILINE)[-2:], strict=True
):
    COMMANDS[scheduler] = yaml.safe_load(
        re.sub("^# ", "", "\n".join(text.splitlines()[1:]), flags=re.MULTILINE)
    )
ASKED = {
    "pbs": "-j oe -o .snakemake/ -l select=1:ncpus=2:mem=3000mb -l walltime=2700 -q night job.sh",
    "sge": "-terse -cwd -j y -o .snakemake/ -S /bin/bash -pe smp 2 -l h_vmem=1500M,h_rt=2700 -q night job.sh",
    "lsf": "-n 2 -R span[hosts=1] -M 3000MB -W 45 -o .snakemake/%J.log -q night job.sh",
}
RUNNING_IN_SGE = "job-ID prior name user state\n 7 0.5 snakejob me r\n"
# As in the manuals of OpenPBS (qstat -x -f), Grid Engine (qstat, qacct -j) and LSF (bjobs -o stat).
ANSWERS = [
    ("pbs", {"qstat": "Job Id: 7.host\n    job_state = Q\n    queue = workq"}, "running"),
    ("pbs", {"qstat": "Job Id: 7.host\n    job_state = E\n"}, "running"),
    ("pbs", {"qstat": "Job Id: 7.host\n    job_state = F\n    Exit_status = 0"}, "success"),
    ("pbs", {"qstat": "Job Id: 7.host\n    job_state = F\n    Exit_status = 271"}, "failed"),
    ("pbs", {"qstat": "Job Id: 7.host\n    job_state = F\n    comment = deleted before it ran"}, "failed"),
    ("pbs", {"qstat": ""}, "failed"),
    ("sge", {"qstat": RUNNING_IN_SGE}, "running"),
    ("sge", {"qstat": RUNNING_IN_SGE.replace(" r\n", " Eqw\n")}, "failed"),
    ("sge", {"qstat": RUNNING_IN_SGE.replace(" 7 ", " 77 "), "qacct": "failed 0\nexit_status 0"}, "success"),
    ("sge", {"qstat": "", "qacct": "failed       0    \nexit_status  1   "}, "failed"),
    ("sge", {"qstat": "", "qacct": "failed       100 : assumedly after job\nexit_status  0"}, "failed"),
    ("sge", {"qstat": "", "qacct": ""}, "failed"),
    ("lsf", {"bjobs": "PEND"}, "running"),
    ("lsf", {"bjobs": "USUSP"}, "running"),
    ("lsf", {"bjobs": "DONE"}, "success"),
    ("lsf", {"bjobs": "EXIT"}, "failed"),
    ("lsf", {"bjobs": ""}, "failed"),
]


def stand_in(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)


def environment(folder):
    return os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STATUS_PAUSE": "0",
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.parametrize("scheduler", COMMANDS)
def test_the_scheduler_is_asked_for_what_the_job_needs_and_gives_one_identifier(scheduler, tmp_path):
    answers = {"pbs": "7.host", "sge": "7", "lsf": "Job <7> is submitted to queue <normal>."}
    for name in ("qsub", "bsub"):
        stand_in(tmp_path / "bin", name, f"printf '%s ' \"$@\" > asked.txt; echo '{answers[scheduler]}'")
    resources = SimpleNamespace(mem_mb=3000, runtime=45, gpu=0, options="-q night")
    command = COMMANDS[scheduler]["cluster-generic-submit-cmd"].format(threads=2, resources=resources)
    run = subprocess.run(
        f'{command} "job.sh"',
        shell=True,
        cwd=tmp_path,
        env=environment(tmp_path / "bin"),
        capture_output=True,
        text=True,
    )
    assert (run.stdout.strip(), run.stderr) == (answers[scheduler] if scheduler != "lsf" else "7", "")
    assert (tmp_path / "asked.txt").read_text().strip() == ASKED[scheduler]


@pytest.mark.parametrize(("scheduler", "answers", "status"), ANSWERS)
def test_the_schedulers_answer_becomes_one_of_three_words(scheduler, answers, status, tmp_path):
    for name, answer in answers.items():
        (tmp_path / f"{name}.txt").write_text(answer)
        stand_in(tmp_path / "bin", name, f"cat {tmp_path}/{name}.txt")
    command = f"{COMMANDS[scheduler]['cluster-generic-status-cmd']} '7'"
    run = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment(tmp_path / "bin"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == (f"{status}\n", "")
