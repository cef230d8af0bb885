"""The command line: one sub-command per task. Options are read here, everything else is elsewhere."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.interruption import STOPPED, Stopped, ignore_ctrl_c, signals_as_exceptions
from interslice.common.streams import say_to, say_to_stderr

BAD_INPUT, INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """Bad options are bad input like any other: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        say_to(file or sys.stderr, message, end="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (some files of a dataset failed), 2 (bad input), 129, 130 or 143 (stopped)."""
    if arguments is not None:
        return answer(arguments)
    if not sys.warnoptions:  # remarks of libraries are for those who program with them
        warnings.simplefilter("ignore")
    code = answer(sys.argv[1:])
    ignore_ctrl_c()
    return code


def answer(arguments: Sequence[str]) -> int:
    """The exit code of a command, whose errors are said."""
    try:
        with signals_as_exceptions():
            parser = build_parser()
            if not arguments:
                parser.print_help(sys.stderr)
                return BAD_INPUT
            options = parser.parse_args(arguments)
            code = int(options.run(options))
            say_to(sys.stdout, "", end="")  # what is still in its buffer
            return code
    except (InputError, OSError, MemoryError) as error:
        say_to_stderr(sentence(error))
        return BAD_INPUT
    except Stopped as stop:
        say_to_stderr("terminated")
        return STOPPED + int(stop.args[0])
    except KeyboardInterrupt:
        say_to_stderr("interrupted")
        return INTERRUPTED


def sentence(error: Exception) -> str:
    """An error for a person: bad input says itself what is wrong, for a file or memory the system says it."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return (
        str(error) if isinstance(error, InputError) else f"the memory does not suffice ({error or 'limit'})"
    )


def build_parser() -> Parser:
    """A sub-command per `add_...` function; each sets `run`."""
    # Here, so that Ctrl-C at the very start is met by `main`.
    from interslice.scan.arguments import add_bids, add_upsample
    from interslice.steps.commands import add_commands

    parser = Parser(prog="interslice", description="Through-plane interpolation of MRI.")
    parser.add_argument("--version", action="version", version=f"interslice {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    add_upsample(commands)
    add_bids(commands)
    add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
