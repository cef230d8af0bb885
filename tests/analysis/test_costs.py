"""Quality against cost."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from interslice.analysis.costs import cost_table
from interslice.common.errors import InputError
from interslice.report.costs import quality_against_seconds, shown_costs
from interslice.report.formatting import markdown
from interslice.report.style import save
from interslice.scoring.longtable import frame_means
from interslice.steps.budgets import with_budgets
from interslice.steps.cost import read_costs

DISPLAY = {
    "labels": {"oracle": "Oracle", "bspline": "B-spline", "cae": "CAE", "srcnn3d": "SRCNN3D"},
    "controls": ["oracle"],
    "supervised": ["srcnn3d"],
}


def scores():
    """Three subjects, two factors; PSNR 30 + method's bonus + subject, so that every mean is known."""
    rows = [
        {
            "dataset": "t1",
            "method": method,
            "K": factor,
            "seed": 1,
            "protocol": "strict",
            "subject": f"s{subject}",
        }
        | {"frame": 0, "slice": 1, "kind": "synthesised", "region": "whole", "metric": "psnr"}
        | {"value": 30.0 + bonus + subject}
        for method, bonus in (("oracle", np.inf), ("bspline", 0), ("cae", 1), ("srcnn3d", 2))
        for factor in (2, 4)
        for subject in range(3)
    ]
    return frame_means(pd.DataFrame(rows))


def costs(methods=("bspline", "cae", "srcnn3d")):
    rows = [
        {
            "dataset": "t1",
            "K": factor,
            "method": method,
            "seconds": 10.0**n,
            "seconds_per_million": 2.0,
            "peak_mib": 500.0,
        }
        for n, method in enumerate(methods)
        for factor in (2, 4)
    ]
    return pd.DataFrame(rows)


BUDGETS = """dataset,K,method,updates,training_seconds,per_scan,ended,other_profile
t1,2,cae,250.0,200.0,False,budget,
t1,2,bspline,,3.0,True,closed form,
t1,4,cae,900.0,700.0,False,plateau,
"""


def test_a_row_has_quality_and_seconds_of_its_method():
    table = cost_table(scores(), costs(), display=DISPLAY).set_index(["K", "method"])
    assert list(table.loc[2].index) == ["bspline", "cae", "srcnn3d"], "controls are no rivals"
    assert list(table.loc[4, "psnr_mean"]) == [31, 32, 33]
    assert list(table.loc[4, "seconds"]) == [1, 10, 100]
    assert list(table.loc[2, "supervised"]) == [False, False, True]


def test_supervised_methods_are_marked_in_the_table_and_the_figure(tmp_path):
    (tmp_path / "budgets.csv").write_text(BUDGETS)
    table = with_budgets(cost_table(scores(), costs(), display=DISPLAY), str(tmp_path / "budgets.csv"))
    text = markdown(shown_costs(table))
    assert "| SRCNN3D | yes (supervised)† | 33.00 | 100 | 2 | – | 500 |" in text
    assert "| CAE | no | 32.00 | 10 | 2 | 250 updates, 200 (budget) | 500 |" in text
    assert "| CAE | no | 32.00 | 10 | 2 | 900 updates, 700 (plateau) | 500 |" in text
    assert "| B-spline | no | 31.00 | 1 | 2 | in the scan's (closed form) | 500 |" in text
    figure = quality_against_seconds(table)
    axes, _, thousand, _ = figure.axes
    places = [
        {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in one.lines}
        for one in (axes, thousand)
    ]
    assert places[0] == {"B-spline": (1, 31), "CAE": (210, 32), "SRCNN3D†": (100, 33)}, (
        "a training counts once"
    )
    assert places[1] == {"B-spline": (1000, 31), "CAE": (10200, 32), "SRCNN3D†": (100000, 33)}
    hollow = [line.get_label() for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert hollow == ["SRCNN3D†"]
    save(figure, tmp_path / "cost.png")
    assert np.asarray(Image.open(tmp_path / "cost.png").convert("L")).std() > 5


def test_a_method_without_measurement_is_refused():
    with pytest.raises(InputError, match="no measurement of srcnn3d"):
        cost_table(scores(), costs(("bspline", "cae")), display=DISPLAY)


def test_costs_are_those_that_the_interpolations_wrote(tmp_path):
    """Medians over warm subjects of all shards of the seconds of a frame, and the largest memory."""
    records = [
        {"subject": "a", "frames": 1, "voxels": 1, "seconds": 90.0, "peak_mib": 100.0},
        {"subject": "b", "frames": 2, "voxels": 4_000_000, "seconds": 8.0, "peak_mib": 300.0},
        {"subject": "c", "frames": 1, "voxels": 1, "seconds": 50.0, "peak_mib": 400.0},
        {"subject": "d", "frames": 1, "voxels": 1_000_000, "seconds": 6.0, "peak_mib": 200.0},
    ]
    for shard, part in enumerate((records[:2], records[2:])):
        (tmp_path / str(shard)).mkdir()
        (tmp_path / str(shard) / "costs.json").write_text(json.dumps(part))
    (found,) = read_costs([["t1", 2, "linear", [str(tmp_path / "0"), str(tmp_path / "1")]]]).to_dict(
        "records"
    )
    assert (found["seconds"], found["seconds_per_million"], found["peak_mib"]) == (5, 3.5, 400)
    (alone,) = read_costs([["t1", 2, "linear", [str(tmp_path / "0")]]]).to_dict("records")
    assert alone["seconds"] == 4, "the first subject of a shard warms up"
