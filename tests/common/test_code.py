"""What is in the digest of a step's code, and what is not: on a small package, and on this one."""

import subprocess
import sys
from pathlib import Path

import pytest

from interslice.common.code import code_digest, reaches, script_entries
from interslice.common.errors import InputError

SOURCE = Path(__file__).parents[2] / "src"
FILES = {
    "__init__.py": '"""Package."""\n',
    "common/__init__.py": "",
    "common/errors.py": "class InputError(Exception):\n    pass\n",
    "grid.py": "STEP, OTHER = 2, 5\nUNUSED = 3\ndef size(n):\n    return n * STEP\ndef spare():\n    return UNUSED\n",
    "relative.py": "from .grid import size as length\ndef run():\n    return length(2)\n",
    "state.py": "TABLE = {}\ndef load():\n    return TABLE\nTABLE['a'] = 1\nif TABLE:\n    TABLE['b'] = 2\n",
    "shapes.py": (
        "from dataclasses import dataclass\nfrom functools import cache, partial\n"
        "@cache\ndef decorated():\n    return 1\n"
        "class Base:\n    side = 1\n    def area(self):\n        return self.side\n"
        "class Square(Base):\n    def double(self):\n        return 2\n"
    ),
    "steps/__init__.py": "",
    "steps/train.py": (
        "from typing import TYPE_CHECKING\nimport numpy as np\nfrom math import floor, ceil\n"
        "from interslice.common.errors import InputError\n"
        "from interslice.grid import spare as other_step\n"
        "import interslice.methods\n"
        "from interslice import state\n"
        "if TYPE_CHECKING:\n    from interslice.grid import UNUSED\n"
        "LIMIT: int = 7\n"
        "def words(n):\n    return f'bad {n}'\n"
        "def helper(n):\n    return floor(n)\n"
        "def train_method(n):\n"
        '    """Train."""\n'
        "    from interslice.relative import run\n"
        "    if n > LIMIT:\n        raise InputError(words(n))\n"
        "    print('training')\n"
        "    return helper(run())  # one\n"
        "def other_method():\n    from interslice.shapes import Square, decorated\n    return Square, decorated\n"
        "def third_method(file):\n    print('a result', file=file)\n    return state.load()\n"
        "def fourth_method():\n    return other_step\n"
        "def fifth_method(name='interslice.extra'):\n    return __import__(name)\n"
    ),
    "extra.py": "E = 1\n",
    "methods/__init__.py": "from interslice.methods.registry import METHODS\ndef build(name):\n    return METHODS[name]\n",
    "methods/registry.py": "METHODS = {'cae': 'interslice.methods.cae'}\n",
    "methods/cae.py": (
        "from ..grid import size\nclass CAE:\n    width = 2\n"
        "CLASSES = {'cae': CAE}\ndef loose():\n    return 1\n"
    ),
    "broken.py": "import interslice.absent\n",
    "invalid.py": "def f(:\n",
    "star.py": "from interslice.grid import *\ndef f():\n    return size(1)\n",
    "guarded.py": (
        "try:\n    from interslice.grid import spare\nexcept ImportError:\n    spare = None\ndef f():\n    return 1\n"
    ),
}
TRAIN = "interslice.steps.train:train_method"
OTHER, THIRD, FOURTH, FIFTH = (
    f"interslice.steps.train:{n}_method" for n in ("other", "third", "fourth", "fifth")
)
CAE = "interslice.methods.cae:CLASSES"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "interslice"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def changes(package: Path, edited: str, old: str, new: str, *entries: str) -> bool:
    """Whether the digest of `entries` differs after the first `old` became `new` in one file (nothing: is appended)."""
    before = code_digest(*entries, package_root=package)
    text = (package / edited).read_text()
    assert old in text
    (package / edited).write_text(text.replace(old, new, 1) if old else text + new)
    return code_digest(*entries, package_root=package) != before


@pytest.mark.parametrize(
    ("entry", "edited", "old", "new"),
    [
        (TRAIN, "steps/train.py", "helper(run())", "helper(run() + 1)"),
        (TRAIN, "steps/train.py", "return floor(n)", "return 2 * floor(n)"),  # a function that it calls
        (TRAIN, "steps/train.py", "LIMIT: int = 7", "LIMIT: int = 8"),  # a constant
        (TRAIN, "steps/train.py", "raise InputError", "raise ValueError"),  # it may be caught
        (TRAIN, "steps/train.py", "        raise InputError(words(n))\n", "        n = LIMIT\n"),
        (TRAIN, "steps/train.py", "floor, ceil", "ceil as floor, floor as ceil"),  # from outside the package
        (TRAIN, "steps/train.py", '"""Train."""', 'f"""Train."""'),  # no docstring
        (TRAIN, "relative.py", "length(2)", "length(3)"),  # imported inside the function
        (TRAIN, "relative.py", "import size as length", "import spare as length"),
        (TRAIN, "grid.py", "STEP, OTHER = 2, 5", "STEP, OTHER = 3, 5"),  # two modules away, by another name
        (TRAIN, "grid.py", "STEP, OTHER = 2, 5", "STEP, OTHER = 5, 2"),
        (TRAIN, "methods/__init__.py", "", "if True:\n    X = 1\n"),  # "import a.b" has all of it
        (THIRD, "steps/train.py", "'a result'", "'another'"),  # printed into a file
        (THIRD, "state.py", "TABLE = {}", "TABLE = {'c': 3}"),
        (THIRD, "state.py", "TABLE['a'] = 1", "TABLE['a'] = 2"),  # runs at the import
        (THIRD, "state.py", "TABLE['b'] = 2", "TABLE['b'] = 3"),
        (THIRD, "state.py", "", "def new():\n    return 1\n"),  # a module as a value: all of it
        (OTHER, "shapes.py", "return self.side", "return 1"),  # a base class
        (OTHER, "shapes.py", "return 2", "return 3"),
        (OTHER, "shapes.py", "@cache", "@partial"),
        (FOURTH, "grid.py", "UNUSED = 3", "UNUSED = 4"),
        (FIFTH, "extra.py", "E = 1", "E = 2"),  # a module's name as text
        (CAE, "methods/cae.py", "width = 2", "width = 3"),
        (CAE, "methods/cae.py", "{'cae': CAE}", "{'cae': CAE, 'two': CAE}"),
        ("interslice.methods.cae", "methods/cae.py", "return 1", "return 2"),  # all of a module
        ("interslice.methods.cae", "grid.py", "n * STEP", "n * n * STEP"),  # from ..grid
        ("interslice.star:f", "grid.py", "n * STEP", "n"),
        ("interslice.guarded:f", "grid.py", "return UNUSED", "return 0"),  # an import that is tried counts
    ],
)
def test_what_can_change_a_result_counts(package: Path, entry: str, edited: str, old: str, new: str) -> None:
    assert changes(package, edited, old, new, entry)


