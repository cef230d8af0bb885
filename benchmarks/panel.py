"""Draw docs/panel.png, the picture of the README, from the default study: K = 4, cropped to the brain (scans show faces)."""

from pathlib import Path

from interslice.common.schemas import read_yaml
from interslice.config import load_study
from interslice.report.qualitative import qualitative_panel
from interslice.report.reader_study import study_cases
from interslice.report.style import save

ROOT, FACTOR = Path(__file__).parent.parent, 4
METHODS = ("linear", "bspline", "cae", "cae_pretrained", "cae_residual_pretrained")
BRAIN = (
    slice(62, 150),
    slice(22, 158),
    slice(24, 196),
)  # of subject JHU: superior half of the head, without the face

if __name__ == "__main__":
    study = load_study(read_yaml(ROOT / "config" / "config.yaml"), ROOT)
    subject = study.datasets["t1"]["figure_subject"]
    cases = study_cases(ROOT / "results" / "default", "t1", FACTOR, METHODS)
    case = next(case for case in cases if case.subject == subject)
    target, volumes = case.reference, case.volumes
    figure = qualitative_panel(
        volumes,
        target,
        spacing_mm=(1.0, *case.pixel_mm),
        slice_index=102,
        reformat="column",
        index=target.shape[2] // 2,
        labels=study.labels,
        crop=BRAIN,
    )
    save(figure, ROOT / "docs" / "panel.png")
