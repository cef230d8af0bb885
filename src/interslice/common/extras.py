"""Packages that not every installation has: those of the extras of pyproject.toml."""

from importlib.util import find_spec

from interslice.common.errors import InputError


def require(package: str, extra: str, purpose: str) -> None:
    """InputError that says how to get it, where `package`, which an extra of the installation brings, is absent."""
    if find_spec(package) is None:
        raise InputError(
            f"{purpose} needs the package {package}, which is not installed here: pip install 'interslice[{extra}]'"
        )
