"""What `--check` promises and what `--uncertainty` holds, against the truth: one command, one figure and one table.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/own_scans.py results/normalise_volumes/t1/test-*/0 FOLDER [--factor 4]

Takes the normalised volumes of a study (`snakemake` makes them), drops slices under every slice profile, and treats what is
left as a person's scan. Gain: PSNR of the model less that of the cubic B-spline, as `--check` has it on held-out slices at
twice the spacing, and on the slices that were dropped. Interval: share of the voxels of these slices that lie within it, for
every nominal share. Writes FOLDER/own_scans.csv and own_scans.png. Thickness is told as a header would.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from interslice.common.files import write_csv
from interslice.common.similarity import decibels
from interslice.data.volumes import PROFILES, SLAB, Volume, decimate, open_volume, reference_slices
from interslice.report.style import COLOURS, legend_below, save, styled
from interslice.scan.grid import Grid
from interslice.scan.interval import gap_factor, scale, width
from interslice.scan.models import Model, conventional, load_model
from interslice.scan.scans import Scan, scan_from_image
from interslice.scan.trust import check_methods
from interslice.scan.upsampling import limits_of, upsample_scan

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95)
STEP = 8  # every eighth gap is compared with the truth
SPLINE = "bspline"


def scan_of(low: Volume, profile: str, factor: int) -> Scan:
    """The slices that are left, as a scan whose header says how thick they are."""
    image = nib.Nifti1Image(np.moveaxis(low.data[0], 0, 2), np.diag([*low.spacing[1:], low.spacing[0], 1.0]))
    thickness = {"none": low.spacing[0] / factor, "slab": SLAB * low.spacing[0]}.get(profile, low.spacing[0])
    return replace(scan_from_image(image, "scan"), thickness_mm=float(thickness))


def rows_of(subject: str, sharp: Volume, profile: str, factor: int, model: Model) -> list[dict[str, object]]:
    """A row of the gains, and one per level of the interval of either method."""
    scan, truth = (
        scan_of(decimate(sharp, factor, profile), profile, factor),
        reference_slices(sharp.data, factor)[0],
    )
    grid = Grid(scan.stored.shape[2], factor, thickness=(scan.thickness_mm or 0.0) / scan.slice_spacing_mm)
    models = {SPLINE: conventional(SPLINE), model.name: model}
    promised = check_methods(scan, {name: one.method for name, one in models.items()})
    new = [n for n in range(len(truth)) if n % factor and n // factor % STEP == 0]
    low, high = limits_of(scan.frame(0), trained=True)
    place = {"subject": subject, "profile": profile, "K": factor}
    rows, quality = [], {}
    for name, one in models.items():
        made = np.moveaxis(upsample_scan(scan, grid, one.method).stored, 2, 0)
        error = np.abs(made[new].astype(np.float64) - truth[new])
        quality[name] = decibels(float(np.mean(error**2)), data_range=1.0)
        data = np.moveaxis(scan.stored, 2, 0)
        unit = (high - low) * np.array(
            [scale(*(data[n // factor + k] / (high - low) for k in (0, 1))) for n in new]
        )
        share = error / (unit * gap_factor(grid.thickness))
        for level in LEVELS:
            held = float(np.mean(share <= width(scan, one, True, level)))
            rows.append(place | {"method": name, "what": "interval", "nominal": level, "found": held})
    gains = [promised[model.name].psnr - promised[SPLINE].psnr, quality[model.name] - quality[SPLINE]]
    return [*rows, place | {"method": model.name, "what": "gain", "nominal": gains[0], "found": gains[1]}]


@styled
def figure_of(table: pd.DataFrame) -> Figure:
    """Left the interval, a curve per profile and method; right the gain, a point per scan."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (profile, part) in zip(COLOURS, table.groupby("profile", sort=False), strict=False):
        for style, (method, of) in zip(
            ("--", "-"), part[part["what"] == "interval"].groupby("method", sort=False), strict=True
        ):
            mean = of.groupby("nominal")["found"].mean()
            left.plot(
                mean.index, mean, style, color=colour, marker="o", markersize=3, label=f"{profile}, {method}"
            )
        gain = part[part["what"] == "gain"]
        right.plot(gain["nominal"], gain["found"], "o", color=colour, markersize=4, label=profile)
    left.plot([0.5, 1], [0.5, 1], color="0.6", linewidth=0.8)
    left.set(xlabel="nominal share", ylabel="share of true values inside", title="Interval")
    limits = [min(0.0, *right.get_xlim(), *right.get_ylim()), max(*right.get_xlim(), *right.get_ylim())]
    right.plot(limits, limits, color="0.6", linewidth=0.8)
    right.axhline(0, color="0.8", linewidth=0.8)
    right.axvline(0, color="0.8", linewidth=0.8)
    right.set(
        xlabel="gain that --check sees (dB)", ylabel="gain that is there (dB)", title="Gain over the B-spline"
    )
    legend_below(figure)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("volumes", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--model", default="motion_spline")
    options = parser.parse_args()
    model = load_model(options.model)
    rows = []
    for path in sorted(options.volumes.glob("*.nii")):
        for profile in PROFILES:
            rows += rows_of(path.stem, open_volume(path), profile, options.factor, model)
    table = pd.DataFrame(rows)
    options.folder.mkdir(parents=True, exist_ok=True)
    write_csv(table, options.folder / "own_scans.csv")
    save(figure_of(table), options.folder / "own_scans.png")
    gains = table[table["what"] == "gain"]
    right = int((np.sign(gains["nominal"]) == np.sign(gains["found"])).sum())
    print(f"sign of the gain right in {right} of {len(gains)}")
    print(gains.groupby("profile", sort=False)[["nominal", "found"]].mean().to_markdown(floatfmt=".2f"))
    held = table[table["what"] == "interval"].pivot_table(
        index=["profile", "method"], columns="nominal", values="found", sort=False
    )
    print(held.to_markdown(floatfmt=".3f"))


if __name__ == "__main__":
    main()
