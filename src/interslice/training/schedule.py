"""How fast a training learns and when it ends: at a plateau of the validation score, or when its budget is used up.

Where the end is not known beforehand, the rate is constant until the end is in sight and then falls to 0: warm-up, stable,
decay (Hu et al. 2024, MiniCPM, arXiv 2404.06395; Haegele et al. 2024, arXiv 2405.18392, for the linear fall).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class State:
    """How far a training is: all that changes while it runs besides the weights and the optimisers.

    seconds: wall clock. compute_seconds: of the processor, on a GPU wall clock; validations count, work lost by a kill does
    not. ended: "plateau" or "budget" once the end is in sight, over: at the end. With the schedule "decay" the rate falls from
    update `decay_from` to `last`, else both stay None. average: that of the weights, empty without one.
    """

    step: int = 0
    seconds: float = 0.0
    compute_seconds: float = 0.0
    ended: str = ""
    over: bool = False
    decay_from: int | None = None
    last: int | None = None
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -math.inf
    best_step: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    average: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, terms: Mapping[str, float]) -> None:
        """Count an update and sum its terms."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in terms.items()}
        self.step += 1

    def result(self) -> dict[str, Any]:
        """What a finished checkpoint has of it."""
        return {
            "weights": self.best_weights,
            "best_step": self.best_step,
            "history": self.history,
            "updates": self.step,
            "seconds": self.seconds,
            "compute_seconds": self.compute_seconds,
            "ended": self.ended,
        }

    @property
    def validated(self) -> bool:
        """Whether the history has a row of the present step."""
        return bool(self.history) and self.history[-1]["step"] == self.step


class Clock:
    """Keeps the seconds of a state, from where they are."""

    def __init__(self, state: State, device: torch.device) -> None:
        # On a GPU the processor waits, so its own time would say little.
        self.of_work = time.process_time if device.type == "cpu" else time.monotonic
        self.started = time.monotonic() - state.seconds
        self.work_started = self.of_work() - state.compute_seconds

    def read(self, state: State) -> None:
        """Bring the seconds of a state up to now."""
        state.seconds = time.monotonic() - self.started
        state.compute_seconds = self.of_work() - self.work_started


def rate_share(training: Mapping[str, Any], state: State) -> float:
    """The share of the peak rates at the next update: linear warm-up, then the schedule.

    constant: 1. cosine: to 0 at `steps`. decay: 1 until the end is in sight, then linear to 0.
    """
    step, warmup = state.step, training["warmup_steps"]
    if step < warmup:
        return (step + 1) / warmup
    if training["schedule"] == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, training["steps"] - warmup)))
    if state.decay_from is None or state.last is None:
        return 1.0
    return (state.last - step) / (state.last - state.decay_from)


def advance(state: State, training: Mapping[str, Any]) -> bool:
    """Decide after an update, whose validation is in the history if it had one, how to go on; True at the end.

    With the schedule "decay" the share `decay` of the whole training is its fall: it begins at a plateau, or where the
    budget (`steps`, `seconds`) leaves just so much. Without it the training ends there. A budget of seconds that is used up
    ends the training whatever the rate.
    """
    if state.decay_from is None:
        state.ended = reason_to_end(state, training)
        if not state.ended or training["schedule"] != "decay":
            return bool(state.ended)
        share = training["decay"]
        state.decay_from = state.step
        state.last = min(training["steps"], state.step + max(1, round(state.step * share / (1 - share))))
    assert state.last is not None
    if state.step < state.last and out_of_time(state, training):
        state.ended = "budget"
        return True
    return state.step >= state.last


def reason_to_end(state: State, training: Mapping[str, Any]) -> str:
    """Why no further update at the present rate is due: "plateau" or "budget"; empty where one is."""
    share = 1 - training["decay"] if training["schedule"] == "decay" else 1.0
    if state.step >= round(share * training["steps"]) or out_of_time(state, training, share):
        return "budget"
    if training["until"] == "plateau" and state.validated:
        scores = [row[f"validation_{training['select']}"] for row in state.history]
        return "plateau" if is_plateau(scores, training["patience"], training["min_gain"]) else ""
    return ""


def out_of_time(state: State, training: Mapping[str, Any], share: float = 1.0) -> bool:
    """Whether a share of the budget of seconds is used up; never without one."""
    return training["seconds"] is not None and state.compute_seconds >= share * training["seconds"]


def is_plateau(scores: Sequence[float], patience: int, min_gain: float) -> bool:
    """Whether the best of the last `patience` scores is less than `min_gain` above the best of those before them."""
    return len(scores) > patience and max(scores[-patience:]) < max(scores[:-patience]) + min_gain
