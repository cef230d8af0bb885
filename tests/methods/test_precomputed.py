"""Results made elsewhere: exported inputs, files in any order of axes, and what is said of wrong or missing ones."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from interslice.cli import main
from interslice.common.errors import InputError
from interslice.data.volumes import Volume, decimate, open_volume, write_volume
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.steps.interpolate import interpolate_subject
from phantoms import ellipsoids
from settings import small_settings, study_of

FACTOR, SUBJECTS = 4, ("one", "two")
AFFINE = np.array([[-0.9, 0, 0.1, 5.0], [0, 1.2, 0, -7.0], [0.3, 0, 1.0, 2.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The results of a study with two subjects of two frames, as `interslice` finds them after a run."""
    root = tmp_path_factory.mktemp("study")
    for seed, subject in enumerate(SUBJECTS):
        frames = np.stack([ellipsoids((21, 20, 24), seed), ellipsoids((21, 20, 24), seed + 9)])
        sharp = Volume(frames, AFFINE, 1, ((0.0, 500.0), (3.5, 400.0)))
        write_volume(sharp, root / "sharp" / f"{subject}.nii")
        write_volume(decimate(sharp, FACTOR, "none"), root / "low" / f"{subject}.nii")
    record = (
        root / "results" / "mine" / "score_method" / "balls" / f"K{FACTOR}" / "linear" / "seed1" / "0.json"
    )
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"normalised": "sharp", "low": "low", "interpolated": "none"}))
    return root


@pytest.fixture
def exported(study, tmp_path, capsys):
    assert main(["export-inputs", str(study / "results" / "mine"), "-o", str(tmp_path / "out")]) == 0
    assert "balls_K4: 2 volumes" in capsys.readouterr().out
    return tmp_path / "out"


def submit(folder, subject, change=lambda fine: fine, save=lambda image: image):
    """Interpolate an exported input linearly, as somebody would who knows nothing of this package, and file the result."""
    image = nib.load(folder / "inputs" / "balls_K4" / f"{subject}.nii.gz")
    axis = int(np.argmax(image.header.get_zooms()[:3]))
    low = np.moveaxis(image.get_fdata(), axis, 0)
    places = np.arange((len(low) - 1) * FACTOR + 1) / FACTOR
    before = np.minimum(places.astype(int), len(low) - 2)
    share = (places - before).reshape(-1, 1, 1, 1)
    fine = change((1 - share) * low[before] + share * low[before + 1])
    affine = image.affine.copy()
    affine[:3, axis] /= FACTOR
    result = save(nib.Nifti1Image(np.moveaxis(fine, 0, axis).astype(np.float32), affine))
    nib.save(result, folder / "results" / "balls_K4" / f"{subject}.nii.gz")


def scored(folder, study, subject):
    settings = small_settings("precomputed") | {"dataset": "balls"}
    settings["results"] = str(folder / "results" / "{dataset}_K{K}" / "{subject}.nii.gz")
    method = build_method(settings)
    method.prepare(SUBJECTS, FACTOR)
    files = study / "sharp" / f"{subject}.nii", study / "low" / f"{subject}.nii"
    return interpolate_subject(method, subject, *files, FACTOR, None)[0]


def test_the_inputs_have_true_spacing_and_nothing_of_the_reference(exported, study):
    low = open_volume(study / "low" / "one.nii")
    image = nib.load(exported / "inputs" / "balls_K4" / "one.nii.gz")
    np.testing.assert_array_equal(np.moveaxis(image.get_fdata(dtype=np.float32), (3, 1), (0, 1)), low.data)
    np.testing.assert_allclose(image.affine, low.affine, atol=1e-6)
    assert not image.header.extensions
    names = {path.name for path in exported.rglob("*") if path.is_file()}
    assert names == {"README.txt", "one.nii.gz", "two.nii.gz"}
    assert "interslice submit-check" in (exported / "README.txt").read_text()


