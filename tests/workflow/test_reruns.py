"""What is planned anew when something is edited: dry runs of the finished tiny study. docs/reruns.md says the same in words.

Edits that plan the same are made together: a dry run takes seconds.
"""

import shutil

import pytest
import yaml
from tiny_study import SPLITS

from interslice.common.files import remove

VOLUMES = {"index_dataset", "normalise_volumes", "decimate_volumes"}
RESULTS = {"train_method", "interpolate_volumes", "score_method"}
PAGES = {"tabulate_results", "write_page"}
FIGURES = {"plot_boxes", "plot_factor", "plot_panel", "plot_training"}
DATASET = "tiny/phantoms.yaml"


@pytest.fixture
def edit(finished):
    """Edit a file of the finished checkout; the file is put back afterwards, as it was. No `old`: append."""
    kept = {}

    def change(name, old, new):
        path = finished.folder / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r} to edit"
        if path not in kept:
            kept[path] = shutil.copy2(path, f"{path}.kept")
        path.write_text(text.replace(old, new, 1) if old else text + new)

    yield change
    for path, copy in kept.items():
        shutil.move(copy, path)


@pytest.fixture
def change_dataset(finished, edit):
    """Replace keys of the dataset's file."""

    def change(**keys):
        text = (finished.folder / DATASET).read_text()
        edit(DATASET, text, yaml.safe_dump(yaml.safe_load(text) | keys))

    return change


def counts(planned, *rules):
    return [planned.get(rule, 0) for rule in rules]


def test_nothing_is_planned_for_what_changes_no_result(finished, edit, tmp_path):
    edit(
        "src/interslice/methods/registry.py",
        "METHODS = {",
        'METHODS = {\n    "new": "interslice.methods.new",',
    )
    edit(
        "src/interslice/data/sources/registry.py", "SOURCES = {", 'SOURCES = {\n    "new": "interslice.new",'
    )
    edit("src/interslice/common/similarity.py", "", "\n\ndef new_metric(image, reference):\n    return 0.0\n")
    edit("src/interslice/data/volumes.py", "allowed is one with contrast", "which has no contrast at all")
    edit("src/interslice/data/volumes.py", "slice_profile: found", "slice profile: found")
    edit("src/interslice/common/files.py", "a quota is reached", "your quota is used up")
    edit("src/interslice/training/resume.py", "goes on after step", "was saved, goes on after step")
    edit("src/interslice/methods/cae.py", "class CAE(Autoencoder):", "# a remark\nclass CAE(Autoencoder):")
    edit("src/interslice/report/factor_figure.py", '"""A metric', '"""The metric')
    edit("tiny.yaml", "seeds: [1, 2]", "seeds: [1, 2]  # two repetitions")
    moved = shutil.copytree(finished.resources, tmp_path / "moved")
    assert finished.planned("--config", f"resources={moved}") == {}


def test_a_title_redraws_tables_and_pages(finished, change_dataset):
    change_dataset(title="The same ellipsoids")
    assert set(finished.planned()) == PAGES


def test_another_figure_subject_redraws_what_shows_it(finished, change_dataset):
    change_dataset(figure_subject="c2")
    assert set(finished.planned()) == PAGES | {"plot_panel", "pack_viewer"}


def test_a_label_redraws_what_shows_it(finished, edit):
    edit(label_file(finished), "label: Linear", "label: Straight")
    planned = set(finished.planned())
    assert not planned & (VOLUMES | RESULTS | {"collect_scores", "compare_methods"})
    assert planned >= PAGES | {"plot_boxes", "plot_factor", "plot_panel", "pack_viewer"}


def label_file(checkout):
    """Where the settings of linear interpolation are."""
    (path,) = checkout.folder.rglob("methods/linear.yaml")
    return str(path.relative_to(checkout.folder))


def test_a_renamed_study_is_scored_and_drawn_alone(finished):
    planned = finished.planned("--config", "study=renamed", f"resources={finished.resources}")
    assert not set(planned) & (VOLUMES | {"train_method", "interpolate_volumes", "check_splits"})
    assert planned["score_method"] == 5


