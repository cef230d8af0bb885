"""The conda environments against the lock file. No conda runs here: the files must be right by construction."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import copy_of_the_code
from packaging.utils import canonicalize_name

from installed import PLATFORM, PYTHON, closure
from settings import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
LIGHT_STEPS = ["data", "scores", "tables", "figures", "page", "viewer", "audit", "gaps"]


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


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_is_the_closure_of_what_is_listed(path):
    """No package less and none more than pyproject.toml's list brings along: `make envs` would write this file."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "envs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    pins = {canonicalize_name(name) for name in pins_of(path)}
    assert pins == closure(generate.packages()[path.stem], PLATFORM | PYTHON), "run `make envs`"


def test_the_container_holds_the_packages_of_the_heavier_environment():
    """It serves every rule: the light steps import nothing that the other environment lacks."""
    definition = (ROOT / "envs" / "torch.def").read_text()
    assert dict(re.findall(r"^ +(\S+)==(\S+)", definition, re.MULTILINE)) == pins_of(
        ROOT / "envs" / "torch.yaml"
    )
    assert 'container: "envs/torch.sif"' in (ROOT / "workflow" / "Snakefile").read_text()


def test_environments_hold_what_their_rules_import():
    light, heavy = (pins_of(ROOT / "envs" / f"{name}.yaml") for name in ("light", "torch"))
    assert "torch" not in light
    assert {"torch", "torchvision", "lpips", "scikit-learn"} <= set(heavy)
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


SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_finds_the_package_first(path):
    lines = [line for line in path.read_text().splitlines() if line]
    assert lines[:2] == ["import sys", 'sys.path.insert(0, snakemake.scriptdir + "/../../src")']


def test_the_package_is_found_where_it_is_not_installed(tmp_path):
    """As in a rule's environment: its packages, but not this one. -S leaves out the .pth file of the editable install."""
    import numpy

    head = (
        (SCRIPTS[0].read_text().split("from interslice")[0])
        + "import interslice, interslice.common.provenance\n"
    )
    code = f"""
import sys, types
sys.path.append({str(Path(numpy.__file__).parent.parent)!r})
try:
    import interslice
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the package is installed")
snakemake = types.SimpleNamespace(scriptdir={str(ROOT / "workflow" / "scripts")!r})
{head}
print(interslice.__file__)
"""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert Path(run.stdout.strip()) == (ROOT / "workflow/scripts/../../src/interslice/__init__.py")


def test_use_conda_without_conda_is_snakemakes_own_error(tmp_path):
    """And not one of ours; how to get conda is in docs/cluster.md."""
    copy_of_the_code(tmp_path)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    if shutil.which("conda", path=environment["PATH"]):
        pytest.skip("conda is installed here")
    command = [sys.executable, "-m", "snakemake", "--use-conda", "--cores", "1"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode != 0
    assert "conda" in run.stderr + run.stdout
    assert "Is conda installed and accessible?" in run.stderr + run.stdout


def test_eclare_stays_out_of_our_environments():
    """GPL-3.0: a program of its own in an environment of its own, and imported nowhere."""
    ours = [ROOT / "pyproject.toml", ROOT / "requirements.lock", *ENVIRONMENTS]
    assert all(not re.search(r"^\W*eclare\b", path.read_text(), re.MULTILINE) for path in ours)
    assert re.search(r"^eclare==", (ROOT / "envs" / "eclare.txt").read_text(), re.MULTILINE)
    sources = (path.read_text() for folder in ("src", "workflow") for path in (ROOT / folder).rglob("*.py"))
    assert not any(re.search(r"^\s*(import|from)\s+eclare\b", text, re.MULTILINE) for text in sources)
