"""The order of the folders: a module imports from its own folder and from those before it, and modules have no cycle."""

import ast
from collections.abc import Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "interslice"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE
# The way of the data: volumes, methods, trainings, scores, comparisons, reports; a person's scan; a study's steps.
LAYERS = ("common", "data", "methods", "training", "scoring", "analysis", "report", "scan", "steps")
APART = ("cli", "config", "study", "__init__", "__main__")  # the doors of the package, and what a study is


def imports(source: str, module: str, is_package: bool, modules: Set[str]) -> set[str]:
    """Those of `modules` that a module imports, wherever in it; `from a.b import c` means a.b.c where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) + is_package - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else base for name in names}
    return found & modules


def import_graph(root: Path) -> dict[str, set[str]]:
    """Every module below `root` to those of them that it imports, as full names; a package's `__init__` has its name."""
    files = {
        ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in sorted(root.rglob("*.py"))
    }
    return {
        module: imports(path.read_text(), module, path.name == "__init__.py", files.keys())
        for module, path in files.items()
    }


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def violations(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """(module, imported module) wherever a folder is imported by one before it, or cli or config by any.

    The package itself may be imported: it has the version, and Python imports it before any of its modules.
    """
    place = {folder: index for index, folder in enumerate(LAYERS)}
    return {
        (module, imported)
        for module, found in graph.items()
        for imported in found
        if layer_of(module) in place
        and imported != PACKAGE
        and place.get(layer_of(imported), len(LAYERS)) > place[layer_of(module)]
    }


def test_folders_are_those_of_the_way_of_the_data() -> None:
    folders = {path.parent.relative_to(SOURCE).parts[0] for path in SOURCE.glob("*/**/*.py")}
    assert folders == set(LAYERS)
    assert {path.stem for path in SOURCE.glob("*.py")} == set(APART)


def test_modules_import_from_their_own_folder_and_those_before_it() -> None:
    assert not violations(import_graph(SOURCE))


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(import_graph(SOURCE)).prepare()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from interslice.report.style import STYLE", {("interslice.data.one", "interslice.report.style")}),
        (
            "def f():\n    from interslice.report import style",
            {("interslice.data.one", "interslice.report.style")},
        ),
        ("from ..report import style", {("interslice.data.one", "interslice.report.style")}),
        ("import interslice.report.style as s", {("interslice.data.one", "interslice.report.style")}),
        ("import interslice.config", {("interslice.data.one", "interslice.config")}),
        ("from interslice.common import errors", set()),
        ("from interslice.data.two import x", set()),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, line: str, expected: set[tuple[str, str]]) -> None:
    files = {
        "data/one.py": line,
        "data/two.py": "",
        "report/style.py": "",
        "common/errors.py": "",
        "config.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for folder in ("data", "report", "common", "."):
        (tmp_path / folder / "__init__.py").touch()
    assert violations(import_graph(tmp_path)) == expected


def test_a_cycle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from interslice.b import x")
    (tmp_path / "b.py").write_text("def f():\n    import interslice.a")
    with pytest.raises(CycleError):
        TopologicalSorter(import_graph(tmp_path)).prepare()
