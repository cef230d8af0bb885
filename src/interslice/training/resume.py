"""What a training is known by, and its resume file, from which it goes on after a stop."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.optimisers import Optimisers
from interslice.training.schedule import State


@dataclass(frozen=True)
class Run:
    """What identifies a training: a resume file of another run is not gone on from. `label` is for people only.

    subjects: those that it trains on; validation: those that pick the step.
    """

    label: str
    settings: Mapping[str, Any]
    seed: int
    factor: int
    digest: str
    subjects: Sequence[str]
    validation: Sequence[str] = ()

    def identity(self) -> dict[str, Any]:
        """The record that a checkpoint carries."""
        return {
            "settings": dict(self.settings),
            "seed": self.seed,
            "K": self.factor,
            "digest": self.digest,
            "subjects": list(self.subjects),
            "validation_subjects": list(self.validation),
        }


def save(resume: Path, run: Run, method: TrainedMethod, optimisers: Optimisers, state: State) -> None:
    """Write the resume file."""
    moments = {name: [one.state_dict() for one in several] for name, several in optimisers.items()}
    write_checkpoint(
        {
            "run": run.identity(),
            "network": method.network.state_dict(),
            "optimisers": moments,
            "state": vars(state),
        },
        resume,
    )


def restore(resume: Path, run: Run, method: TrainedMethod, optimisers: Optimisers) -> State:
    """The state of `resume` if it is there and of this run, its weights and moments put back in place; else a fresh state."""
    if not resume.exists():
        return State()
    saved = read_checkpoint(resume)
    differing = [key for key, value in run.identity().items() if saved["run"].get(key) != value]
    if differing:
        print(f"{run.label}: starts anew, {resume} is of another run ({', '.join(differing)} differ)")
        return State()
    method.network.load_state_dict(saved["network"])
    for name, several in optimisers.items():
        for optimiser, moments in zip(several, saved["optimisers"][name], strict=True):
            optimiser.load_state_dict(copy.deepcopy(moments))
    average = {name: weight.to(method.device) for name, weight in saved["state"]["average"].items()}
    state = State(**(saved["state"] | {"average": average}))
    print(
        f"{run.label}: goes on after step {state.step} of {run.settings['training']['steps']} from {resume}"
    )
    return state
