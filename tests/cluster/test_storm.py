"""Snakemake killed, a training out of memory, cancelled, out of time, a node lost: all in one run, because a job costs seconds.

Each test looks at the traces of one fault. The run ends with the tables of an undisturbed one.
"""

import pytest
from storm import HELD_AT, kill_snakemake_and_recover, make_weather, prepare
from studies import same_tables

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def storm(cluster, undisturbed, tmp_path_factory):
    storm = prepare(undisturbed, tmp_path_factory.mktemp("storm") / "study", cluster)
    kill_snakemake_and_recover(storm)
    make_weather(storm)
    return storm


def attempts(storm, fault):
    """The jobs of the training that a fault struck, from that one on."""
    victim = storm.struck[fault]
    jobs = [job for job in storm.cluster.jobs() if job.comment == victim.comment]
    return [job for job in jobs if int(job.number) >= int(victim.number)]


def test_the_tables_are_those_of_an_undisturbed_run(storm, undisturbed):
    same_tables(undisturbed, storm.checkout)


def test_nothing_unfinished_is_left(storm):
    results = storm.checkout.folder / "results"
    assert not list(results.rglob(".partial-*"))
    assert not list(results.rglob("resume.pt"))
    assert not list(results.rglob("*_resume"))


@pytest.mark.parametrize("number", [0, 1])
def test_the_jobs_of_a_killed_snakemake_are_ended_and_go_on_from_where_they_were(storm, number):
    first, *others = attempts(storm, f"orphan {number}")
    assert first.state == "CANCELLED"
    assert "ended 0 local and 4 SLURM jobs" in storm.recovery
    assert [job.state for job in others] == ["COMPLETED"]
    assert f"goes on after step {HELD_AT + 1} of 6" in storm.log_of(first), (
        "saved at the step at which it was told to end"
    )


def test_a_training_over_its_memory_gets_more_and_goes_on_from_its_checkpoint(storm):
    first, second, *_ = attempts(storm, "memory")
    assert first.state in ("FAILED", "OUT_OF_MEMORY", "CANCELLED")
    assert second.memory_mb == 2 * first.memory_mb
    assert f"goes on after step {HELD_AT} of 6" in storm.logs["cancelled"], "it had no time to save"


def test_a_cancelled_training_is_tried_again_and_goes_on_from_where_it_was(storm):
    first, second = attempts(storm, "cancelled")
    assert (first.state, second.state) == ("CANCELLED", "COMPLETED")
    assert f"goes on after step {HELD_AT + 1} of 6" in storm.log_of(first)


def test_a_training_out_of_time_gets_more_and_goes_on_from_where_it_was(storm):
    first, second = attempts(storm, "time")
    assert (first.state, second.state) == ("TIMEOUT", "COMPLETED")
    assert second.minutes == "04:00:00", "twice what the first asked for"
    assert f"goes on after step {HELD_AT + 1} of 6" in storm.log_of(first)


def test_the_jobs_of_a_lost_node_are_done_on_another(storm):
    lost = storm.struck["node"]
    last = attempts(storm, "node")[-1]
    assert last.state == "COMPLETED"
    assert last.node in {"cpu1", "cpu2"} - {lost.node}
