"""Which slices of a volume are scored, and the table that comes out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from heads import head_volume
from interslice.common.errors import InputError
from interslice.common.similarity import psnr, ssim, vif
from interslice.data.masks import foreground_mask
from interslice.scoring.lpips import lpips_regions
from interslice.scoring.registry import METRICS
from interslice.scoring.slices import score_volume, scored_slices
from interslice.training.lpips_backbones import BACKBONES
from interslice.training.lpips_network import LPIPSNetwork


@pytest.fixture(scope="module")
def network() -> LPIPSNetwork:
    alex, draw = BACKBONES["alex"], torch.Generator().manual_seed(0)
    convolutions = {name: torch.randn(shape, generator=draw) / 20 for name, shape in alex.shapes().items()}
    widths = [alex.channels[index] for index in alex.layers]
    heads = {
        f"lin{layer}.model.1.weight": torch.rand((1, width, 1, 1), generator=draw)
        for layer, width in enumerate(widths)
    }
    return LPIPSNetwork(alex, convolutions, heads)


def interpolated(factor: int, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """(result, reference): linear interpolation of every factor-th slice, which is passed through."""
    reference = head_volume()[:slices]
    position = np.arange(slices) / factor
    below = np.minimum(position.astype(int), (slices - 1) // factor - 1) * factor
    weight = ((np.arange(slices) - below) / factor)[:, None, None].astype(np.float32)
    return (1 - weight) * reference[below] + weight * reference[below + factor], reference


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_score_volume_holds_one_row_per_slice_region_and_metric(factor: int, network: LPIPSNetwork) -> None:
    result, reference = interpolated(factor, 13)
    mask = foreground_mask(reference)
    metrics = ["lpips", "vif", "psnr", "ssim"]
    table = score_volume(result, reference, factor, metrics=metrics, lpips_network=network, mask=mask)
    assert list(table.columns) == ["slice", "kind", "region", "metric", "value"]
    assert len(table) == 13 * 2 * 4
    assert not table.duplicated(["slice", "region", "metric"]).any()
    kept = table[table["slice"] % factor == 0]
    assert set(kept["kind"]) == {"kept"}
    assert set(table.drop(kept.index)["kind"]) == {"synthesised"}
    assert np.isinf(kept.loc[kept["metric"] == "psnr", "value"]).all()

    scores = table.set_index(["region", "metric", "slice"])["value"].sort_index()
    for name, measure in (("ssim", ssim), ("psnr", psnr), ("vif", vif)):
        for i in (0, 5, 12):
            assert scores["whole", name, i] == measure(result[i], reference[i], data_range=1.0)
            inside = measure(result[i], reference[i], data_range=1.0, mask=mask[i])
            assert scores["foreground", name, i] == inside
    expected = lpips_regions(result, reference, network, [mask])[0]
    np.testing.assert_allclose(scores["foreground", "lpips"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("slices", "factor", "gap_step", "expected"),
    [
        (9, 2, 1, range(9)),
        (9, 2, 2, [0, 1, 4, 5, 8]),  # gaps 0 | 2 | 4: gap 4 is the last kept slice alone
        (9, 2, 3, [0, 1, 6, 7]),
        (13, 4, 2, [0, 1, 2, 3, 8, 9, 10, 11]),
        (13, 4, 3, [0, 1, 2, 3, 12]),
        (13, 4, 9, [0, 1, 2, 3]),
    ],
)
def test_gap_step_selects_whole_gaps(slices: int, factor: int, gap_step: int, expected: list[int]) -> None:
    assert scored_slices(slices, factor, gap_step).tolist() == list(expected)
    result, reference = interpolated(factor, slices)
    settings = {"metrics": ["psnr"], "mask": foreground_mask(reference)}
    table = score_volume(result, reference, factor, gap_step=gap_step, **settings)
    everything = score_volume(result, reference, factor, **settings)
    chosen = everything[everything["slice"].isin(expected)].reset_index(drop=True)
    assert table.equals(chosen)


def test_foreground_is_scored_where_there_is_some() -> None:
    result, reference = interpolated(2, 9)
    mask = foreground_mask(reference)
    whole = score_volume(result, reference, 2, metrics=["ssim", "psnr", "vif"], mask=mask)
    mask[3] = False
    table = score_volume(result, reference, 2, metrics=["ssim", "psnr", "vif"], mask=mask)
    gone = (whole["region"] == "foreground") & (whole["slice"] == 3)
    assert gone.sum() == 3
    assert table.equals(whole[~gone].reset_index(drop=True))
    assert table["value"].notna().all()


def test_memory_maps_are_taken(tmp_path: Path) -> None:
    result, reference = interpolated(2, 9)
    np.save(tmp_path / "reference.npy", reference)
    mapped = np.load(tmp_path / "reference.npy", mmap_mode="r")
    settings = {"metrics": ["ssim", "vif"], "mask": foreground_mask(mapped)}
    expected = score_volume(result, reference, 2, **settings)
    assert score_volume(result, mapped, 2, **settings).equals(expected)


VOLUME = np.random.default_rng(0).random((5, 48, 48)).astype(np.float32)
MASK = np.ones(VOLUME.shape, bool)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"result": VOLUME[:3]}, r"\(3, 48, 48\) and reference of shape \(5, 48, 48\)"),
        ({"result": VOLUME[:, None], "reference": VOLUME[:, None]}, r"\(slices, rows, columns\)"),
        ({"mask": MASK[:3]}, r"mask: bool of shape \(3, 48, 48\) found"),
        ({"mask": MASK.astype(float)}, "mask: float64"),
        ({"result": np.where(np.arange(5) == 2, np.nan, VOLUME.T).T}, "2304 voxels of the result are NaN"),
        (
            {"reference": np.where(VOLUME > 0.5, np.inf, VOLUME)},
            "voxels of the reference are NaN or infinite",
        ),
        ({"factor": 3}, "5 slices at factor 3"),
        ({"factor": 8}, "5 slices at factor 8"),
        ({"factor": 1}, "5 slices at factor 1"),
        ({"gap_step": 0}, "gap_step: 0 found"),
        ({"metrics": ["ssim", "mae"]}, r"\['ssim', 'mae'\] found, allowed are some of"),
        ({"metrics": ["ssim", "ssim"]}, "each once"),
        ({"metrics": []}, r"metrics: \[\] found"),
        ({"metrics": ["lpips"]}, "lpips found without a network"),
    ],
)
def test_bad_volumes(change: dict, message: str) -> None:
    settings = {
        "result": VOLUME,
        "reference": VOLUME,
        "factor": 2,
        "metrics": ["ssim"],
        "mask": MASK,
        **change,
    }
    with pytest.raises(InputError, match=message):
        score_volume(settings.pop("result"), settings.pop("reference"), settings.pop("factor"), **settings)


@pytest.mark.parametrize("metric", ["ssim", "vif"])
def test_too_small_slices_are_refused_with_the_smallest_side(metric: str) -> None:
    side = METRICS[metric].smallest_side
    fits = score_volume(VOLUME[:, :side], VOLUME[:, :side], 2, metrics=[metric], mask=MASK[:, :side])
    assert fits.loc[fits["region"] == "whole", "value"].to_numpy() == pytest.approx(1)
    small = VOLUME[:, : side - 1]
    with pytest.raises(InputError, match=f"{metric}: .* sides must be at least {side}"):
        score_volume(small, small, 2, metrics=[metric], mask=MASK[:, : side - 1])
