"""Rates and ends of trainings: by steps, by seconds, at a plateau."""

import math

import pytest

from interslice.config import load_method_settings
from interslice.training.schedule import State, advance, is_plateau, rate_share
from settings import ROOT

DECAY = {
    "steps": 1000, "seconds": None, "until": "steps", "patience": 3, "min_gain": 0.1, "warmup_steps": 10,
    "schedule": "decay", "decay": 0.25, "select": "psnr",
}  # fmt: skip


def run(training, score=lambda step: 0.0, every=50, pace=1.0):
    """The shares of the peak rate and the state at the end of a training whose validation scores are a function of the step."""
    state, shares = State(), []
    while True:
        shares.append(rate_share(training, state))
        state.step += 1
        state.compute_seconds += pace
        if state.step % every == 0:
            state.history.append({"step": state.step, "validation_psnr": score(state.step)})
        if advance(state, training):
            return shares, state


def test_cosine_and_constant():
    training = DECAY | {"schedule": "cosine", "steps": 110}
    shares, state = run(training)
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == pytest.approx(1)
    assert shares[60] == pytest.approx(0.5)
    assert shares[109] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert (len(shares), state.ended) == (110, "budget")
    released = load_method_settings("cae_released", ROOT)["training"]
    assert released["learning_rate"] == 1e-5
    assert rate_share(released, State()) == rate_share(released, State(step=1_199_999)) == 1


def test_without_a_plateau_the_fall_is_the_last_share_of_the_steps():
    shares, state = run(DECAY)
    assert (len(shares), state.ended, state.decay_from) == (1000, "budget", 750)
    assert shares[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert set(shares[10:750]) == {1.0}
    assert shares[750:] == pytest.approx([1 - step / 250 for step in range(250)])


def test_a_plateau_starts_the_fall_and_the_training_ends_after_it():
    """The score rises until 300: after three validations without a gain comes a fall of a quarter of the whole."""
    shares, state = run(DECAY | {"until": "plateau"}, score=lambda step: min(step, 300))
    assert (state.ended, state.decay_from) == ("plateau", 450)
    assert len(shares) == state.last == 600
    assert shares[449] == shares[450] == 1
    assert shares[-1] == pytest.approx(1 / 150)


def test_a_rise_below_the_stated_gain_is_none():
    slow = DECAY | {"until": "plateau", "min_gain": 10.0}
    assert run(slow, score=lambda step: step * 0.06)[1].ended == "plateau"  # 9 in three validations
    assert run(slow, score=lambda step: step * 0.07)[1].ended == "budget"  # 10.5
    assert not is_plateau([1.0, 2.0, 2.05], 2, 0.1)
    assert is_plateau([2.0, 2.05, 2.09], 2, 0.1)
    assert not is_plateau([2.0, 2.0], 2, 0.0)  # as many validations as the patience say nothing yet
    assert is_plateau([2.0, 1.9, 1.9], 2, 0.0)
    assert not is_plateau([2.0, 1.0, 2.0], 2, 0.0)  # with no gain asked for, as good is good enough


def test_constant_ends_at_the_plateau():
    shares, state = run(
        DECAY | {"schedule": "constant", "until": "plateau"}, score=lambda step: min(step, 300)
    )
    assert (len(shares), state.ended, state.decay_from) == (450, "plateau", None)


def test_seconds_bound_every_schedule():
    shares, state = run(DECAY | {"seconds": 200.0}, pace=0.5)
    assert (state.ended, state.decay_from, len(shares)) == ("budget", 300, 400)
    assert shares[-1] == pytest.approx(1 / 100)
    for schedule in ("constant", "cosine"):
        shares, state = run(DECAY | {"schedule": schedule, "seconds": 200.0}, pace=0.5)
        assert (state.ended, len(shares)) == ("budget", 400)


def test_a_fall_that_runs_out_of_time_is_a_budgets_end():
    training = DECAY | {"until": "plateau", "seconds": 700.0}
    shares, state = run(training, score=lambda step: min(step, 400))
    assert (state.decay_from, state.ended) == (525, "budget")
    assert len(shares) == 700
    shares, state = run(training | {"seconds": 560.0}, score=lambda step: min(step, 250))
    assert (state.decay_from, state.ended, len(shares)) == (400, "plateau", 533)
