"""What a person with one scan has to install: no workflow manager, and torch for trained models alone."""

import gzip
import io
import json
import runpy
import shutil
import tarfile
import zipfile

import nibabel as nib
import numpy as np
import pytest

import interslice
from installed import closure, listed, plain_python, run_plainly
from settings import ROOT

HEAVY = {
    "torch",
    "snakemake",
    "pandas",
    "matplotlib",
    "SimpleITK",
    "pydicom",
    "PIL",
    "requests",
    "scipy.ndimage",
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    values = np.random.default_rng(0).integers(0, 1000, (32, 32, 9)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 4.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return plain_python(tmp_path_factory.mktemp("plain") / "packages")


def command(*arguments):
    """The command line as code; its last line is the exit code and the heavy packages that were imported."""
    return (
        "import json\nfrom interslice.cli import main\n"
        f"try:\n    code = main({[str(argument) for argument in arguments]})\n"
        "except SystemExit as stop:\n    code = stop.code or 0\n"
        f"print(json.dumps([code, sorted({HEAVY} & set(sys.modules))]))\n"
    )


def outcome(run):
    assert run.returncode == 0, run.stderr
    return tuple(json.loads(run.stdout.splitlines()[-1]))


def test_a_plain_installation_has_neither_torch_nor_snakemake():
    names = closure(listed())
    assert names & {"torch", "snakemake", "snakemake-executor-plugin-slurm", "lpips", "statsmodels"} == set()
    assert {"torch", "snakemake", "sewar", "lpips", "statsmodels"} <= closure(listed("study"))
    assert len(listed("study")) == len({line.split(">")[0].split("=")[0] for line in listed("study")})


def test_the_package_is_a_command_too(plain):
    run = run_plainly(
        plain, "sys.argv = ['interslice', '--version']\nimport runpy\nrunpy.run_module('interslice')"
    )
    assert (run.returncode, run.stdout.split()[0]) == (0, "interslice"), run.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["upsample", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(plain, arguments):
    assert outcome(run_plainly(plain, command(*arguments))) == (0, [])


def test_the_package_imports_nothing_heavy(plain):
    run = run_plainly(plain, f"import interslice\nprint(sorted({HEAVY} & set(sys.modules)))")
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_the_spline_imports_nothing_heavy(plain, scan, tmp_path):
    as_ever = "import os\nfor name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):\n    os.environ.pop(name, None)\n"
    threads = "\nimport psutil\nprint(psutil.Process().num_threads(), file=sys.stderr)\n"
    code = as_ever + command("upsample", scan, "--fast", "--quiet", "-o", tmp_path / "fine.nii.gz") + threads
    run = run_plainly(plain, code)
    assert outcome(run) == (0, [])
    assert run.stderr == "1\n"
    assert nib.load(tmp_path / "fine.nii.gz").shape == (32, 32, 33)


def test_all_else_without_a_model_works_plainly(plain, scan, tmp_path):
    options = ["--check", "--method", "registration", "--factor", 2, "-o", tmp_path / "fine.nii.gz"]
    options += ["--preview", tmp_path / "picture.png", "--uncertainty", tmp_path / "map.nii.gz"]
    code, imported = outcome(run_plainly(plain, command("upsample", scan, *options)))
    assert code == 0
    assert "torch" not in imported
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fine.nii.gz", "map.nii.gz", "picture.png"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["upsample", "SCAN", "-o", "OUT", "--model", "cae_residual_K4"],
            "the model cae_residual_K4.pt needs the package torch, which is not installed here: "
            "pip install 'interslice[model]'",
        ),
        (["upsample", "SCAN", "-o", "OUT", "--train-here"], "--train-here needs the package torch"),
        (["reader-analysis", "a.json"], "reader-analysis needs the package jinja2"),
        (
            ["reader-study", "r", "--dataset", "a", "--factor", "2", "--methods", "b"],
            "pip install 'interslice[study]'",
        ),
    ],
)
def test_what_is_not_installed_is_one_sentence(plain, scan, tmp_path, arguments, sentence):
    names = {"SCAN": scan, "OUT": tmp_path / "fine.nii.gz"}
    run = run_plainly(plain, command(*(names.get(argument, argument) for argument in arguments)))
    assert outcome(run)[0] == 2
    assert sentence in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_containers_install_as_the_readme_says():
    """Neither can be built here; what they run is the README's command, on all that the wheel is made of."""
    assert "`pip install '.[model]'`" in (ROOT / "README.md").read_text()
    docker, apptainer = ((ROOT / name).read_text() for name in ("Dockerfile", "apptainer.def"))
    for text in (docker, apptainer):
        assert "pip install --no-cache-dir '.[model]'" in text
        for name in ("pyproject.toml", "README.md", "LICENSE", "src"):
            assert (ROOT / name).exists()
            assert name in text.replace("by the steps of README.md", "")
    assert 'ENTRYPOINT ["interslice"]' in docker
    assert 'exec interslice "$@"' in apptainer


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this project, unpacked as pip would; beside it the source package."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "project").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "project")
    shutil.copytree(ROOT / "src", folder / "project" / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    release()["build"](folder / "project", folder)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as zipped:
        zipped.extractall(folder / "installed")
    return folder / "installed"


def release():
    """The functions that make a release, of envs/release.py."""
    return runpy.run_path(str(ROOT / "envs" / "release.py"))


def test_the_source_package_is_complete_and_packed_alike_whenever_it_is_made(wheel):
    (package,) = wheel.parent.glob("*.tar.gz")
    assert package.name == f"interslice-{interslice.__version__}.tar.gz"
    content = gzip.decompress(package.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = {member.name.partition("/")[2]: member for member in tar}
        later = io.BytesIO()
        with tarfile.open(fileobj=later, mode="w") as again:
            for member in reversed(list(members.values())):
                data = tar.extractfile(member) if member.isfile() else None
                member.mtime, member.uname = member.mtime + 5, "somebody"
                again.addfile(member, data)
    assert {"pyproject.toml", "LICENSE", "src/interslice/cli.py"} <= set(members)
    assert "src/interslice/methods/pretrained/README.md" in members
    pack = release()["packed"]
    assert pack(content, 10**9) == pack(later.getvalue(), 10**9)


def test_the_wheel_has_the_settings_and_the_finished_models(wheel):
    assert (ROOT / "config" / "methods").resolve() == ROOT / "src/interslice/methods/settings"
    for folder in ("settings", "pretrained"):
        here, there = (root / "interslice" / "methods" / folder for root in (ROOT / "src", wheel))
        assert {path.name: path.read_bytes() for path in there.iterdir()} == {
            path.name: path.read_bytes() for path in here.iterdir()
        }
    metadata = next(wheel.glob("*.dist-info/METADATA")).read_text()
    assert "Provides-Extra: study" in metadata


def test_a_finished_model_works_from_the_wheel_with_the_extra_model_alone(wheel, scan, tmp_path):
    """No network either: a name that cannot be resolved is all that its sockets get."""
    packages = plain_python(tmp_path / "packages", "model")
    options = ["--model", "cae_residual_K4", "-o", tmp_path / "fine.nii.gz"]
    offline = "import socket\nsocket.socket.connect = socket.getaddrinfo = None\n"
    run = run_plainly(packages, offline + command("upsample", scan, *options), source=wheel)
    code, imported = outcome(run)
    assert code == 0
    assert "snakemake" not in imported
    assert nib.load(tmp_path / "fine.nii.gz").shape == (32, 32, 33)
