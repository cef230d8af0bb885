"""The tiny study through profiles/slurm on a real cluster: where jobs ran, what they were given, what came out."""

import itertools

import pytest
from studies import SETTINGS, SMALL, same_tables
from tiny_study import write_tiny_study

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def through_slurm(cluster, tmp_path_factory, resources):
    """The whole study, run through the profile; with the jobs that the cluster remembers of it."""
    checkout = write_tiny_study(tmp_path_factory.mktemp("cluster"), resources)
    run = checkout.snakemake(*SETTINGS, *SMALL)
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout, cluster.jobs()


def test_every_job_went_through_slurm_once(through_slurm):
    _, jobs = through_slurm
    rules = [job.rule for job in jobs]
    assert {rule: rules.count(rule) for rule in set(rules)} == {
        "index_dataset": 3,
        "check_splits": 1,
        "normalise_volumes": 3,
        "decimate_volumes": 3,
        "train_method": 4,
        "interpolate_volumes": 7,
        "score_method": 7,
        **dict.fromkeys(["collect_scores", "collect_budgets", "recheck_scores", "compare_methods"], 1),
        **dict.fromkeys(["tabulate_results", "write_page"], 1),
        **dict.fromkeys(["plot_boxes", "plot_factor", "plot_panel", "plot_training", "pack_viewer"], 1),
    }
    assert {job.state for job in jobs} == {"COMPLETED"}


def test_trainings_ran_on_the_gpu_node_with_a_gpu_of_their_own(through_slurm):
    _, jobs = through_slurm
    trainings = [job for job in jobs if job.rule == "train_method"]
    assert {job.node for job in trainings} == {"gpu1"}
    assert all(len(job.gpus) == 1 for job in trainings)
    others = [job for job in jobs if job.rule != "train_method"]
    assert {job.node for job in others} <= {"cpu1", "cpu2"}
    assert not any(job.gpus for job in others)


def test_two_trainings_ran_at_the_same_time(through_slurm):
    _, jobs = through_slurm
    trainings = [job for job in jobs if job.rule == "train_method"]
    together = [
        (one, other)
        for one, other in itertools.combinations(trainings, 2)
        if one.started < other.ended and other.started < one.ended
    ]
    assert together
    assert all(one.gpus != other.gpus for one, other in together), "no GPU is shared"


def test_the_tables_are_those_of_a_run_on_one_machine(through_slurm, undisturbed):
    same_tables(undisturbed, through_slurm[0])
    assert (through_slurm[0].folder / "results/tiny/report/index.html").exists()


def test_small_trainings_are_packed_on_one_gpu(through_slurm, cluster):
    """The option of docs/cluster.md: four trainings in one job that has one GPU."""
    checkout, before = through_slurm
    packed = ["--groups", "train_method=training", "--group-components", "training=4"]
    packed += [
        "--set-resources",
        "train_method:gpu=0",
        "train_method:gres=gpu:1",
        "train_method:slurm_partition=gpu",
    ]
    models = sorted(
        str(path.relative_to(checkout.folder)) for path in (checkout.folder / "results").rglob("model.pt")
    )
    assert len(models) == 4
    ages = [(checkout.folder / model).stat().st_mtime_ns for model in models]
    run = checkout.snakemake(
        *SETTINGS, *packed, "--forcerun", "train_method", "--until", "train_method", *SMALL
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (job,) = cluster.jobs()[len(before) :]
    assert (job.node, len(job.gpus), job.state) == ("gpu1", 1, "COMPLETED")
    assert all(
        (checkout.folder / model).stat().st_mtime_ns > age for model, age in zip(models, ages, strict=True)
    )
