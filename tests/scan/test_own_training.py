import functools
import time

import nibabel as nib
import numpy as np
import pytest
import torch

from interslice.common.errors import InputError
from interslice.config import load_method_settings
from interslice.scan import own_training
from interslice.scan.held_out import HeldOut, hold_out, masked, own_windows, training_pieces, validation_pairs
from interslice.scan.models import load_model
from interslice.scan.own_training import (
    CONTINUED,
    GOING_ON,
    HERE,
    METHODS_HERE,
    settings_here,
    train_here,
    training_volume,
)
from interslice.scan.scans import scan_from_image
from interslice.scan.trust import check_report
from interslice.training.loop import train
from phantoms import ellipsoids
from scan_files import PLAIN
from settings import ROOT, SMALL_NETWORK, small_settings
from trainings import phantom_data, run_of, timeless


def small_here(method, **rates):
    settings = settings_here(method)
    if method == CONTINUED:  # its network is that of the finished model
        return settings | {"training": settings["training"] | {"crop": 32, "batch": 2}}
    return settings | {
        "network": settings["network"] | SMALL_NETWORK,
        "training": settings["training"] | {"batch": 4, "crop": 16, "learning_rate": 0.005} | rates,
    }


@pytest.fixture
def quick(monkeypatch):
    """The same code with a network that learns in seconds."""
    torch.set_num_threads(1)
    monkeypatch.setattr(own_training, "settings_here", small_here)
    monkeypatch.setattr(own_training, "MOST_STEPS", 60)


def phantom_scan(slices=20, seed=0, sides=(26, 24)):
    data = np.round(1000 * ellipsoids((slices, *sides), seed)).astype(np.int16)
    return scan_from_image(nib.Nifti1Image(np.moveaxis(data, 0, 2), PLAIN), f"scan-{seed}.nii")


def test_training_on_the_scan_learns_and_can_be_used_again(tmp_path, quick):
    trained = train_here(
        [phantom_scan(), phantom_scan(seed=1)], 1.0, method="cae", save_to=tmp_path / "model.pt"
    )
    again = load_model(tmp_path / "model.pt", "cae")
    volume = ellipsoids((4, 26, 24))
    np.testing.assert_array_equal(
        trained.model.method.interpolate(volume, 2), again.method.interpolate(volume, 2)
    )
    assert trained.model.sha256 == again.sha256
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert state["subjects"] == ["scan-0.nii", "scan-1.nii"]
    history = state["history"]
    assert history[-1]["validation_psnr"] > history[0]["validation_psnr"] + 1
    assert f"took step {state['best_step']} " in trained.summary


@pytest.mark.parametrize("method", METHODS_HERE)
def test_a_method_that_trains_here_is_the_study_s_with_another_schedule(method):
    here, study = settings_here(method), load_method_settings(method, ROOT)
    assert here["training"].items() >= HERE.items()
    for settings in (here, study):
        # In-plane windows need more slices than a scan of one's own may have.
        for key in (*HERE, *(GOING_ON if method == CONTINUED else ["in_plane"])):
            settings["training"].pop(key, None)
        settings.pop("label")
    assert here == study


@pytest.mark.parametrize("method", METHODS_HERE)
def test_every_method_trains_and_interpolates(quick, monkeypatch, method):
    monkeypatch.setattr(own_training, "MOST_STEPS", 4)
    trained = train_here([phantom_scan(sides=(40, 36))], 1, method=method)
    assert trained.model.name == method
    assert trained.model.method.interpolate(ellipsoids((3, 26, 24)), 3).shape == (7, 26, 24)


def test_held_out_slices_are_in_no_training_stack_and_are_the_middle_of_every_validation_triplet():
    scan = phantom_scan(26)
    volume = training_volume(scan)
    held = hold_out(26, with_check=True)
    stacks = training_pieces(volume, held)
    for stack in stacks:
        assert stack.shape[1] >= 3
        for index in held.both:
            assert not (stack == volume[:, index : index + 1]).all(axis=(2, 3)).any()
    pairs = validation_pairs(volume, held, 3.0)
    assert len(pairs) == len(held.select)
    for pair, index in zip(pairs, held.select, strict=True):
        around = list(range(index - 3, index + 4, 2))
        np.testing.assert_array_equal(pair.reference[3], volume[0, index])
        np.testing.assert_array_equal(pair.low, volume[0, around])
        assert pair.gap_px == 6, "between the slices that are given"
    (first, *_) = validation_pairs(volume, HeldOut((1,), ()), 3.0)
    np.testing.assert_array_equal(first.low, volume[0, [0, 2]])


def test_windows_of_the_whole_stack_show_no_held_out_slice():
    """Not one of their values is in a batch, through the plane or across it, at whatever place."""
    volume = training_volume(phantom_scan(26, sides=(40, 36)))
    held = hold_out(26, with_check=True)
    volume[:, sorted(held.both)] = np.nan
    whole = masked(volume, held)
    pieces = training_pieces(volume, held)
    training = settings_here(CONTINUED)["training"] | {"crop": 32, "batch": 4}
    draw = own_windows(pieces, [whole], [3], training, seed=1)
    told = []
    for step in range(25):
        windows, said = draw(step)
        assert windows.shape == (4, 10, 32, 32)
        assert np.isfinite(windows).all()
        told.append(said[:, :, 0, 0])
    places, gaps = np.concatenate(told).T
    assert len(np.unique(places.round(3))) > 10, "at every place between two slices"
    assert {2, 4, 5, 7, 8} <= set(gaps), "gaps across the plane, which slices 3 pixels apart do not have"
    shallow = own_windows(pieces, [whole[:, :10]], [3], training, seed=1)
    assert shallow(0)[0].shape == (4, 10, 32, 32), "through the plane alone"


