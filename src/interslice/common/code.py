"""The digest of the code that a step runs, so that an edit reruns what it can change and nothing else.

It follows names, from the functions that a script calls to the top-level definitions that these use, without importing
anything. Where a name cannot be followed, more is counted rather than less.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError

PACKAGE = "interslice"
PACKAGE_ROOT = Path(__file__).parent.parent
# Modules that change no result: messages, whole files, stopping, what is recorded. And the two registries: the caller names the
# method or source that it uses, so that a new entry reruns nothing.
OUTSIDE = (
    f"{PACKAGE}.common.code",
    f"{PACKAGE}.common.errors",
    f"{PACKAGE}.common.files",
    f"{PACKAGE}.common.gpus",
    f"{PACKAGE}.common.interruption",
    f"{PACKAGE}.common.provenance",
    f"{PACKAGE}.data.sources.registry",
    f"{PACKAGE}.methods.registry",
    f"{PACKAGE}.scoring.registry",
)
EVERYTHING = "*"  # in place of a name: all of a module
ALWAYS = ""  # the statements of a module that bind no name: they run when it is imported

Reference = tuple[str, str]  # a module and a name in it


@dataclass
class Module:
    """Top-level names to the statements that bind them, imports among them; and the statements that bind none."""

    package: str
    bound: dict[str, list[ast.stmt]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)


def code_digest(*entries: str, package_root: str | Path = PACKAGE_ROOT) -> str:
    """The sha256 of the code behind `entries`: "interslice.steps.train:train_method", or a module, without a colon.

    `package_root` is the folder of the package. What counts: the definitions, constants and imports that are reached by
    name, and the other statements of every module that is reached. What does not: comments, layout, docstrings, the words
    of exceptions that are raised, what is printed, blocks for type checkers, the modules in OUTSIDE, and a package's
    `__init__` where only its submodules are used. Digests can be compared under one minor version of Python. Raises
    InputError for a missing or invalid module.
    """
    found, _ = _follow(entries, Path(package_root))
    return _sha256("".join(f"{module}:{name} {found[module, name]}\n" for module, name in sorted(found)))


def reaches(module: str, *entries: str, package_root: str | Path = PACKAGE_ROOT) -> bool:
    """Whether the code behind `entries` uses one of the modules in OUTSIDE."""
    return module in _follow(entries, Path(package_root))[1]


def _follow(entries: Sequence[str], root: Path) -> tuple[dict[Reference, str], set[str]]:
    """The digest of every name that is reached from `entries`, and the modules in OUTSIDE that are reached."""
    sources: dict[str, tuple[bytes, bool]] = {}
    found: dict[Reference, str] = {}
    outside: set[str] = set()
    waiting = [(_entry(entry), "code_digest") for entry in entries]
    while waiting:
        reference, importer = waiting.pop()
        name, attribute = reference
        if name in OUTSIDE:
            outside.add(name)
            continue
        if reference in found:
            continue
        if name not in sources:
            path = _file_of(root, name)
            if path is None:
                raise InputError(f"{name}: no such module in the package, needed by {importer}")
            sources[name] = path.read_bytes(), path.name == "__init__.py"
        try:
            found[reference], used = _examine(*sources[name], name, attribute, root)
        except (SyntaxError, ValueError) as error:
            raise InputError(f"{name}: not valid Python ({error})") from error
        waiting += [(one, name) for one in used]
    return found, outside


def script_entries(script: Path) -> list[str]:
    """What a script of the workflow imports from the package, as entries of `code_digest`."""
    return [
        f"{node.module}:{alias.name}"
        for node in ast.walk(ast.parse(script.read_bytes()))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == PACKAGE
        for alias in node.names
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(entry: str) -> Reference:
    module, _, name = entry.partition(":")
    return module, name or EVERYTHING


def _file_of(root: Path, name: str) -> Path | None:
    top, *parts = name.split(".")
    base = root.joinpath(*parts)
    candidates = [base / "__init__.py", *([base.with_suffix(".py")] if parts else [])]
    return next((path for path in candidates if top == PACKAGE and path.is_file()), None)


# A workflow asks for the digests of some thirty steps, which share most of their code.
@functools.lru_cache(maxsize=8192)
def _examine(
    source: bytes, is_package: bool, name: str, attribute: str, root: Path
) -> tuple[str, tuple[Reference, ...]]:
    """The digest of what binds one name of a module, and the names that it uses."""
    module = _parse(source, name, is_package)
    if attribute == EVERYTHING or (attribute and attribute not in module.bound):
        # A name that no statement binds: whatever the module does may be behind it.
        return "", tuple((name, one) for one in (ALWAYS, *module.bound))
    words, nodes = _said(module.bound[attribute] if attribute else module.always)
    return _sha256(" ".join(words)), ((name, ALWAYS), *dict.fromkeys(_used(nodes, module, name, root)))


@functools.lru_cache(maxsize=256)
def _parse(source: bytes, name: str, is_package: bool) -> Module:
    module = Module(name if is_package else name.rpartition(".")[0])
    for statement in _body(ast.parse(source)):
        if _changes_nothing(statement):
            continue
        parts = _by_name(statement)
        for bound, part in parts.items():
            module.bound.setdefault(bound, []).append(part)
        if not parts:
            module.always.append(statement)
    return module


def _by_name(statement: ast.stmt) -> dict[str, ast.stmt]:
    """The names that a statement does nothing but bind, each with the part that binds it; none for any other statement."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name: statement}
        case ast.ImportFrom() if all(alias.name != "*" for alias in statement.names):
            return {
                alias.asname or alias.name: ast.ImportFrom(statement.module, [alias], statement.level)
                for alias in statement.names
            }
        case ast.Import() if all(alias.name.split(".")[0] != PACKAGE for alias in statement.names):
            return {
                (alias.asname or alias.name).split(".")[0]: ast.Import([alias]) for alias in statement.names
            }
        case ast.Assign():
            names = [node for target in statement.targets for node in _targets(target)]
        case ast.AnnAssign():
            names = _targets(statement.target)
        case _:
            return {}
    plain = all(isinstance(name, ast.Name) for name in names)
    return {name.id: statement for name in names if isinstance(name, ast.Name)} if plain else {}


