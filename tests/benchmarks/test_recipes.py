"""The recipes of `cae` side by side: what they differ in, and one figure from one command."""

import sys

import numpy as np
import pandas as pd
import pytest
import recipes
from PIL import Image

from interslice.data.volumes import Volume, write_volume
from phantoms import ellipsoids
from settings import SHORT_TRAINING, SMALL_NETWORK


def test_the_recipes_differ_in_what_they_say_and_share_the_rest():
    new, fast, released = (recipes.settings_of(name, steps=10, batch=4) for name in recipes.RECIPES)
    for settings in (new, fast, released):
        assert (
            settings["training"]["steps"],
            settings["training"]["batch"],
            settings["training"]["crop"],
        ) == (10, 4, 64)
        assert settings["synthesis"]["backbone"] == "alex"
    assert fast["network"] == released["network"] != new["network"]
    what = ("optimiser", "learning_rate", "schedule", "warmup_steps", "contrast")
    assert [fast["training"][key] for key in what] == ["adam", 1e-3, "cosine", 50, 1.0]
    assert [released["training"][key] for key in what] == ["adam", 1e-5, "constant", 0, 1.0]


@pytest.fixture
def volumes(tmp_path):
    """The folders of normalised volumes as a study makes them."""
    for seed, place in enumerate(("train-aa/0/A", "train-aa/0/B", "validation-aa/0/C")):
        path = tmp_path / f"{place}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(Volume(ellipsoids((17, 24, 28), seed)[np.newaxis], np.eye(4), 2), path)
    return tmp_path


def test_one_command_trains_every_recipe_and_seed_once_and_draws_them(volumes, tmp_path, monkeypatch):
    small = recipes.settings_of

    def quick(recipe, **training):
        settings = small(recipe)
        return settings | {
            "network": settings["network"] | SMALL_NETWORK,
            "synthesis": settings["synthesis"] | {"lpips": 0.0, "mse": 0.5},
            "training": settings["training"] | SHORT_TRAINING | training,
        }

    monkeypatch.setattr(recipes, "settings_of", quick)
    words = ["recipes.py", volumes, tmp_path / "out", "--steps", 2, "--seeds", 1, "--batch", 2]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    recipes.main()
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len([name for name in files if name.endswith(".csv")]) == len(recipes.RECIPES)
    assert not [name for name in files if name.endswith(".pt")]
    history = pd.read_csv(tmp_path / "out" / "cae_seed1.csv")
    assert list(history["step"]) == [1, 2]
    assert np.asarray(Image.open(tmp_path / "out" / "recipes.png").convert("L")).std() > 5
    monkeypatch.setattr(recipes, "train", lambda *arguments, **options: pytest.fail("trained again"))
    recipes.main()


def test_a_curve_is_the_mean_of_its_seeds():
    seeds = [
        pd.DataFrame(
            {"step": [1, 2], "compute_seconds": [1.0, 2.0], "validation_psnr": psnr, "validation_ssim": 0.5}
        )
        for psnr in ([20.0, 22.0], [24.0, 26.0])
    ]
    figure = recipes.recipe_curves({"one": seeds}, {"psnr": 21.0, "ssim": 0.4}, "title")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["one"].get_ydata()) == [22, 24]
    assert list(lines["linear interpolation"].get_ydata()) == [21, 21]
    assert len(figure.axes[1].lines) == 4, "two seeds, their mean, linear"
