import os
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
import warm

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.common.errors import InputError
from interslice.methods import build_method, load_method
from interslice.training.loop import take_step, train
from interslice.training.optimisers import build_optimisers
from interslice.training.triplets import adjust_contrast, draw_batch
from interslice.training.validation import validation_slabs
from settings import ROOT, small_settings
from trainings import phantom_data, run_of, same_weights, timeless

FACTOR = 2


class Interrupted(Exception):
    pass


def stop_after(monkeypatch, steps):
    """Make the training loop fail at a step, as a kill would, at no other point of its own choosing."""
    calls = iter(range(10**6))

    def counting(*args, **kwargs):
        if next(calls) == steps:
            raise Interrupted
        return take_step(*args, **kwargs)

    monkeypatch.setattr("interslice.training.loop.take_step", counting)


MUON = {"optimiser": "muon", "matrix_learning_rate": 0.02}
AVERAGED_TO_A_PLATEAU = {
    "until": "plateau", "patience": 2, "min_gain": 10.0, "validate_every": 6, "schedule": "decay",
    "decay": 0.4, "average": 0.2, "checkpoint_every": 7,
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "changes", "steps_before_each_stop"),
    [
        ("cae", {}, [25]),
        ("cae", {}, [21, 35]),
        ("cae", {}, [59]),
        ("cae", MUON | AVERAGED_TO_A_PLATEAU, [15, 8]),
        ("acai", MUON, [41]),
    ],
)
def test_interrupted_and_uninterrupted_training_end_identically(
    tmp_path, monkeypatch, method, changes, steps_before_each_stop
):
    settings = small_settings(method, **changes)
    volumes, pairs = phantom_data()
    whole = train(run_of(settings), volumes, pairs, resume=tmp_path / "whole.pt")
    resume = tmp_path / "resume.pt"
    for steps in steps_before_each_stop:
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(Interrupted):
                train(run_of(settings), volumes, pairs, resume=resume)
        assert read_checkpoint(resume)["state"]["step"] % settings["training"]["checkpoint_every"] == 0
    continued = train(run_of(settings), volumes, pairs, resume=resume)
    assert same_weights(whole["weights"], continued["weights"])
    assert timeless(whole) | {"weights": None} == timeless(continued) | {"weights": None}


TRAIN_SCRIPT = """
import os, sys
from pathlib import Path
Path(sys.argv[4]).write_text(str(os.getpid()))
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from interslice.common.checkpoints import write_checkpoint
from interslice.training.loop import train
from settings import small_settings
from trainings import phantom_data, run_of, timeless
volumes, pairs = phantom_data()
state = train(run_of(small_settings("cae", steps=40, checkpoint_every=4)), volumes, pairs, resume=Path(sys.argv[2]))
write_checkpoint(timeless(state), Path(sys.argv[3]))
"""


def test_kill_minus_nine_and_the_same_command_again(tmp_path):
    """A real process, really killed: no broken file is left and the result is that of an undisturbed process."""

    def start(resume, result):
        command = [
            warm.python(),
            "-c",
            TRAIN_SCRIPT,
            str(ROOT / "tests"),
            str(tmp_path / resume),
            str(tmp_path / result),
            str(tmp_path / "process.txt"),
        ]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    assert start("whole-resume.pt", "whole.pt").wait(120) == 0
    process = start("resume.pt", "again.pt")
    deadline = time.monotonic() + 120
    while not (tmp_path / "resume.pt").exists():
        assert time.monotonic() < deadline, "the training wrote no resume file"
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.005)
    os.kill(int((tmp_path / "process.txt").read_text()), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "again.pt").exists()
    assert 0 < read_checkpoint(tmp_path / "resume.pt")["state"]["step"] < 40
    assert start("resume.pt", "again.pt").wait(120) == 0
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


def test_training_improves_on_the_untrained_network_and_picks_the_best_step(tmp_path):
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=200, validate_every=20)
    state = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    history = state["history"]
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    best = max(history, key=lambda row: row["validation_psnr"])
    assert state["best_step"] == best["step"]
    assert best["validation_psnr"] > history[0]["validation_psnr"] + 1
    write_checkpoint(state, tmp_path / "model.pt")
    trained = load_method(settings, tmp_path / "model.pt")
    expected = build_method(settings)
    expected.network.load_state_dict(state["weights"])
    expected.network.eval()
    low = pairs[0].low
    np.testing.assert_array_equal(trained.interpolate(low, 3), expected.interpolate(low, 3))


