"""`--method auto`: what wins on held-out slices is what is written; models stay within what they were trained for."""

import nibabel as nib
import numpy as np
import pytest

import interslice
from finished_models import random_model
from interslice.cli import main
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.shipped import FINISHED, PRETRAINED, Finished, read_settings
from interslice.scan import auto
from interslice.scan.auto import candidates, choose_best, held_out_stacks, predicted, worthwhile
from interslice.scan.grid import Grid, grid_for
from interslice.scan.models import conventional, load_model
from interslice.scan.scans import scan_from_image
from interslice.scan.upsampling import predict, upsample_scan
from phantoms import ellipsoids
from scan_files import nifti, saved

NOISE = np.random.default_rng(0).random((9, 32, 32)).astype(np.float32)


def scan_of(slices, gap=4.0):
    return scan_from_image(nib.Nifti1Image(np.moveaxis(slices, 0, 2), np.diag([1.0, 1.0, gap, 1.0])), "scan")


def moving_disc(slices=9, side=40):
    """A disc that goes three pixels from slice to slice: nothing but registration follows it."""
    rows, columns = np.mgrid[:side, :side]
    centres = 8 + 3 * np.arange(slices)
    return np.stack(
        [1 / (1 + np.exp(np.hypot(rows - 20, columns - centre) - 6)) for centre in centres]
    ).astype(np.float32)


def still(brightness, side=32):
    """The same picture in every slice, brighter or darker: nothing moves."""
    rows, columns = np.mgrid[:side, :side] / 9
    return (brightness[:, None, None] + 0.1 * np.sin(rows) * np.cos(columns)).astype(np.float32)


WAVE = still(0.5 + 0.3 * np.sin(np.arange(9) / 1.3))  # which a spline knows best


@pytest.mark.parametrize(("slices", "best"), [(WAVE, "bspline"), (moving_disc(), "registration")])
def test_the_winner_is_the_one_that_a_scan_asks_for(slices, best):
    choice = choose_best(scan_of(slices), None)
    assert choice.model.name == best
    assert next(iter(choice.scores)) == best
    assert list(choice.scores.values()) == sorted(choice.scores.values(), reverse=True)
    assert choice.summary.startswith("best of 3 on ")
    for name, value in choice.scores.items():
        assert f"{name} {value:.2f} dB" in choice.summary


def test_the_default_writes_with_the_winner_and_says_so(tmp_path, capsys):
    image = nib.Nifti1Image(np.moveaxis(moving_disc(), 0, 2), np.diag([1.0, 1.0, 9.0, 1.0]))
    nib.save(image, tmp_path / "scan.nii")
    assert main(["upsample", str(tmp_path / "scan.nii"), "--factor", "3", "-o", str(tmp_path / "a.nii")]) == 0
    said = capsys.readouterr().err
    assert "a.nii: written with registration, best of 4 on 6 held-out slice(s) (registration " in said
    assert said.count("\n") == 2
    fixed = interslice.upsample(image, 3, "registration")
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii").get_fdata(), fixed.get_fdata())
    np.testing.assert_array_equal(interslice.upsample(image, 3).get_fdata(), fixed.get_fdata())


