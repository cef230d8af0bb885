"""What comes from outside runs no code and names no path of its own choosing: one test per item, with references.

Elsewhere: archives with absolute paths, "..", links, devices and bombs (test_archives), members of packages (test_pypi),
a pickle that runs a command (test_lpips), sdists whose code must not run (test_pypi).
"""

import ast
import os
import re

import pytest
import torch
import yaml

from generators import write_nifti
from interslice.common.checkpoints import read_checkpoint
from interslice.common.errors import InputError
from interslice.common.schemas import check, read_yaml
from interslice.config import load_study
from interslice.data.index import split_cases
from interslice.data.sources.folder import subject_of
from phantoms import ellipsoids
from settings import ROOT

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")])


def calls(path):
    """Dotted name of every call of a file, with its keywords and positional values where they are literals."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            yield ast.unparse(node.func), keywords


class Evil:
    """A pickle that runs a command when it is read."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_checkpoints_are_read_weights_only(tmp_path):
    torch.save({"format": 1, "weights": Evil(tmp_path / "ran")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="model.pt: not a readable checkpoint"):
        read_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()
    loads = [keywords for path in SOURCES for name, keywords in calls(path) if name == "torch.load"]
    assert len(loads) >= 3
    assert all(keywords.get("weights_only") is True for keywords in loads)


def test_no_pickle_is_read_but_through_the_restricted_reader():
    """Readers that run what a file says: none is called. The restricted reader is _ArraysOnly in lpips.py."""
    readers = {
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "pd.read_pickle",
        "joblib.load",
        "dill.load",
    }
    readers |= {
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "torch.jit.load",
        "eval",
        "exec",
        "marshal.loads",
    }
    readers |= {"shelve.open"}
    found = [(path.name, name) for path in SOURCES for name, _ in calls(path) if name in readers]
    assert found == []
    allowed = [path.name for path in SOURCES for name, k in calls(path) if k.get("allow_pickle") is True]
    assert allowed == []
    unpicklers = [
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases)
    ]
    assert unpicklers == ["lpips.py"]


def test_nothing_goes_through_a_shell():
    """Programs are started with lists of arguments, and no rule has a shell command that a wildcard could end up in."""
    risky = [
        (path.name, name)
        for path in SOURCES
        for name, keywords in calls(path)
        if name in ("os.system", "os.popen", "subprocess.getoutput")
        or keywords.get("shell") not in (None, False)
    ]
    assert risky == []
    rules = [*(ROOT / "workflow").rglob("*.smk"), ROOT / "workflow" / "Snakefile", ROOT / "Snakefile"]
    words = [line.strip() for path in rules for line in path.read_text().splitlines()]
    assert not [line for line in words if line.startswith(("shell:", "shell(", "run:"))]


@pytest.mark.parametrize(
    "stem", ["$(touch ran)", "a;rm -rf b", "..", "a b", "sub-$HOME", "{wildcard}", "-rf/x", "é\n"]
)
def test_a_file_name_becomes_a_subject_that_is_only_a_name(stem):
    assert set(subject_of(stem)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "a b", "$(touch ran)", "a/b"])
def test_a_subject_of_a_list_file_that_is_a_path_is_refused(tmp_path, name):
    """The one place where names of subjects come from a file that nothing else checks."""
    study = load_study(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)
    write_nifti(tmp_path / "data" / "a1.nii.gz", ellipsoids((9, 40, 44)), (1, 1, 4))
    (tmp_path / "list.csv").write_text(f"subject,split\na1,train\n{name},test\n")
    own = {"name": "own", "source": "folder", "folder": str(tmp_path / "data"), "pattern": None}
    dataset = study.datasets["t1"] | own | {"splits": {"file": str(tmp_path / "list.csv")}}
    with pytest.raises(
        InputError, match="dataset own: found the subject '.*', allowed are letters, digits, _ and -"
    ):
        split_cases(dataset, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../up"),
        ("name", "a b"),
        ("splits.train", ["../../outside"]),
        ("packages.img2fmri.archive", "../a.whl"),
        ("packages.img2fmri.archive", ".."),
        ("packages.img2fmri.requirement", "--index-url==1"),
        ("packages.img2fmri.requirement", "a==1; touch ran"),
        ("archives", {"../x.tar.gz": {"urls": ["https://example.org/x"], "size": 1, "sha256": None}}),
    ],
)
def test_names_of_a_dataset_file_are_only_names(key, value):
    dataset = read_yaml(ROOT / "config/datasets/t1.yaml")
    schema = read_yaml(ROOT / "workflow/schemas/dataset.schema.yaml")
    check(dataset, schema, "t1")
    place = dataset
    *parents, last = key.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(InputError):
        check(dataset, schema, "t1")


def test_every_wildcard_is_constrained():
    """Without a constraint a wildcard matches any path: ".." and "/" as well."""
    rules = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    constraints = rules.split("wildcard_constraints:")[1].split("\n\n")[0]
    constrained = dict(re.findall(r"^    (\w+)=(.*),$", constraints, re.MULTILINE))
    used = set(re.findall(r"\{(\w+)\}", re.sub(r"\{\{(\w+)\}\}", r"{\1}", rules)))
    named = {"dataset", "method", "K", "seed", "shard", "backbone", "subject", "ending", "archive", "region"}
    wildcards = used & (named | {"split", "made", "low", "run", "training"})
    assert set(constrained) == wildcards
    for name in ("subject", "archive"):
        pattern = ast.literal_eval(constrained[name])
        assert not any(
            re.fullmatch(pattern, bad)
            for bad in ("..", "a/b", "../a", "$(a)", "a b", "-a" * (name == "archive"))
        )