def test_seeds_decide_and_methods_see_the_same_draw(tmp_path):
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=5)
    first, again, other = (
        train(run_of(settings, seed=seed), volumes, pairs, resume=tmp_path / f"{index}.pt")
        for index, seed in enumerate([1, 1, 2])
    )
    assert same_weights(first["weights"], again["weights"])
    assert not same_weights(first["weights"], other["weights"])
    training = settings["training"]
    np.testing.assert_array_equal(
        draw_batch(volumes, training, 1, 3)[0], draw_batch(volumes, training, 1, 3)[0]
    )
    assert not np.array_equal(draw_batch(volumes, training, 1, 3)[0], draw_batch(volumes, training, 1, 4)[0])


def test_a_resume_file_of_another_run_is_not_gone_on_from(tmp_path, capsys):
    """An edit makes it stale: the training says so and begins anew, with the result of one that never had it."""
    volumes, pairs = phantom_data()
    settings, edited = small_settings("cae", steps=20), small_settings("cae", steps=5)
    train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    found = train(run_of(edited, seed=8, digest="edited"), volumes, pairs, resume=tmp_path / "resume.pt")
    said = capsys.readouterr().out
    assert "starts anew" in said
    assert "resume.pt is of another run (settings, seed, digest differ)" in said
    fresh = train(run_of(edited, seed=8, digest="edited"), volumes, pairs, resume=tmp_path / "fresh.pt")
    assert same_weights(found["weights"], fresh["weights"])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(InputError, match="model.pt: not a readable checkpoint"):
        load_method(small_settings("cae"), tmp_path / "model.pt")


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=5)
    write_checkpoint(
        train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt"), tmp_path / "model.pt"
    )
    other = settings | {"network": settings["network"] | {"latent": 4}}
    with pytest.raises(
        InputError, match=r"model.pt: found network .*'latent': 8.*, the configuration says .*'latent': 4"
    ):
        load_method(other, tmp_path / "model.pt")
    for changes, sentence in (
        ({"output": "linear"}, "found output sigmoid, the configuration says linear"),
        ({"neighbours": 4}, "found neighbours None, the configuration says 4"),
    ):
        with pytest.raises(InputError, match=sentence):
            load_method(settings | changes, tmp_path / "model.pt")
    shown = {"label": "Another", "role": "baseline", "training": {**settings["training"], "steps": 9}}
    load_method(settings | shown, tmp_path / "model.pt")


def test_a_loss_that_is_not_finite_names_the_step(tmp_path, monkeypatch):
    volumes, pairs = phantom_data()

    def draw(volumes, training, seed, step, *args):
        windows, alphas = draw_batch(volumes, training, seed, step, *args)
        return (windows * np.float32(np.nan) if step == 12 else windows), alphas

    monkeypatch.setattr("interslice.training.loop.draw_batch", draw)
    with pytest.raises(InputError, match=r"reconstruction is nan at step 12|loss is nan at step 12"):
        train(run_of(small_settings("cae")), volumes, pairs, resume=tmp_path / "resume.pt")


def test_unusable_training_volumes_are_refused(tmp_path):
    settings = small_settings("cae")
    for volume, message in [
        (np.zeros((1, 2, 32, 32), np.float32), "2 slices, a triplet needs at least 3"),
        (np.zeros((1, 9, 12, 32), np.float32), r"training.crop: found 16, the smallest slice is 12x32"),
    ]:
        with pytest.raises(InputError, match=message):
            train(run_of(settings), [volume], [], resume=tmp_path / "resume.pt")
    thin = small_settings("cae_residual", in_plane=0.5)
    with pytest.raises(
        InputError, match=r"training.in_plane: found a volume of 9 slices, 2 pixels apart; .* 13 slices"
    ):
        train(run_of(thin), [np.zeros((1, 9, 32, 32), np.float32)], [], resume=tmp_path / "resume.pt")
    with pytest.raises(InputError, match="no training volumes"):
        train(run_of(settings), [], [], resume=tmp_path / "resume.pt")


