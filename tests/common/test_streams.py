"""Lines that cannot be written: nobody reads them, the disk is full, the shell has closed the stream."""

import io
import os
import sys

import pytest

from interslice.cli import main
from interslice.common.errors import InputError
from interslice.common.streams import say_to


def full():
    """A stream of a disk that is full."""
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")


def test_output_on_a_full_disk_is_an_error_and_remarks_are_none(monkeypatch):
    with full() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(InputError, match="standard output: cannot be written .No space left"):
            say_to(stream, "a result")
        say_to(stream, "what was in the buffer is gone")
    with full() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["--version"]) == 2
    with full() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say_to(stream, "a remark")
    say_to(None, "to a stream that the shell has closed")


def test_what_a_stream_cannot_show_is_escaped():
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as stream:
        say_to(stream, "1: Schädel \udce4, 5 images")
        assert stream.buffer.getvalue() == b"1: Sch\\xe4del \\udce4, 5 images\n"


def test_a_reader_that_has_gone_away_is_no_error(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        say_to(stream, "to nobody")
        assert main(["upsample", "none.nii", "-o", "x.nii"]) == 2
