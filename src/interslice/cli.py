"""The command line: one sub-command per task. Options are read here, everything else is elsewhere."""

import argparse
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.extras import require
from interslice.common.streams import say_to, say_to_stderr

BAD_INPUT, INTERRUPTED, STOPPED = 2, 130, 128


class Parser(argparse.ArgumentParser):
    """Bad options are bad input like any other: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        say_to(file or sys.stderr, message, end="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (some files of a dataset failed), 2 (bad input), 129, 130 or 143 (stopped)."""
    if arguments is None and not sys.warnoptions:  # remarks of libraries are for those who program with them
        warnings.simplefilter("ignore")
    try:
        with signals_as_exceptions():
            parser = build_parser()
            if not (sys.argv[1:] if arguments is None else arguments):
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
    add_reader_study(commands)
    add_reader_analysis(commands)
    add_commands(commands)
    return parser


def add_reader_study(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = commands.add_parser(
        "reader-study",
        help="a page that asks readers which slices are real",
        description="Write an offline page that shows real and synthesised slices in random order and records the answers, and "
        "beside it the key (….key.json), which no reader should see.",
    )
    add = command.add_argument
    add("study", type=Path, metavar="RESULTS", help="results of a study, such as results/default")
    add(
        "-o", "--output", type=Path, default=Path("reader-study.html"), help="the page (default: %(default)s)"
    )
    add("--dataset", required=True, help="dataset of the study")
    add("--factor", type=int, required=True, metavar="K", help="anisotropy factor of the study")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="methods whose slices are shown")
    add(
        "--per-method",
        type=int,
        default=10,
        metavar="N",
        help="slices of each method (default: 10), and as many real ones",
    )
    add("--seed", type=int, default=0, help="of the choice and the order (default: 0); the key stores it")
    command.set_defaults(run=run_reader_study)


def run_reader_study(arguments: argparse.Namespace) -> int:
    require("jinja2", "study", "reader-study")
    from interslice.report.reader_study import study_cases, write_reader_study

    cases = study_cases(arguments.study, arguments.dataset, arguments.factor, arguments.methods)
    key = write_reader_study(
        cases,
        factor=arguments.factor,
        per_method=arguments.per_method,
        seed=arguments.seed,
        labels={"dataset": arguments.dataset, "factor": str(arguments.factor)},
        output=arguments.output,
    )
    print(f"{arguments.output}: for the readers. {key}: the truth, for the analysis; give it to no reader.")
    return 0


def add_reader_analysis(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = commands.add_parser(
        "reader-analysis",
        help="what the readers could tell",
        description="How often readers called the slices of each method synthesised, and how far they agree.",
    )
    command.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="the key and the readers' answers, in any order"
    )
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE.csv", help="write the rates unrounded as well"
    )
    command.add_argument("--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)")
    command.set_defaults(run=run_reader_analysis)


def run_reader_analysis(arguments: argparse.Namespace) -> int:
    require("statsmodels", "study", "reader-analysis")
    from interslice.analysis.reader_analysis import read_answers, reader_rates
    from interslice.common.files import write_csv
    from interslice.report.formatting import plain
    from interslice.report.reader_table import shown_analysis

    if not 0 < arguments.confidence < 1:
        raise InputError(f"--confidence: found {arguments.confidence}, allowed are numbers between 0 and 1")
    items, answers = read_answers(arguments.files)
    print("\n".join(plain([shown_analysis(items, answers, arguments.confidence)])))
    if arguments.output:
        write_csv(reader_rates(items, answers, arguments.confidence), arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