def test_masked_slices_are_a_spline_of_the_others():
    volume = training_volume(phantom_scan(26))
    held = hold_out(26, with_check=True)
    whole = masked(volume, held)
    kept = [n for n in range(26) if n not in held.both]
    np.testing.assert_array_equal(whole[:, kept], volume[:, kept])
    ramp = np.linspace(0.1, 0.9, 26, dtype=np.float32)[None, :, None, None] * np.ones(
        (1, 26, 2, 2), np.float32
    )
    np.testing.assert_allclose(masked(ramp, held), ramp, atol=1e-6)


def test_the_finished_model_is_what_a_training_has_to_beat(quick, monkeypatch, tmp_path):
    """A rate that destroys it gives it back as it came, and says so."""
    monkeypatch.setattr(own_training, "MOST_STEPS", 6)
    monkeypatch.setitem(GOING_ON, "learning_rate", 0.05)
    monkeypatch.setitem(GOING_ON, "warmup_steps", 0)
    trained = train_here([phantom_scan(sides=(40, 36))], 1, save_to=tmp_path / "model.pt")
    history = torch.load(tmp_path / "model.pt", weights_only=True)["history"]
    assert history[0]["step"] == 0
    assert max(row["validation_psnr"] for row in history[1:]) < history[0]["validation_psnr"]
    assert trained.model.file == "motion_spline.pt"
    assert "none better by 0.05 dB on" in trained.summary
    scan = phantom_scan(sides=(40, 36))
    finished = load_model(CONTINUED)
    report = check_report(scan, trained.model, [4, 9], before=finished)
    assert "the training changed nothing" in report
    assert torch.load(tmp_path / "model.pt", weights_only=True)["best_step"] == 0


def test_the_time_budget_ends_the_training(quick, monkeypatch):
    monkeypatch.setattr(own_training, "MOST_STEPS", 10**6)
    monkeypatch.setattr(own_training, "PATIENCE", 10**6)
    started = time.monotonic()
    trained = train_here([phantom_scan()], 2 / 60, method="cae")
    assert time.monotonic() - started < 60  # two seconds were asked for; a busy machine is slow to stop
    assert "held-out" in trained.summary


def test_training_stops_early_when_nothing_is_gained(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(own_training, "PATIENCE", 3)
    still = functools.partial(small_here, learning_rate=1e-12, matrix_learning_rate=1e-12)
    monkeypatch.setattr(own_training, "settings_here", still)
    train_here([phantom_scan()], 5, method="cae", save_to=tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    last = state["history"][-1]["step"]
    assert state["best_step"] + 3 <= last < 60
    assert last >= 30 + 3  # half of the steps is always taken


def test_stop_is_asked_after_every_step_and_its_last_step_is_validated(tmp_path):
    volumes, pairs = phantom_data()
    asked = []

    def stop(state):
        asked.append(state.step)
        return "budget" if state.step == 7 else None

    settings = small_settings("cae", steps=40, validate_every=5)
    state = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt", stop=stop)
    assert asked == list(range(1, 8))
    assert [row["step"] for row in state["history"]] == [5, 7]
    never = train(run_of(settings), volumes, pairs, resume=tmp_path / "other.pt", stop=lambda state: None)
    whole = train(run_of(settings), volumes, pairs, resume=tmp_path / "whole.pt")
    assert timeless(never)["history"] == timeless(whole)["history"]


def test_what_training_refuses(quick):
    with pytest.raises(InputError, match=r"minutes: found 0, allowed are numbers above 0"):
        train_here([phantom_scan()], 0)
    with pytest.raises(InputError, match="found method vae, allowed are motion_spline, cae"):
        train_here([phantom_scan()], 1, method="vae")
    with pytest.raises(InputError, match="loss: found 'ssim', allowed are mse, lpips"):
        train_here([phantom_scan()], 1, method="cae", loss="ssim")
    with pytest.raises(InputError, match=r"scan-0\.nii: found 5 slices, training on it needs at least 6"):
        train_here([phantom_scan(5)], 1)
    tiny = scan_from_image(nib.Nifti1Image(ellipsoids((12, 14, 9)), PLAIN), "tiny.nii", "k")
    with pytest.raises(
        InputError, match=r"tiny\.nii: found slices 12 pixels wide, training needs at least 16"
    ):
        train_here([tiny], 1, method="cae")
    with pytest.raises(InputError, match="found slices 24 pixels wide, training needs at least 32"):
        train_here([phantom_scan()], 1)
    with pytest.raises(InputError, match="found lpips with motion_spline, which has its own"):
        train_here([phantom_scan(sides=(40, 36))], 1, loss="lpips")