def _targets(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple | ast.List) else [target]


def _said(statements: Iterable[ast.stmt]) -> tuple[list[str], list[ast.AST]]:
    """Statements as words, without what changes no result; and the nodes among them that may use a name.

    One walk: a study has its digests whenever Snakemake starts, and `ast.dump` after `ast.NodeTransformer` takes
    thrice as long.
    """
    words: list[str] = []
    nodes: list[ast.AST] = []

    def tell(value: Any) -> None:
        if isinstance(value, list):
            words.append("[")
            for part in value:
                tell(part)
            words.append("]")
        elif not isinstance(value, ast.AST):
            words.append(repr(value))
        elif not _changes_nothing(value):
            words.append(type(value).__name__)
            if isinstance(value, ast.Name | ast.Constant | ast.Import | ast.ImportFrom):
                nodes.append(value)
            for field in value._fields:
                match field, value:
                    case "ctx", _:  # follows from where it stands
                        continue
                    case "exc", ast.Raise(exc=ast.Call(func=kind)):
                        tell(kind)  # it may be caught; its words do not count
                    case "body", ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                        tell(_body(value))
                    case _:
                        tell(getattr(value, field, None))

    tell(list(statements))
    return words, nodes


def _body(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The statements of a definition or module but its docstring."""
    documented = ast.get_docstring(node, clean=False) is not None
    return node.body[1:] if documented else node.body


def _changes_nothing(node: ast.AST) -> bool:
    """Blocks for type checkers, and calls of print unless they write into a file."""
    match node:
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Name("print"), keywords=keywords)):
            return all(keyword.arg != "file" for keyword in keywords)
    return False


def _used(nodes: Iterable[ast.AST], module: Module, name: str, root: Path) -> Iterator[Reference]:
    """Every top-level name of the package that nodes use, in whatever scope: too many rather than too few."""
    for node in nodes:
        match node:
            case ast.Name() if node.id in module.bound:
                yield name, node.id
            case ast.Constant(str(text)) if text.startswith(f"{PACKAGE}.") and _file_of(root, text):
                yield text, EVERYTHING  # it may be imported by its name
            case ast.Import():
                yield from ((one.name, EVERYTHING) for one in node.names if _is_ours(one.name))
            case ast.ImportFrom():
                above = module.package.split(".")
                above = above[: len(above) + 1 - node.level] if node.level else []
                source = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names if _is_ours(source) else ():
                    submodule = f"{source}.{alias.name}"
                    yield (submodule, EVERYTHING) if _file_of(root, submodule) else (source, alias.name)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == PACKAGE
