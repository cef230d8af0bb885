"""The command line: one sub-command per task. Options are read here, everything else is elsewhere."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.extras import require

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143


class Parser(argparse.ArgumentParser):
    """Bad options are bad input like any other: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (some files of a dataset failed), 2 (bad input), 130 or 143 (stopped)."""
    try:
        with sigterm_as_exception():
            parser = build_parser()
            if not (sys.argv[1:] if arguments is None else arguments):
                parser.print_help(sys.stderr)
                return BAD_INPUT
            options = parser.parse_args(arguments)
            return int(options.run(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except Terminated:
        print("terminated", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


class Terminated(KeyboardInterrupt):
    """SIGTERM, from `timeout`, `kill` or a cluster: what was begun is cleaned up as after Ctrl-C."""


@contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """SIGTERM raises Terminated; only where signals can be handled, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


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
    from interslice.common.files import replacing
    from interslice.report.formatting import plain
    from interslice.report.reader_table import shown_analysis

    if not 0 < arguments.confidence < 1:
        raise InputError(f"--confidence: found {arguments.confidence}, allowed are numbers between 0 and 1")
    items, answers = read_answers(arguments.files)
    print("\n".join(plain([shown_analysis(items, answers, arguments.confidence)])))
    if arguments.output:
        with replacing(arguments.output) as temporary:
            reader_rates(items, answers, arguments.confidence).to_csv(temporary, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
