"""What `training.compile` compiles is what a step calls."""

import functools

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from interslice.methods import build_method
from interslice.training import loop
from interslice.training.loop import compile_modules, take_step, train
from interslice.training.optimisers import build_optimisers
from settings import small_settings
from trainings import phantom_data, run_of

# Modules that a step calls: encoder and decoder, the critic too, the paper's layers, a whole network or two, a generator.
COMPILED = {"cae": 2, "acai": 3, "srcnn3d": 1, "unet": 1, "segsrgan": 1, "slomo": 2}


@pytest.fixture
def counter():
    torch._dynamo.reset()
    yield CompileCounter()
    torch._dynamo.reset()


def stepped(name, counter=None):
    """The method after a step, and the terms of that step's loss."""
    settings = small_settings(name)
    torch.manual_seed(0)
    method = build_method(settings)
    method.network.train()
    if counter is not None:
        compile_modules(method, backend=counter)
    rng = np.random.default_rng(0)
    if method.supervised:
        depth = settings["training"]["depth"]
        several = (2,) if name == "segsrgan" else ()
        batch = (
            rng.random((2, depth, 16, 16), np.float32),
            rng.random((2, *several, depth, 16, 16), np.float32),
        )
    else:
        batch = (
            rng.random((2, method.neighbours + 1, 16, 16), np.float32),
            np.full((2, 1, 1, 1), 0.5, np.float32),
        )
    step = settings.get("adversarial", {}).get("critic_steps", 1) - 1  # one at which the generator is due
    torch.manual_seed(1)
    return method, take_step(
        method, build_optimisers(method, settings["training"]), batch, settings["training"], step
    )


@pytest.mark.parametrize("name", COMPILED)
def test_a_step_runs_compiled_code_and_gives_the_same(name, counter):
    method, terms = stepped(name, counter)
    assert counter.frame_count >= COMPILED[name] == len(method.compiled())
    assert counter.op_count >= 3 * COMPILED[name]
    plain, expected = stepped(name)
    assert terms == pytest.approx(expected, rel=1e-4)
    assert method.network.state_dict().keys() == plain.network.state_dict().keys()


def test_the_loop_compiles_the_steps_and_leaves_validation_alone(tmp_path, monkeypatch, counter):
    monkeypatch.setattr(loop, "compile_modules", functools.partial(compile_modules, backend=counter))
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=3, compile=True)
    frames = []

    def validated(*args):
        before = counter.frame_count
        scores = loop_validate(*args)
        frames.append((before, counter.frame_count))
        return scores

    loop_validate = loop.validate
    monkeypatch.setattr(loop, "validate", validated)
    train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    assert frames == [(2, 2)]  # one graph each for encoder and decoder
    train(run_of(small_settings("cae", steps=3)), volumes, pairs, resume=tmp_path / "other.pt")
    assert counter.frame_count == 2
