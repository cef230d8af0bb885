"""What METHODS, SUPERVISED and CLASSES say of a method, read from the source: a study is checked without importing torch."""

import ast
import functools
from pathlib import Path

from interslice.common.errors import InputError
from interslice.methods.registry import METHODS, SUPERVISED

SOURCES = Path(__file__).parents[2]  # the folder of the package
REGISTRY = "src/interslice/methods/registry.py"


def check_declared(method: str, *, trained: bool) -> None:
    """InputError, with the file to edit, where the code of a method is not what METHODS and the settings make of it.

    trained: whether the settings have it trained by the study.
    """
    if method not in METHODS:
        raise InputError(f"{REGISTRY}: found no method {method!r} in METHODS, there are {', '.join(METHODS)}")
    module = METHODS[method]
    if not source_of(module).is_file():
        raise InputError(
            f"{REGISTRY}: METHODS has method {method!r} in {module}, and there is no file {shown(module)}"
        )
    classes = classes_of(module)
    if method not in classes:
        found = ", ".join(classes) or "none"
        raise InputError(
            f"{shown(module)}: CLASSES must have the class of method {method!r}, found are {found}"
        )
    name = classes[method]
    if has_flag(module, name, "trained") != trained:
        is_trained, role = ("no", "must not be") if trained else ("a", "must be")
        raise InputError(
            f"{shown(module)}: class {name} is {is_trained} trained method (`trained = True`), so the role of method "
            f"{method!r} in its settings {role} trained"
        )
    if has_flag(module, name, "supervised") != (method in SUPERVISED):
        missing = "found" if method in SUPERVISED else "found no"
        raise InputError(
            f"{REGISTRY}: {missing} method {method!r} in SUPERVISED, its class {name} in {shown(module)} says otherwise"
        )


def source_of(module: str) -> Path:
    """The file of a module of this package."""
    return SOURCES.joinpath(*module.split(".")).with_suffix(".py")


def shown(module: str) -> str:
    """The file of a module as a person finds it."""
    return f"src/{module.replace('.', '/')}.py"


@functools.lru_cache(maxsize=64)
def parsed(module: str) -> ast.Module:
    """The syntax tree of a module; InputError where it is not valid Python."""
    try:
        return ast.parse(source_of(module).read_bytes())
    except SyntaxError as error:
        raise InputError(f"{shown(module)}: not valid Python ({error})") from error


def classes_of(module: str) -> dict[str, str]:
    """Method to the name of its class, as the module's CLASSES has them; nothing where there is no such table."""
    for node in parsed(module).body:
        match node:
            case ast.Assign([ast.Name("CLASSES")], ast.Dict(keys, values)):
                pairs = zip(keys, values, strict=True)
                return {ast.literal_eval(key): ast.unparse(value) for key, value in pairs if key is not None}
    return {}


def has_flag(module: str, name: str, flag: str) -> bool:
    """The value of a flag of a class, its own or that of the nearest base class of this package."""
    tree = parsed(module)
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        sources = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interslice.")
            for alias in node.names
        }
        return name in sources and has_flag(*sources[name], flag)
    for node in found.body:
        match node:
            case ast.Assign([ast.Name(id=bound)]) | ast.AnnAssign(ast.Name(id=bound)) if bound == flag:
                return bool(ast.literal_eval(node.value or "None"))
    return any(has_flag(module, ast.unparse(base), flag) for base in found.bases)
