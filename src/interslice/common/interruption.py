"""Work that is asked to stop: by SIGTERM, a scheduler's notice before it kills, or by the end of the time it was given."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOPPED = 128  # and the signal's number: the exit code, as a shell has it


class Interrupted(Exception):
    """Work was stopped on request after saving its state; the message is one sentence, and the same command continues it."""


class Stopped(KeyboardInterrupt):
    """SIGTERM, from `timeout`, `kill` or a cluster, or SIGHUP, of a terminal that is closed: cleaned up as after Ctrl-C."""


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Stopped; only where signals can be handled, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Stopped(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    previous = {
        number: signal.signal(number, stop)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN  # of nohup
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def ignore_ctrl_c() -> None:
    """For a program that is done: while Python cleans up behind it, Ctrl-C would end in a traceback."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def interruptions(budget_s: float | None = None) -> Iterator[Callable[[], str | None]]:
    """Yield a function that says why the work should save and stop now, or None while it should go on.

    budget_s: wall-clock seconds from now; None is no limit. SIGTERM no longer ends the process until the context is left.
    Only in the main thread (ValueError elsewhere).
    """
    deadline = None if budget_s is None else time.monotonic() + budget_s
    received: list[str] = []

    def notice(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)

    def reason() -> str | None:
        if deadline is not None and time.monotonic() > deadline:
            return f"the {budget_s:.0f} s it was given are over"
        return received[0] if received else None

    previous = signal.signal(signal.SIGTERM, notice)
    try:
        yield reason
    finally:
        signal.signal(signal.SIGTERM, previous)


def budget_of(minutes: float) -> float:
    """Seconds to work in a job that is killed after `minutes`; the rest, 5 % or a minute, is to start and to save."""
    return 60 * minutes - max(60.0, 3 * minutes)
