"""A training that is told to stop saves, leaves, and ends as if it had never been stopped."""

import os
import signal

import pytest

from interslice.common.checkpoints import read_checkpoint
from interslice.common.interruption import Interrupted, budget_of, interruptions
from interslice.training.loop import train
from settings import small_settings
from trainings import phantom_data, run_of, same_weights, timeless


def test_sigterm_is_noticed_and_does_not_end_the_process():
    before = signal.getsignal(signal.SIGTERM)
    with interruptions() as reason:
        assert reason() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert reason() == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_end_of_the_time_is_noticed(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("interslice.common.interruption.time.monotonic", lambda: now[0])
    with interruptions(90) as reason:
        now[0] += 89
        assert reason() is None
        now[0] += 2
        assert reason() == "the 90 s it was given are over"


@pytest.mark.parametrize(("minutes", "seconds"), [(5, 240), (120, 6840)])
def test_time_is_left_to_start_and_to_save(minutes, seconds):
    assert budget_of(minutes) == seconds


def test_a_training_told_to_stop_saves_at_that_step_and_ends_like_an_undisturbed_one(tmp_path, capsys):
    """Told at steps that are neither saved nor validated otherwise, and once at the last step, when it rather ends."""
    settings = small_settings("cae")
    volumes, pairs = phantom_data()
    whole = train(run_of(settings), volumes, pairs, resume=tmp_path / "whole.pt")
    resume, steps = tmp_path / "resume.pt", 0
    for last in (7, 33, 59):
        asked = iter([None] * (last - steps - 1) + ["SIGTERM"])
        with pytest.raises(
            Interrupted, match=rf"stopped after step {last} of 60 \(SIGTERM\); saved as .*resume.pt"
        ):
            train(
                run_of(settings), volumes, pairs, resume=resume, interrupted=lambda asked=asked: next(asked)
            )
        steps = read_checkpoint(resume)["state"]["step"]
        assert steps == last
    capsys.readouterr()
    continued = train(run_of(settings), volumes, pairs, resume=resume, interrupted=lambda: "SIGTERM")
    assert "goes on after step 59 of 60" in capsys.readouterr().out
    assert same_weights(whole["weights"], continued["weights"])
    assert timeless(whole)["history"] == timeless(continued)["history"]
    assert whole["best_step"] == continued["best_step"]
