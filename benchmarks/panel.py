"""Draw docs/panel.png, the picture of the README, from the default study: K = 4, cropped to the brain (scans show faces)."""

from pathlib import Path

from interslice.common.schemas import read_yaml
from interslice.config import load_study
from interslice.data.volumes import open_volume, reference_slices
from interslice.report.figures import qualitative_panel, save
from interslice.steps.data import volumes_of

ROOT, FACTOR = Path(__file__).parent.parent, 4
METHODS = ("linear", "bspline", "cae", "cae_pretrained", "cae_residual_pretrained")
BRAIN = (
    slice(62, 150),
    slice(22, 158),
    slice(24, 196),
)  # of subject JHU: superior half of the head, without the face

if __name__ == "__main__":
    study = load_study(read_yaml(ROOT / "config" / "config.yaml"), ROOT)
    results, subject = ROOT / "results", study.datasets["t1"]["figure_subject"]
    reference = open_volume(volumes_of([results / "normalise_volumes/t1/0"], "test")[subject])
    target = reference_slices(reference.data, FACTOR)[0]
    folder = results / "default/evaluate_method/t1" / f"K{FACTOR}"
    volumes = {
        method: open_volume(folder / method / "seed1/0_volumes" / f"{subject}.nii").data[0]
        for method in METHODS
    }
    figure = qualitative_panel(
        volumes,
        target,
        spacing_mm=reference.spacing,
        slice_index=102,
        reformat="column",
        index=target.shape[2] // 2,
        labels=study.labels,
        crop=BRAIN,
    )
    save(figure, ROOT / "docs" / "panel.png")
