"""The conda environments against the lock file. No conda runs here: the files must be right by construction."""

import re
import subprocess
import sys

import pytest
import yaml

from settings import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
LIGHT_STEPS = ["data", "scores", "tables", "figures", "page"]


def locked_versions():
    """Package to the versions that the lock file allows (it may have one per Python version)."""
    versions = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    ):
        versions.setdefault(name.lower(), set()).add(version)
    return versions


def pins_of(path):
    (pip,) = [
        entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict)
    ]
    return dict(pin.split("==") for pin in pip)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_pin_is_the_locks(path):
    locked = locked_versions()
    drifted = {
        name: version
        for name, version in pins_of(path).items()
        if version not in locked.get(name.lower(), ())
    }
    assert drifted == {}, "run `make envs`"


def test_environments_hold_what_their_rules_import():
    light, heavy = (pins_of(ROOT / "envs" / f"{name}.yaml") for name in ("light", "torch"))
    assert "torch" not in light
    assert {"torch", "torchvision", "lpips"} <= set(heavy)
    assert set(light) <= set(heavy)


def test_light_steps_import_no_torch():
    """They run in an environment without it; whatever else they import must be pinned there."""
    imports = "; ".join(f"import interslice.steps.{step}" for step in LIGHT_STEPS)
    code = f"import sys; {imports}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "torch" not in loaded
    light = {name.lower().replace("-", "_") for name in pins_of(ROOT / "envs" / "light.yaml")}
    names = {
        "yaml": "pyyaml",
        "PIL": "pillow",
        "skimage": "scikit_image",
        "dateutil": "python_dateutil",
        "mpl_toolkits": "matplotlib",
    }
    third_party = {
        "numpy",
        "scipy",
        "pandas",
        "nibabel",
        "skimage",
        "matplotlib",
        "yaml",
        "jinja2",
        "statsmodels",
        "pyarrow",
        "tqdm",
    }
    third_party |= {
        "pydicom",
        "SimpleITK",
        "requests",
        "psutil",
        "jsonschema",
        "PIL",
        "sewar",
        "lpips",
        "sklearn",
        "pooch",
        "torchmetrics",
    }
    missing = {name for name in loaded & third_party if names.get(name, name).lower() not in light}
    assert missing == set()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow" / "rules").glob("*.smk")), ids=lambda path: path.stem
)
def test_every_rule_names_an_environment_that_exists(path):
    text = path.read_text()
    named = re.findall(r'conda:\s+"\.\./\.\./envs/(\w+)\.yaml"', text)
    scripted = len(re.findall(r"^\s+script:$", text, re.MULTILINE))
    assert len(named) == scripted
    assert set(named) <= {environment.stem for environment in ENVIRONMENTS}
