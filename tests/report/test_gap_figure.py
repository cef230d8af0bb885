"""Strips, animations and captions of one gap."""

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageSequence

from interslice.common.errors import InputError
from interslice.report.captions import figure_captions
from interslice.report.gap_figure import cut_gap, gap_rows, middle_gap, write_animation
from phantoms import ramp
from synthetic_scores import synthetic_scores

LABELS = {"linear": "Linear", "cae": "CAE"}


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


def test_captions_say_dataset_n_k_protocol_budget_and_commit():
    scores = synthetic_scores(slices=3)
    budgets = {
        "CAE, t1_embedded, K = 2, seed 1": "CAE, 5,000 updates of 12 triplets",
        "CAE, t1_embedded, K = 4, seed 1": "CAE, 250 updates of 12 triplets",
    }
    environment = {"git": {"commit": "0123456789abcdef", "dirty": False}}
    titles = {"boxes_whole_ssim": "SSIM per subject", "gap_t1_embedded_K4_cae": "One gap"}
    finished = {"lanczos": "Lanczos (its budget: there)", "absent": "Absent"}
    text = figure_captions(titles, scores, budgets, environment, {}, finished)
    both, four = (line for line in text.splitlines() if line.startswith("**Figure"))
    assert (
        "Dataset t1_embedded (n = 5 test subjects); K = 2 and 4; protocol strict; scored: all gaps." in both
    )
    assert "Trainings: CAE, 250 updates of 12 triplets; CAE, 5,000 updates of 12 triplets." in both
    assert "K = 4; protocol strict. Trainings: CAE, 250 updates of 12 triplets." in four
    assert four.endswith("Not trained here: Lanczos (its budget: there). Made at commit 0123456789.")
    changed = figure_captions(titles, scores[scores["subject"] != "sub-00"], {}, {"git": None}, {}, {})
    assert "n = 4" in changed
    assert "Nothing was trained. Made at no commit." in changed


def test_a_caption_of_a_dataset_with_borrowed_models_names_it_alone_and_their_budget():
    scores = synthetic_scores(slices=3)
    scores = pd.concat([scores, scores.replace({"dataset": {"t1_embedded": "t1_embedded_shifted"}})])
    budgets = {"CAE, t1_embedded, K = 4, seed 1": "CAE, 250 updates of 12 triplets"}
    lenders = {"t1_embedded": "t1_embedded", "t1_embedded_shifted": "t1_embedded"}
    titles = {"gap_t1_embedded_shifted_K4_cae": "One gap"}
    text = figure_captions(titles, scores, budgets, {"git": None}, lenders, {})
    assert "One gap. Dataset t1_embedded_shifted (n = 5 test subjects); K = 4; protocol strict." in text
    assert "Trainings: CAE, 250 updates of 12 triplets." in text
