"""Lines for a person, on streams that may be closed, read by nobody, or full."""

import os
import sys
from typing import TextIO

from interslice.common.errors import InputError


def say_to_stderr(text: str) -> None:
    """A line at once, so that threads do not mix theirs."""
    say_to(sys.stderr, text)


def say_to(stream: TextIO | None, text: str, end: str = "\n") -> None:
    """Write a line; a reader that has gone away (`| head`) loses it, and no more. What the stream's encoding lacks is escaped.

    Raises InputError where standard output cannot be written for another reason, such as a full disk: it was asked for.
    """
    if stream is None:  # closed by the shell
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"  # what stands in for a stream may have none
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what is left in its buffer
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise InputError(f"standard output: cannot be written ({error.strerror})") from error