@pytest.mark.parametrize("turn", ["as it is", "other axes"])
def test_results_are_brought_back_frame_by_frame(exported, study, turn, capsys):
    other = np.array([[2, -1], [0, 1], [1, -1]])
    for subject in SUBJECTS:
        submit(
            exported,
            subject,
            save=lambda image: image.as_reoriented(other) if turn == "other axes" else image,
        )
    assert main(["submit-check", str(exported)]) == 0
    assert "balls_K4: 2 of 2 would be scored" in capsys.readouterr().out
    expected = interpolate_subject(
        build_method(small_settings("linear")),
        "two",
        study / "sharp/two.nii",
        study / "low/two.nii",
        FACTOR,
        None,
    )[0]
    np.testing.assert_allclose(scored(exported, study, "two"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "save", "message"),
    [
        (
            lambda fine: np.concatenate([fine[:1]] * 2 + [fine[:-2]]),
            None,
            r"lie 2.\d\d output slices \(0.5\d of an input",
        ),
        (lambda fine: fine[:-1], None, r"found .* \(20, 20, 24\), allowed is \(21, 20, 24\)"),
        (lambda fine: fine[..., :1], None, "found 1 frames, the input has 2"),
        (lambda fine: fine[:, ::-1], None, "its rows run the other way"),
        (
            None,
            lambda image: nib.Nifti1Image(image.get_fdata()[:, ::-1], image.affine),
            "its slices run the other way",
        ),
    ],
)
def test_a_wrong_result_is_named_before_it_is_submitted_and_never_scored(
    exported, study, change, save, message, capsys
):
    submit(exported, "one", change or (lambda fine: fine), save or (lambda image: image))
    assert main(["submit-check", str(exported)]) == 1
    said = capsys.readouterr().out
    assert "balls_K4: 0 of 2 would be scored" in said
    assert "  two: no result" in said
    with pytest.raises(InputError, match=r"found no file of 1 of 2 subjects \(two\), needed is .*two.nii.gz"):
        scored(exported, study, "one")
    shutil.copy(exported / "results/balls_K4/one.nii.gz", exported / "results/balls_K4/two.nii.gz")
    with pytest.raises(InputError, match=message):
        scored(exported, study, "one")


class Told(Method):
    """Keeps what it is told of each frame."""

    needs_scan = True

    def _interpolate(self, volume, factor):
        self.settings.append(self.scan)
        return np.zeros(((len(volume) - 1) * factor + 1, *volume.shape[1:]), np.float32)


def test_a_method_is_told_the_scans_geometry_and_what_became_0_and_1(study):
    scans = []
    interpolate_subject(Told(scans), "one", study / "sharp/one.nii", study / "low/one.nii", FACTOR, None)
    assert [(scan.subject, scan.frame, scan.frames, scan.limits) for scan in scans] == [
        ("one", 0, 2, (0.0, 500.0)),
        ("one", 1, 2, (3.5, 400.0)),
    ]
    voxel = nib.affines.apply_affine(open_volume(study / "low/one.nii").affine, (7, 2, 5))
    np.testing.assert_allclose(nib.affines.apply_affine(scans[0].affine, (7, 5, 2)), voxel, atol=1e-5)


def test_what_is_no_study_or_no_submission_is_one_sentence(tmp_path, exported, capsys):
    assert main(["submit-check", str(exported)]) == 2
    assert "found no result, allowed are files results/DATASET_KN" in capsys.readouterr().err
    assert main(["submit-check", str(tmp_path / "nowhere")]) == 2
    assert main(["export-inputs", str(tmp_path), "-o", str(tmp_path / "new")]) == 2
    assert "found no results of a study" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_lesions_need_methods_that_are_run(tmp_path):
    (tmp_path / "there.yaml").write_text(
        "method: precomputed\nlabel: There\nrole: baseline\nlearns_from: low\nresults: there/{subject}.nii.gz\n"
    )
    methods = ["linear", str(tmp_path / "there.yaml")]
    assert list(study_of(methods=methods).methods) == ["linear", "there"]
    with pytest.raises(
        InputError, match=r"method there: is made elsewhere, and lesion_\w+ needs volumes with lesions"
    ):
        study_of("beyond.yaml", methods=methods)