@pytest.fixture
def results_as_before(finished):
    """What a test makes in the finished study's results is gone after it: others take the one volume of a name."""
    before = set((finished.folder / "results").rglob("*"))
    yield
    for path in list((finished.folder / "results").rglob("*")):
        if path not in before and path.parent in before:
            remove(path)


@pytest.mark.usefixtures("results_as_before")
def test_two_preprocessings_of_a_dataset_lie_side_by_side(finished, edit, change_dataset):
    files = {path: path.stat().st_mtime_ns for path in (finished.folder / "results").rglob("*.nii*")}
    change_dataset(crop={"margin_mm": 6})
    edit("tiny.yaml", "study: tiny", "study: other")
    planned = finished.planned()
    assert counts(planned, "normalise_volumes", "train_method", "interpolate_volumes") == [3, 2, 5]
    run = finished.snakemake("--cores", "2", "--until", "decimate_volumes")
    assert run.returncode == 0, run.stdout + run.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == files
    change_dataset(crop={"margin_mm": 2})
    edit("tiny.yaml", "study: other", "study: tiny")
    assert finished.planned() == {}


def test_a_new_test_subject_trains_nothing(finished, change_dataset):
    folder = finished.folder / "tiny"
    shutil.copy(folder / "c3.nii.gz", folder / "c4.nii.gz")
    try:
        change_dataset(splits=SPLITS | {"test": [*SPLITS["test"], "c4"]})
        planned = finished.planned()
    finally:
        (folder / "c4.nii.gz").unlink()
    assert "train_method" not in planned
    assert counts(planned, *sorted(VOLUMES)) == [1, 1, 1]
    assert counts(planned, "interpolate_volumes", "score_method") == [5, 5]


@pytest.mark.parametrize(
    ("old", "new"), [("metrics: [psnr, vif]", "metrics: [psnr]"), ("gap_step: 4", "gap_step: 2")]
)
def test_other_metrics_and_gaps_are_scored_alone(finished, edit, old, new):
    edit("tiny.yaml", old, new)
    planned = finished.planned()
    assert not set(planned) & (VOLUMES | {"train_method", "interpolate_volumes"})
    assert planned["score_method"] == 5


def test_an_edited_figure_is_redrawn_and_the_page(finished, edit):
    edit("src/interslice/report/style.py", "in map(Path, paths):", "in map(Path, (*paths,)):")  # of save
    assert set(finished.planned()) == FIGURES | {"write_page"}


def test_an_edited_script_of_the_page_redraws_the_page(finished, edit):
    edit("src/interslice/report/web/viewer.js", "(() => {", "(() => { // edited")
    assert set(finished.planned()) == {"write_page"}


def test_an_edited_method_is_done_again_alone(finished, edit):
    edit("src/interslice/methods/cae.py", "CLASSES = {", "CLASSES = {None: CAE, ")
    planned = finished.planned()
    assert counts(planned, "train_method", "interpolate_volumes", "score_method") == [2, 2, 2]
    assert not set(planned) & VOLUMES


def test_an_edited_conventional_method_trains_nothing(finished, edit):
    edit("src/interslice/methods/conventional.py", "CLASSES = {", "CLASSES = {None: Linear, ")
    planned = finished.planned()
    assert counts(planned, "train_method", "interpolate_volumes") == [0, 2], (
        "linear and B-spline share a file"
    )


def test_an_edited_training_is_done_again_and_what_follows(finished, edit):
    edit("src/interslice/training/triplets.py", "SIGMOID_GAIN = (2.5, 7.5)", "SIGMOID_GAIN = (2.5, 7.0)")
    planned = finished.planned()
    assert counts(planned, "train_method", "interpolate_volumes", "score_method") == [2, 2, 2]
    assert not set(planned) & VOLUMES


def test_another_seed_is_trained_alone(finished, edit):
    edit("tiny.yaml", "seeds: [1, 2]", "seeds: [1, 2, 3]")
    assert counts(finished.planned(), "train_method", "interpolate_volumes", "score_method") == [1, 1, 1]
