"""The study of one GPU, at toy size on the CPU: from volumes to models that a study can evaluate."""

import json

import devices
import gpu_study
import numpy as np
import pandas as pd
import pytest
import reference_step
import torch
from torch import nn

from interslice.common.errors import InputError
from interslice.data.volumes import Volume, write_volume
from interslice.methods import load_method
from phantoms import ellipsoids
from settings import small_settings

METHODS = {"cae": 2, "unet": 1}


class Distance(nn.Module):
    """In place of LPIPS, whose weights are no part of the repository."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, first, second):
        return self.scale * ((first - second) ** 2).mean(dim=(1, 2, 3))


@pytest.fixture
def toy(monkeypatch):
    """The same stages with small networks, few steps and no LPIPS."""
    torch.set_num_threads(1)
    quick = {
        "validate_every": 5,
        "warmup_steps": 2,
        "crop": 16,
        "batch": 2,
        "steps": 10**7,
        "schedule": "decay",
    }
    small = {name: small_settings(name, **quick) for name in METHODS}
    small["cae"]["synthesis"] = small["cae"]["synthesis"] | {"lpips": 0.05}

    def timed(method, seconds):
        return small[method] | {"training": small[method]["training"] | {"seconds": seconds}}

    monkeypatch.setattr(gpu_study, "settings_of", timed)
    monkeypatch.setattr(gpu_study, "METHODS", METHODS)
    monkeypatch.setattr(gpu_study, "lpips_itself", lambda name, path: Distance())
    monkeypatch.setattr(gpu_study, "load_perceptual", lambda given, name: Distance().requires_grad_(False))
    monkeypatch.setattr(gpu_study, "compile_modules", lambda method: None)  # minutes of a compiler
    monkeypatch.setattr(gpu_study, "VALIDATION_SLICES", 9)
    monkeypatch.setattr(gpu_study, "TIMED", 2)
    monkeypatch.setattr(gpu_study, "LEAST_SECONDS", 0.1)
    monkeypatch.setattr(gpu_study, "WARM", 1)
    for name in ("LAST", "WARM"):
        monkeypatch.setattr(devices, name, 1)
    monkeypatch.setattr(devices, "STEPS", 2)
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(devices, "ROOT", gpu_study.ROOT)
    monkeypatch.setattr(reference_step, "SETTINGS", {"oasis": (2, 16, 0.001)})
    monkeypatch.setattr(gpu_study, "SETTINGS", {"oasis": (2, 16, 0.001)})


@pytest.fixture
def given(toy, tmp_path):
    """What `prepare` makes of three volumes."""
    files = []
    for seed, name in enumerate(("A", "B", "C")):
        files.append(tmp_path / f"{name}.nii")
        write_volume(Volume(ellipsoids((17, 24, 28), seed)[np.newaxis], np.eye(4), 2), files[-1])
    gpu_study.prepare(files[:2], files[2], tmp_path, tmp_path / "input")
    return tmp_path / "input"


def test_what_is_sent_is_what_the_volumes_are(given):
    volumes, name, held = gpu_study.read_volumes(given)
    assert (list(volumes), name, held.shape) == (["A", "B"], "C", (9, 24, 28))
    assert volumes["A"].shape == (17, 24, 28)
    assert {path.name for path in given.iterdir()} == {"volumes.npz", "lpips_alex.pt", "lpips_vgg.pt"}


def test_too_much_to_send_is_refused_and_nothing_is_left(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_study, "MOST_INPUT_MIB", 0.001)
    noise = np.random.default_rng(0).random((1, 20, 20, 20), np.float32)
    write_volume(Volume(noise, np.eye(4), 2), tmp_path / "A.nii")
    with pytest.raises(InputError, match="MiB of volumes and weights, allowed are 0.001"):
        gpu_study.prepare([tmp_path / "A.nii"], tmp_path / "A.nii", tmp_path, tmp_path / "input")
    assert not (tmp_path / "input").exists()


def test_the_whole_study_at_toy_size(given, tmp_path):
    gpu_study.run_study(given, tmp_path / "out", minutes=0.001)
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    failed = {name: text for name, text in study.items() if str(text).startswith("failed")}
    assert not failed
    assert study["agreement"]["cpu float32"]["relative_difference_of_loss"] == 0
    assert study["against_plain"]["oasis"]["times_as_fast"]["float32"] > 0
    assert len(study["steps_per_second"]) == 5
    history = pd.read_csv(tmp_path / "out" / "history.csv")
    assert set(map(tuple, history[["method", "K"]].to_numpy())) == {(m, K) for m in METHODS for K in (2, 4)}
    assert study["cae_K2"]["ended"] == "budget"
    assert (
        study["cae_K2"]["updates"]
        == history[(history["method"] == "cae") & (history["K"] == 2)]["step"].max()
    )
    models = gpu_study.unpack(tmp_path / "out", tmp_path / "models")
    assert [path.name for path in models] == ["cae_K2.pt", "unet_K2.pt", "cae_K4.pt", "unet_K4.pt"]
    settings = small_settings("cae")
    method = load_method(settings, tmp_path / "models" / "cae_K2.pt")
    assert method.interpolate(ellipsoids((3, 16, 16)), 2).shape == (5, 16, 16)


def test_a_stage_that_fails_is_recorded_and_stops_no_other(given, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_study, "METHODS", {"cae": 1})
    monkeypatch.setattr(gpu_study, "agreement", lambda network: 1 / 0)
    monkeypatch.setattr(gpu_study, "speeds", lambda given: {})
    monkeypatch.setattr(gpu_study, "compare", lambda *arguments: {})
    gpu_study.run_study(given, tmp_path / "out", minutes=0.001)
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    assert study["agreement"] == "failed: ZeroDivisionError: division by zero"
    assert study["cae_K4"]["updates"] >= 1


def test_files_that_would_not_come_back_are_refused(tmp_path):
    (tmp_path / "weights_K2.pt").write_bytes(bytes(17 * 2**20))
    with pytest.raises(InputError, match="found 1 files, too large: weights_K2.pt; allowed are 8 of 16 MiB"):
        gpu_study.check_output(tmp_path)


def test_the_weights_of_all_methods_fit_into_a_file():
    """Four bytes a weight; the settings and histories beside them are small."""
    real = [gpu_study.build_method(gpu_study.settings_of(name, 1.0)) for name in gpu_study.METHODS]
    weights = sum(weight.numel() for method in real for weight in method.network.state_dict().values())
    assert 4 * weights < 15 * 2**20