def test_triplets_are_consecutive_slices_of_one_volume_and_frame():
    """Volumes whose pixels are their own address: every draw must be three neighbours, in order or reversed."""
    frames, slices, rows, columns = 3, 9, 20, 18
    address = np.arange(frames)[:, None, None, None] * 0.3 + np.arange(slices)[:, None, None] * 0.01
    row, column = np.arange(rows)[:, None] * 1e-4, np.arange(columns) * 1e-6
    volume = (address + row + column).astype(np.float64)
    training = small_settings("cae")["training"] | {"contrast": False, "crop": 16, "batch": 200}
    batch, alphas = draw_batch([volume], training, 0, 0)
    assert (alphas == 0.5).all()
    middle_steps = (batch[:, 2] - batch[:, 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(np.abs(middle_steps), 0.02, atol=1e-5)
    assert {round(float(step), 3) for step in middle_steps} == {0.02, -0.02}
    np.testing.assert_allclose(batch[:, 1], (batch[:, 0] + batch[:, 2]) / 2, atol=1e-5)
    assert set(np.round(batch[:, 1].mean(axis=(1, 2)) / 0.3).astype(int)) == {0, 1, 2}
    vertical = {round(float(value), 5) for value in np.diff(batch[:, 1], axis=1).mean(axis=(1, 2))}
    assert {1e-4, -1e-4} <= vertical  # rotations turn rows both ways


def test_windows_of_four_neighbours_reach_one_gap_further_and_repeat_the_ends():
    """Slices of constant grey c / 100: the grey says which slice was drawn."""
    volume = np.broadcast_to(np.arange(8.0)[:, None, None] / 100, (1, 8, 20, 20)).astype(np.float32)
    training = small_settings("cae")["training"] | {"contrast": False, "crop": 16, "batch": 200}
    windows, _ = draw_batch([volume], training, 0, 0, 4)
    assert windows.shape == (200, 5, 16, 16)
    drawn = {tuple(int(grey) for grey in np.round(100 * window[:, 0, 0])) for window in windows}
    ascending = {window if window[0] <= window[-1] else window[::-1] for window in drawn}
    assert ascending == {
        (0, 0, 1, 2, 4), (1, 1, 2, 3, 5), (0, 2, 3, 4, 6), (1, 3, 4, 5, 7), (2, 4, 5, 6, 6), (3, 5, 6, 7, 7),
    }  # fmt: skip


@pytest.mark.parametrize("neighbours", [2, 4])
def test_in_plane_windows_are_planes_a_gap_apart_with_their_target_at_alpha(neighbours):
    """A volume linear in mm along every axis: planes, target and alpha must satisfy the linear relation exactly."""
    gap, slope = 3, np.array([0.015, 0.005, 0.002])
    grid = np.meshgrid(np.arange(20) * gap, np.arange(40), np.arange(44), indexing="ij")
    volume = 0.01 + 0.3 * sum(rate * axis for rate, axis in zip(slope, grid, strict=True)).astype(np.float32)
    training = small_settings("cae")["training"] | {
        "contrast": False,
        "crop": 16,
        "batch": 100,
        "in_plane": 1.0,
    }
    windows, alphas = draw_batch([volume[np.newaxis]], training, 0, 0, neighbours, [gap])
    assert set(np.round(alphas.ravel(), 4)) == {np.float32(0.3333), np.float32(0.6667)}
    before, target, after = (windows[:, neighbours // 2 + offset] for offset in (-1, 0, 1))
    across = np.round(np.abs(after - before).mean(axis=(1, 2)) / (0.3 * gap), 4)
    assert set(across) == {np.float32(0.005), np.float32(0.002)}  # across the rows and across the columns
    np.testing.assert_allclose(target, (1 - alphas[:, 0]) * before + alphas[:, 0] * after, atol=1e-5)
    # Pixels of a plane are square: a step through the slices is a third of the slice spacing.
    steps = {
        round(float(np.abs(np.diff(image, axis=axis)).mean()) / 0.3, 4) for image in before for axis in (0, 1)
    }
    assert {0.015, 0.005, 0.002} >= steps
    assert 0.015 in steps
    if neighbours == 4:
        np.testing.assert_allclose(windows[:, 4] - windows[:, 3], after - before, atol=1e-5)
        np.testing.assert_allclose(windows[:, 1] - windows[:, 0], after - before, atol=1e-5)


def test_half_of_the_windows_are_in_plane_when_half_is_asked_for():
    volume = np.random.default_rng(0).random((1, 20, 40, 44), dtype=np.float32)
    training = small_settings("cae")["training"] | {"crop": 16, "batch": 400, "in_plane": 0.5}
    _, alphas = draw_batch([volume], training, 0, 0, 2, [5])
    assert 150 < (alphas != 0.5).sum() < 250


def test_contrast_augmentation_is_the_papers_sigmoid():
    images = np.linspace(0, 1, 5, dtype=np.float32)
    np.testing.assert_allclose(
        adjust_contrast(images, 5.0, 0.5), 1 / (1 + np.exp(5 * (0.5 - images))), rtol=1e-6
    )


def test_validation_slabs_are_aligned_with_their_reference():
    _, (pair,) = phantom_data()
    for neighbours in (2, 4):
        slabs = validation_slabs(pair, FACTOR, neighbours, {"validation_slabs": 3})
        assert len(slabs) == 3
        for slab in slabs:
            assert slab.low.shape[0] == neighbours
            np.testing.assert_array_equal(slab.reference[::FACTOR], slab.low)


def test_losses_reach_only_their_own_group():
    """Two groups that share nothing: a step on one loss must not move the other's weights."""
    settings = small_settings("cae")
    method = build_method(settings)
    encoder, decoder = (list(method.network[part].parameters()) for part in ("encoder", "decoder"))
    method.groups = lambda: {"encoder": encoder, "decoder": decoder}
    whole = method.losses
    method.losses = lambda *batch: (
        {"encoder": 0 * whole(*batch)[0]["autoencoder"], "decoder": whole(*batch)[0]["autoencoder"]},
        {},
    )
    optimisers = build_optimisers(method, settings["training"])
    before = [weight.clone() for weight in encoder], [weight.clone() for weight in decoder]
    batch = (
        np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32),
        np.full((2, 1, 1, 1), 0.5, np.float32),
    )
    take_step(method, optimisers, batch, settings["training"], 10)
    assert all(torch.equal(old, new) for old, new in zip(before[0], encoder, strict=True))
    assert not any(torch.equal(old, new) for old, new in zip(before[1], decoder, strict=True) if old.ndim > 1)


def test_a_gradient_that_is_too_large_is_made_as_large_as_allowed_and_any_other_is_left():
    for largest, loss in ((None, 1000.0), (0.05, 1000.0), (0.05, 1e-6)):
        method = build_method(small_settings("cae"))
        method.clip = largest
        weights = method.groups()["autoencoder"]
        method.losses = lambda *_, weights=weights, loss=loss: (
            {"autoencoder": loss * sum((weight**2).sum() for weight in weights)},
            {},
        )
        free = 2 * loss * torch.cat([weight.detach().flatten() for weight in weights])
        batch = (np.zeros((2, 3, 16, 16), np.float32), np.full((2, 1, 1, 1), 0.5, np.float32))
        training = method.settings["training"]
        take_step(method, build_optimisers(method, training), batch, training, 0)
        found = torch.cat([weight.grad.flatten() for weight in weights])
        expected = free if largest is None or free.norm() < largest else free * largest / free.norm()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_a_budget_of_seconds_counts_those_before_the_stop(tmp_path, monkeypatch):
    """A clock of one second a reading: the training ends at the same update with a stop on the way and without."""
    volumes, pairs = phantom_data()
    settings = small_settings("cae", seconds=70.0, schedule="constant", steps=1000, checkpoint_every=10)
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "process_time", lambda: next(ticks))
    whole = train(run_of(settings), volumes, pairs, resume=tmp_path / "whole.pt")
    assert whole["ended"] == "budget"
    assert 70 <= whole["compute_seconds"] < 75
    with monkeypatch.context() as patch:
        stop_after(patch, 25)
        with pytest.raises(Interrupted):
            train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    again = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    assert abs(again["updates"] - whole["updates"]) <= 1
    assert 20 < whole["updates"] < 70


def test_a_training_says_how_it_ended(tmp_path):
    volumes, pairs = phantom_data()
    flat = {"until": "plateau", "schedule": "constant", "patience": 1, "min_gain": 100.0, "validate_every": 4}
    state = train(run_of(small_settings("cae", **flat)), volumes, pairs, resume=tmp_path / "plateau.pt")
    assert (state["ended"], state["updates"]) == ("plateau", 8)
    state = train(run_of(small_settings("cae", steps=7)), volumes, pairs, resume=tmp_path / "budget.pt")
    assert (state["ended"], state["updates"]) == ("budget", 7)
    stopped = train(
        run_of(small_settings("cae")), volumes, pairs, resume=tmp_path / "stopped.pt",
        stop=lambda state: "plateau" if state.step == 3 else None,
    )  # fmt: skip
    assert (stopped["ended"], stopped["updates"], stopped["history"][-1]["step"]) == ("plateau", 3, 3)


def test_a_finished_training_whose_file_is_left_is_not_trained_on(tmp_path):
    """Killed after its last step and before its result was written: the same command gives the same result."""
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=20, checkpoint_every=10)
    first = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    again = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    assert again["updates"] == first["updates"] == 20
    assert same_weights(first["weights"], again["weights"])


@pytest.mark.parametrize(("contrast", "low", "high"), [(0.0, 0, 0), (0.3, 60, 130), (1.0, 300, 300)])
def test_contrast_augmentation_is_as_likely_as_it_says(contrast, low, high):
    """The sigmoid never gives 0 back, so a black volume shows which windows had it."""
    training = small_settings("cae")["training"] | {"contrast": contrast, "crop": 16, "batch": 300}
    windows, _ = draw_batch([np.zeros((1, 8, 20, 20), np.float32)], training, 0, 0)
    assert low <= (windows.max(axis=(1, 2, 3)) > 0).sum() <= high