@pytest.mark.parametrize(
    ("entry", "edited", "old", "new"),
    [
        (TRAIN, "steps/train.py", "# one", "# another remark"),
        (TRAIN, "steps/train.py", "helper(run())", "(\n        helper(run())\n    )"),  # layout
        (TRAIN, "steps/train.py", "Train.", "Fit the network."),
        (TRAIN, "steps/train.py", '    """Train."""\n', ""),
        (TRAIN, "steps/train.py", "words(n))", "f'worse {n}')"),
        (TRAIN, "steps/train.py", "bad", "reworded"),  # words of an error, in a function of their own
        (TRAIN, "steps/train.py", "print('training')", "print('still', 'training')"),
        (TRAIN, "steps/train.py", "import UNUSED", "import STEP"),  # for type checkers
        (TRAIN, "steps/train.py", "", "def new():\n    return 1\nNEW = 2\n"),
        (TRAIN, "steps/train.py", "return Square", "return 1, Square"),  # another step
        (TRAIN, "grid.py", "return UNUSED", "return UNUSED + 1"),
        (TRAIN, "grid.py", "", "def unused():\n    return 1\n"),
        (TRAIN, "shapes.py", "return 2", "return 3"),
        (TRAIN, "common/errors.py", "pass", "x = 1"),
        (TRAIN, "__init__.py", "", "X = 1\n"),
        (TRAIN, "methods/registry.py", "'}", "', 'new': 'interslice.methods.new'}"),
        (TRAIN, "methods/cae.py", "width = 2", "width = 3"),  # behind the registry
        (CAE, "methods/registry.py", "'}", "', 'new': 'interslice.methods.new'}"),
        (CAE, "methods/cae.py", "return 1", "return 2"),  # no method uses it
        (CAE, "methods/__init__.py", "", "X = 1\n"),
    ],
)
def test_what_cannot_does_not(package: Path, entry: str, edited: str, old: str, new: str) -> None:
    assert not changes(package, edited, old, new, entry)


def test_which_code_uses_a_module_outside_the_digest() -> None:
    registry = "interslice.scoring.registry"
    assert reaches(registry, "interslice.steps.tables")
    assert not reaches(registry, "interslice.steps.train:train_method")
    assert not reaches(registry, "interslice.common.similarity:ssim")


def test_several_entries_and_the_names_of_modules_count(package: Path) -> None:
    pair = code_digest(TRAIN, CAE, package_root=package)
    assert pair == code_digest(CAE, TRAIN, package_root=package)
    assert pair != code_digest(TRAIN, package_root=package)
    assert len(pair) == 64
    before = code_digest("interslice.extra", package_root=package)
    (package / "extra.py").rename(package / "renamed.py")
    assert code_digest("interslice.renamed", package_root=package) != before


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("interslice.nothing", "interslice.nothing: no such module"),
        ("numpy.linalg", "numpy.linalg: no such module"),
        (
            "interslice.broken",
            "interslice.absent: no such module in the package, needed by interslice.broken",
        ),
        ("interslice.invalid", "interslice.invalid: not valid Python"),
    ],
)
def test_modules_that_cannot_be_digested(package: Path, entry: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        code_digest(entry, package_root=package)


def test_a_scripts_entries_are_what_it_imports(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom interslice.common.provenance import logged\nwith logged(snakemake.log[0]):\n"
        "    from pathlib import Path\n    from interslice.steps.train import train_method, other_method as o\n"
    )
    assert script_entries(script) == [
        "interslice.common.provenance:logged",
        "interslice.steps.train:train_method",
        "interslice.steps.train:other_method",
    ]


def test_this_package_can_be_digested_without_being_imported() -> None:
    names = sorted(
        "interslice." + ".".join(path.relative_to(SOURCE / "interslice").with_suffix("").parts)
        for path in (SOURCE / "interslice").rglob("*.py")
        if path.name != "__init__.py"
    )
    code = (
        "import sys; from interslice.common.code import code_digest; before = set(sys.modules)\n"
        f"for name in {names!r}: code_digest(name)\n"
        "print([m for m in set(sys.modules) - before if m.startswith(('interslice', 'torch', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
