"""Strips, animations and captions of one gap."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageSequence

from interslice.common.errors import InputError
from interslice.report.captions import figure, figure_captions
from interslice.report.gap_figure import cut_gap, gap_rows, middle_gap, write_animation
from interslice.scoring.longtable import frame_means
from phantoms import ramp
from synthetic_scores import synthetic_scores

LABELS = {"linear": "Linear", "cae": "CAE"}
NAMES = {"t1_embedded": "t1, no slice profile", "t1_embedded_shifted": "moved t1, no slice profile"}


def images_of(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_row_shows_the_two_acquired_slices_and_those_between(factor):
    volume = ramp(4 * factor + 1)
    first = middle_gap(len(volume), factor)
    assert first == 2 * factor
    figure = gap_rows({"reference": volume, "linear": 1 - volume}, factor=factor, first=first, labels=LABELS)
    images = images_of(figure)
    assert len(images) == 2 * (factor + 1)
    for j in range(factor + 1):
        assert (images[j] == np.rot90(volume[first + j])).all()
        assert (images[factor + 1 + j] == np.rot90(1 - volume[first + j])).all()
    titles = [axes.get_title() for axes in figure.axes[: factor + 1]]
    assert titles == ["acquired", *(f"{j}/{factor}" for j in range(1, factor)), "acquired"]
    assert all(axes.images[0].norm.vmin == 0 and axes.images[0].norm.vmax == 1 for axes in figure.axes)
    assert isinstance(figure.axes[0].images[0].norm, matplotlib.colors.Normalize)


def test_pixels_keep_their_aspect():
    volume = ramp(5, 20, 40)
    axes = gap_rows({"linear": volume}, factor=2, first=2, labels=LABELS, pixel_mm=(2.0, 0.5)).axes[0]
    box, size = axes.get_position(), axes.figure.get_size_inches()
    assert box.width * size[0] / (box.height * size[1]) == pytest.approx((20 * 2.0) / (40 * 0.5))


@pytest.mark.parametrize("first", [1, -2, 8])
def test_a_gap_that_is_not_there_is_refused(first):
    with pytest.raises(InputError, match="multiples of 2 from 0 to 6"):
        cut_gap(ramp(9), 2, first)


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animation_goes_there_and_back_for_ever(tmp_path, ending):
    stack = ramp(5, 32, 24)
    path = tmp_path / f"gap.{ending}"
    write_animation(stack, [path])
    with Image.open(path) as film:
        assert film.n_frames == 8  # 0 1 2 3 4 3 2 1
        assert film.info["loop"] == 0
        levels = [np.asarray(frame.convert("L"))[100, 100] for frame in ImageSequence.Iterator(film)]
        size = film.size
    expected = np.round(255 * stack[:, 0, 0])
    assert np.abs(np.array(levels, float) - expected[[0, 1, 2, 3, 4, 3, 2, 1]]).max() <= 2
    assert max(size) >= 256


def test_no_other_ending(tmp_path):
    with pytest.raises(InputError, match="allowed are .gif and .webp"):
        write_animation(ramp(3), [tmp_path / "gap.mp4"])


def trained(*rows):
    return pd.DataFrame(rows, columns=["dataset", "K", "method", "budget"])


def test_captions_say_dataset_n_k_protocol_budget_and_commit():
    scores = synthetic_scores(slices=3)
    trainings = trained(
        ("t1_embedded", 2, "cae", "CAE, 5,000 updates"), ("t1_embedded", 4, "cae", "CAE, 250 updates")
    )
    environment = {"git": {"commit": "0123456789abcdef", "dirty": False}}
    figures = {
        "boxes_whole_ssim": figure("boxes", ["cae", "lanczos"], metric="SSIM", region="whole image"),
        "gap_t1_embedded_K4_cae": figure("gap", ["cae"], "t1_embedded", 4, shown="t1, thin", label="CAE"),
        "gap_t1_embedded_K4_lanczos": figure("gap", ["lanczos"], "t1_embedded", 4, label="Lanczos"),
    }
    finished = {"lanczos": "Lanczos (its budget: there)", "absent": "Absent"}
    text = figure_captions(figures, frame_means(scores), trainings, environment, {}, finished, NAMES)
    both, four, lanczos = (line for line in text.splitlines() if line.startswith("**Figure"))
    assert "SSIM per subject, whole image, with the tests." in both
    assert (
        "Dataset t1, no slice profile (n = 5 test subjects); K = 2 and 4; protocol strict; scored: all gaps."
        in both
    )
    assert "Trainings: CAE, 250 updates; CAE, 5,000 updates." in both
    assert "K = 4; protocol strict. Trainings: CAE, 250 updates. Made at" in four, (
        "no finished model is shown"
    )
    assert "Nothing that is shown was trained here. Finished models: Lanczos (its budget: there)." in lanczos
    assert "One gap interpolated by CAE, t1, thin, K = 4" in four
    assert lanczos.endswith("Made at commit 0123456789.")
    changed = figure_captions(
        figures, frame_means(scores[scores["subject"] != "sub-00"]), trained(), {"git": None}, {}, {}, NAMES
    )
    assert "n = 4" in changed
    assert "Made at no commit." in changed


def test_a_caption_of_a_dataset_with_borrowed_models_names_it_alone_and_their_budget():
    scores = synthetic_scores(slices=3)
    scores = pd.concat([scores, scores.replace({"dataset": {"t1_embedded": "t1_embedded_shifted"}})])
    trainings = trained(("t1_embedded", 4, "cae", "CAE, 250 updates"))
    lenders = {"t1_embedded": "t1_embedded", "t1_embedded_shifted": "t1_embedded"}
    figures = {"gap": figure("gap", ["cae"], "t1_embedded_shifted", 4, label="CAE")}
    text = figure_captions(figures, frame_means(scores), trainings, {"git": None}, lenders, {}, NAMES)
    assert "Dataset moved t1, no slice profile (n = 5 test subjects); K = 4; protocol strict." in text
    assert "Trainings: CAE, 250 updates." in text
