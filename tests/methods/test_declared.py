"""What a new method still lacks is said when the study loads: one sentence that names the file to edit."""

import subprocess
import sys

import pytest
import yaml

from interslice.common.errors import InputError
from interslice.methods import build_method, declared
from interslice.methods.declared import check_declared, has_flag
from interslice.methods.method_files import SCHEMA, check_method
from interslice.methods.registry import METHODS, SUPERVISED
from settings import ROOT, small_settings

NEW = """
from interslice.methods.conventional import Linear as Plain
from interslice.methods.parts.supervised import Supervised


class Plane(Plain):
    pass


class Network(Supervised):
    pass


CLASSES = {"plane": Plane, "network": Network}
"""


@pytest.fixture
def new_methods(tmp_path, monkeypatch):
    """A package folder with a module of two new methods, plane and network, and lines for them in METHODS."""
    package = tmp_path / "interslice"
    package.symlink_to(ROOT / "src" / "interslice")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "new.py").write_text(NEW)
    monkeypatch.setattr(declared, "SOURCES", tmp_path)
    for name in ("plane", "network", "absent"):
        monkeypatch.setitem(METHODS, name, "mine.new")
    monkeypatch.setitem(METHODS, "nowhere", "mine.nowhere")
    declared.parsed.cache_clear()
    yield folder / "new.py"
    declared.parsed.cache_clear()


@pytest.mark.parametrize("name", METHODS)
def test_the_source_says_what_the_class_is(name):
    """Against the classes themselves, imported."""
    method = build_method(small_settings(name))
    check_declared(name, trained=method.trained)
    for flag in ("trained", "supervised", "needs_reference"):
        assert has_flag(METHODS[name], type(method).__name__, flag) == getattr(method, flag), flag
    assert (name in SUPERVISED) == method.supervised


@pytest.mark.parametrize(
    ("name", "trained", "sentence"),
    [
        ("magic", False, r"methods/\S+.py: found no method 'magic' in METHODS, there are oracle, nearest"),
        (
            "nowhere",
            False,
            r"METHODS has method 'nowhere' in mine.nowhere, and there is no file src/mine/nowhere.py",
        ),
        (
            "absent",
            False,
            r"src/mine/new.py: CLASSES must have the class of method 'absent', found are plane, network",
        ),
        (
            "plane",
            True,
            r"src/mine/new.py: class Plane is no trained method .*'plane' in its settings must not be trained",
        ),
        ("network", False, r"src/mine/new.py: class Network is a trained method .* must be trained"),
        (
            "network",
            True,
            r"found no method 'network' in SUPERVISED, its class Network in src/mine/new.py says otherwise",
        ),
    ],
)
def test_what_is_missing_is_one_sentence(new_methods, name, trained, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        check_declared(name, trained=trained)
    assert "\n" not in str(raised.value)
    check_declared("plane", trained=False)


def test_a_file_that_is_not_python_is_named(new_methods):
    new_methods.write_text("CLASSES = {")
    with pytest.raises(InputError, match=r"src/mine/new.py: not valid Python"):
        check_declared("plane", trained=False)


def test_a_method_without_a_schema_block_is_refused(new_methods):
    schema = yaml.safe_load((ROOT / SCHEMA).read_text())
    settings = {"method": "plane", "label": "Plane", "role": "baseline"}
    with pytest.raises(
        InputError, match=r"^workflow/schemas/method.schema.yaml: found no block 'plane' in .defs.methods"
    ):
        check_method(settings, schema, "method plane")


def test_nothing_imports_torch():
    code = "import sys; from pathlib import Path; from interslice.config import load_study, read_yaml; "
    code += "root = Path(sys.argv[1]); load_study(read_yaml(root / 'config/config.yaml'), root); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(ROOT)], check=True)
