"""Sub-commands of the command line that bring other people's results in. What they do is imported when they run."""

import argparse
from pathlib import Path
from typing import Any

SOME_FAILED = 1


def add_commands(commands: Any) -> None:
    """Add them to the sub-parsers of `cli.build_parser`."""
    export = commands.add_parser(
        "export-inputs",
        help="the low-resolution test volumes of a study, for methods that run elsewhere",
        description="Write the low-resolution test volumes of a study as NIfTI files, and what to do with them.",
    )
    export.add_argument(
        "study", type=Path, metavar="RESULTS", help="results of a study, such as results/default"
    )
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    export.set_defaults(run=run_export)
    check = commands.add_parser(
        "submit-check",
        help="whether results that were made elsewhere would be scored",
        description="Compare the results in a folder of export-inputs with their inputs: missing subjects, shape, position of "
        "the slices. Exit code 1 where one would not be scored.",
    )
    check.add_argument("folder", type=Path, metavar="FOLDER", help="the folder that export-inputs wrote")
    check.set_defaults(run=run_check)
    board = commands.add_parser(
        "leaderboard",
        help="the scores of several studies, machines and people on one page",
        description="Merge long tables of studies that scored the same volumes alike, and refuse others.",
    )
    board.add_argument(
        "sources",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="results/NAME, or a scores.parquet of this command",
    )
    board.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("leaderboard"),
        metavar="FOLDER",
        help="default: %(default)s",
    )
    board.set_defaults(run=run_leaderboard)


def run_export(arguments: argparse.Namespace) -> int:
    from interslice.common.extras import require

    require("jinja2", "study", "export-inputs")
    from interslice.steps.exchange import export_inputs

    print("\n".join(export_inputs(arguments.study, arguments.output)))
    print(f"{arguments.output}/README.txt says what to do with them")
    return 0


def run_leaderboard(arguments: argparse.Namespace) -> int:
    from interslice.common.extras import require

    require("jinja2", "study", "leaderboard")
    from interslice.steps.leaderboard import PAGE, TABLE, write_leaderboard

    print("\n".join(write_leaderboard(arguments.sources, arguments.output)))
    print(f"{arguments.output / PAGE}; {arguments.output / TABLE}: for others to merge")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    from interslice.common.extras import require

    require("jinja2", "study", "submit-check")
    from interslice.steps.exchange import submit_check

    lines, faults = submit_check(arguments.folder)
    print("\n".join(lines))
    return SOME_FAILED if faults else 0