@pytest.mark.parametrize("keep_original", [True, False])
def test_a_held_out_slice_is_predicted_as_the_whole_scan_would_predict_it(tmp_path, keep_original):
    """Local methods: from the slices around it alone, without computing other gaps."""
    data = ellipsoids((10, 24, 20))
    scan = scan_of(data)
    low, high = np.percentile(data, (1, 99.8))
    scaled = np.clip((data - low) / (high - low), 0, 1).astype(np.float32)
    methods = [build_method(read_settings(name)) for name in ("linear", "registration")]
    methods += [
        load_model(random_model(tmp_path / f"{name}.pt", name)).method for name in ("cae", "cae_residual")
    ]
    stacks = held_out_stacks(scan)
    assert len(stacks) == 6
    for method in methods:
        for stack in stacks[::3]:
            held = next(index for index in range(10) if np.allclose(scaled[index], stack.truth, atol=1e-6))
            start = (held + 1) % 2
            whole = predict(method, scaled[start::2], Grid(5, 2), keep_original)[held - start]
            found = predicted(method, stack, keep_original)
            np.testing.assert_allclose(found, np.clip(whole, 0, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("scores", "taken"),
    [
        ({"registration": 30.3, "linear": 30.0, "bspline": 29.0}, "registration"),
        ({"registration": 30.2, "linear": 30.0, "bspline": 29.0}, "linear"),
        ({"registration": 30.1, "motion_spline": 30.0, "linear": 29.0}, "registration"),  # slow too
        ({"cae_residual_K4": 30.2, "registration": 30.1, "linear": 28.0}, "cae_residual_K4"),
        ({"registration": 30.0}, "registration"),
    ],
)
def test_registration_must_be_worth_its_time(scores, taken):
    assert worthwhile(scores) == taken


def test_few_slices_and_no_contrast_get_the_spline():
    for slices in (NOISE[:3], np.ones((8, 20, 20), np.float32)):
        choice = choose_best(scan_of(slices), None)
        assert (choice.model.name, choice.scores) == ("bspline", {})
        assert "too few slices" in choice.summary


def test_series_are_judged_by_frames_with_contrast():
    image = nifti(shape=(20, 18, 7, 4), kind=np.float32)
    data = np.asarray(image.dataobj)
    data[..., 0] = 3
    scan = scan_from_image(nib.Nifti1Image(data, image.affine), "series")
    stacks = held_out_stacks(scan)
    assert 4 <= len(stacks) <= 6
    assert all(np.ptp(stack.truth) > 0 for stack in stacks)


def test_every_finished_model_is_listed_and_every_listed_one_is_there():
    assert set(FINISHED) == {path.stem for path in PRETRAINED.glob("*.pt")}


@pytest.mark.parametrize(
    ("ratio", "gap", "thickness", "strange"),
    [
        (4, 4.0, None, ""),
        (4.2, 4.8, None, ""),
        (5, 4.0, None, "trained for K = 2 to 4, here it is 5"),
        (4, 6.0, None, "trained on gaps of 2 to 4 mm, here it is 6 mm"),
        (4, 4.0, 1.2, ""),
        (4, 4.0, 4.0, "trained on slices with a thickness of 1 mm, here it is 4 mm"),
    ],
)
def test_what_a_model_was_trained_for(ratio, gap, thickness, strange):
    assert Finished((2, 4), (2.0, 4.0), (1.0, 1.0)).strange(ratio, gap, thickness) == strange


def test_models_are_tried_within_their_factor_and_gap_alone(monkeypatch):
    known = {
        "K2": Finished((2, 2), (2.0, 2.0)),
        "K4": Finished((4, 4), (4.0, 4.0)),
        "any": Finished((2, 8), (1.0, 9.0)),
    }
    monkeypatch.setattr(auto, "FINISHED", known)
    monkeypatch.setattr(auto, "finished", load_model)
    monkeypatch.setattr(auto, "load_model", None)
    loaded = []
    monkeypatch.setattr(auto, "finished", lambda name: loaded.append(name) or auto.conventional("nearest"))
    for gap, factor, expected in (
        (4.0, 4, ["K4", "any"]),
        (2.0, 2, ["K2", "any"]),
        (6.0, 4, ["any"]),
        (4.0, 16, []),
    ):
        loaded.clear()
        scan = scan_of(NOISE, gap)
        candidates(scan, grid_for(scan, factor))
        assert loaded == expected


def test_without_torch_the_choice_is_among_the_rest_and_says_so(monkeypatch):
    monkeypatch.setattr(auto, "find_spec", lambda package: None)
    choice = choose_best(scan_of(ellipsoids((9, 24, 20))), Grid(9, 4.0))
    assert set(choice.scores) == {"bspline", "linear", "registration"}
    assert (
        "; cae_residual_K4, motion_spline not tried without torch (pip install 'interslice[model]')"
        in choice.summary
    )


def test_long_series_leave_registration_out_and_say_so(monkeypatch):
    monkeypatch.setattr(auto, "MOST_REGISTERED", NOISE.size - 1)
    choice = choose_best(scan_of(NOISE), None)
    assert set(choice.scores) == {"bspline", "linear"}
    assert "registration not tried, it would take minutes" in choice.summary


@pytest.mark.parametrize(("option", "value"), [("--method", "linear"), ("--model", "cae_K4")])
def test_fast_is_the_spline_and_nothing_else(tmp_path, capsys, option, value):
    source = str(saved(nifti(), tmp_path / "scan.nii"))
    target = ["-o", str(tmp_path / "a.nii")]
    assert main(["upsample", source, "--fast", *target]) == 0
    assert "written with bspline" in capsys.readouterr().err
    assert main(["upsample", source, "--fast", option, value, *target, "--force"]) == 2
    assert "found --fast with another method" in capsys.readouterr().err


def test_scans_of_other_gaps_at_the_same_time_do_not_tell_each_other_theirs():
    """One model for all threads of a folder: what it is told of a scan is not kept in it."""
    told = []

    class Asked(Method):
        def _interpolate(self, volume, factor):
            told.append(self.gap_px)
            return np.repeat(volume, factor, axis=0)[: (len(volume) - 1) * factor + 1]

    method = Asked({})
    for gap in (4.0, 6.0):
        scan = scan_of(NOISE, gap)
        upsample_scan(scan, grid_for(scan, 2), method)
        assert method.gap_px is None
    assert told == [4.0, 6.0]


@pytest.mark.parametrize(
    ("factor", "gap", "said"),
    [(2, 4, "trained for K = 4, here it is 2"), (4, 8, "trained on gaps of 4 mm, here it is 8 mm")],
)
def test_a_model_that_is_asked_for_runs_elsewhere_too_and_says_so(factor, gap, said):
    model = load_model("cae_residual_K4")
    assert said in model.remark(factor, gap)
    assert model.remark(4, 4.5) == ""


def test_help_and_refusals_name_the_finished_models(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["upsample", "--help"])
    shown = capsys.readouterr().out
    assert all(text in shown for text in (*FINISHED, "examples:", "2 to 32", "--label"))
    source = str(saved(nifti(), tmp_path / "scan.nii"))
    assert main(["upsample", source, "--method", "cae_residual", "-o", str(tmp_path / "a.nii")]) == 2
    assert "cae_residual_K4" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(1, 64), (64, 1)])
def test_registration_follows_what_moves_in_slices_one_pixel_wide(shape):
    """Half-way between lines that are 4 pixels apart lies the line that is moved by 2."""
    line = np.exp(-((np.arange(64) - 28) ** 2) / 50).astype(np.float32)
    volume = np.stack([np.roll(line, 4 * step).reshape(shape) for step in range(3)])
    found = conventional("registration").method.interpolate(volume, 2)
    np.testing.assert_allclose(found[1].ravel(), np.roll(line, 2), atol=0.02)
