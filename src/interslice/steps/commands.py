"""Sub-commands of the command line about the results of studies. What they do is imported when they run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError
from interslice.common.extras import require

SOME_FAILED = 1


def add_commands(commands: Any) -> None:
    """Add them to the sub-parsers of `cli.build_parser`."""
    add_reader_commands(commands)
    add_exchange_commands(commands)


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], **texts: str) -> Any:
    """A new command; returns the function that adds an argument to it."""

    def checked(arguments: argparse.Namespace) -> int:
        require("jinja2", "study", name)
        return run(arguments)

    parser = commands.add_parser(name, **texts)
    parser.set_defaults(run=checked)
    return parser.add_argument


def add_reader_commands(commands: Any) -> None:
    """The blind reader study and its analysis."""
    add = command(
        commands,
        "reader-study",
        run_reader_study,
        help="a page that asks readers which slices are real",
        description="Write an offline page that shows real and synthesised slices in random order and records the answers, and "
        "beside it the key (….key.json), which no reader should see.",
    )
    add("study", type=Path, metavar="RESULTS", help="results of a study, such as results/default")
    page = Path("reader-study.html")
    add("-o", "--output", type=Path, default=page, help="the page (default: %(default)s)")
    add("--dataset", required=True, help="dataset of the study")
    add("--factor", type=int, required=True, metavar="K", help="anisotropy factor of the study")
    add("--methods", nargs="+", required=True, metavar="METHOD", help="methods whose slices are shown")
    many = "slices of each method (default: 10), and as many real ones"
    add("--per-method", type=int, default=10, metavar="N", help=many)
    add("--seed", type=int, default=0, help="of the choice and the order (default: 0); the key stores it")
    add = command(
        commands,
        "reader-analysis",
        run_reader_analysis,
        help="what the readers could tell",
        description="How often readers called the slices of each method synthesised, and how far they agree.",
    )
    files = "the key and the readers' answers, in any order"
    add("files", type=Path, nargs="+", metavar="FILE", help=files)
    add("-o", "--output", type=Path, metavar="FILE.csv", help="write the rates unrounded as well")
    add("--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)")


def add_exchange_commands(commands: Any) -> None:
    """What passes between people: inputs, results and scores."""
    add = command(
        commands,
        "export-inputs",
        run_export,
        help="the low-resolution test volumes of a study, for methods that run elsewhere",
        description="Write the low-resolution test volumes of a study as NIfTI files, and what to do with them.",
    )
    add("study", type=Path, metavar="RESULTS", help="results of a study, such as results/default")
    add("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    add = command(
        commands,
        "submit-check",
        run_check,
        help="whether results that were made elsewhere would be scored",
        description="Compare the results in a folder of export-inputs with their inputs: missing subjects, shape, position of "
        "the slices. Exit code 1 where one would not be scored.",
    )
    add("folder", type=Path, metavar="FOLDER", help="the folder that export-inputs wrote")
    add = command(
        commands,
        "leaderboard",
        run_leaderboard,
        help="the scores of several studies, machines and people on one page",
        description="Merge the scores of studies that scored the same volumes alike, and refuse others.",
    )
    sources = "results/NAME, or a means.parquet of this command"
    add("sources", type=Path, nargs="+", metavar="RESULTS", help=sources)
    board = Path("leaderboard")
    add("-o", "--output", type=Path, default=board, metavar="FOLDER", help="default: %(default)s")


def run_reader_study(arguments: argparse.Namespace) -> int:
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


def run_reader_analysis(arguments: argparse.Namespace) -> int:
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


def run_export(arguments: argparse.Namespace) -> int:
    from interslice.steps.exchange import export_inputs

    print("\n".join(export_inputs(arguments.study, arguments.output)))
    print(f"{arguments.output}/README.txt says what to do with them")
    return 0


def run_leaderboard(arguments: argparse.Namespace) -> int:
    from interslice.steps.leaderboard import PAGE, TABLE, write_leaderboard

    print("\n".join(write_leaderboard(arguments.sources, arguments.output)))
    print(f"{arguments.output / PAGE}; {arguments.output / TABLE}: for others to merge")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    from interslice.steps.exchange import submit_check

    lines, faults = submit_check(arguments.folder)
    print("\n".join(lines))
    return SOME_FAILED if faults else 0
