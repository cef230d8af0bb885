"""One function over many cases, several at a time; the threads of torch."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from interslice.common.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def for_each(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """`function` of every item, in order. A failed item does not stop the others; all failures are named at the end.

    Threads serve: reading, decompressing and numpy's work on a volume hold no interpreter lock for long. Each has one case
    in memory. Only InputError is collected; any other error is a bug and is raised.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        outcomes = list(pool.map(_guarded, [function] * len(items), items))
    failures = [str(outcome) for outcome in outcomes if isinstance(outcome, InputError)]
    if failures:
        raise InputError(f"{len(failures)} of {len(items)} cases failed: " + "; ".join(failures))
    return [outcome for outcome in outcomes if not isinstance(outcome, InputError)]


def _guarded(function: Callable[[Item], Result], item: Item) -> Result | InputError:
    try:
        return function(item)
    except InputError as error:
        return error


def set_threads(threads: int) -> None:
    """Of torch, where it is loaded: conventional methods do without, its import takes seconds a job."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
