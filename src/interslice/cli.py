"""The command line: one sub-command per task. Options are read here, everything else is elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from interslice import __version__
from interslice.common.errors import InputError
from interslice.common.extras import require

BAD_INPUT, SOME_FAILED, INTERRUPTED = 2, 1, 130


class Parser(argparse.ArgumentParser):
    """Bad options are bad input like any other: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 (some files of a dataset failed) or 2 (bad input)."""
    try:
        options = build_parser().parse_args(arguments)
        return int(options.run(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> Parser:
    """A sub-command per `add_...` function; each sets `run`."""
    parser = Parser(prog="interslice", description="Through-plane interpolation of MRI.")
    parser.add_argument("--version", action="version", version=f"interslice {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    add_upsample(commands)
    add_reader_study(commands)
    add_reader_analysis(commands)
    return parser


def add_upsample(commands: "argparse._SubParsersAction[Parser]") -> None:
    command = commands.add_parser(
        "upsample",
        help="add slices to a scan of your own",
        description="Add slices between those of a thick-slice scan. Not a medical device.",
    )
    add = command.add_argument
    add(
        "source",
        type=Path,
        metavar="SCAN",
        help="NIfTI, Analyze or MGH file, DICOM series folder, or dataset",
    )
    add("-o", "--output", type=Path, help=".nii or .nii.gz; a folder for a dataset or a DICOM series")
    add("--factor", metavar="K", help="K - 1 new slices per gap (default: nearest to isotropic)")
    add("--spacing", type=float, metavar="MM", help="take the factor nearest to this slice spacing")
    add(
        "--method",
        help="bspline (default), lanczos, linear, nearest, registration, or a trained one such as cae",
    )
    add("--model", metavar="FILE", help="checkpoint of a trained method, or the name of a pretrained one")
    add("--axis", help="slice axis: i, j, k, sagittal, coronal or axial (default: largest spacing)")
    add(
        "--trust",
        choices=("sform", "qform", "pixdim"),
        help="what says the voxel sizes where a NIfTI header contradicts itself",
    )
    add("--series", metavar="NAME", help="series of a DICOM folder: its number, description or UID")
    add("--dicom", action="store_true", help="-o is a folder for a derived DICOM series (default for DICOM)")
    add("--list", action="store_true", help="list the series of a DICOM folder, and do nothing else")
    add(
        "--nan", choices=("keep", "zero", "refuse"), default="keep",
        help="voxels that are NaN stay so and are not spread (keep, default), become 0, or are refused",
    )  # fmt: skip
    add(
        "--label", action=argparse.BooleanOptionalAction, default=None,
        help="it is a label map (default: by header, name _dseg or _mask, or values)",
    )  # fmt: skip
    add(
        "--keep-original", action=argparse.BooleanOptionalAction, default=True,
        help="copy the original slices bit by bit (default)",
    )  # fmt: skip
    add("--force", action="store_true", help="overwrite what exists")
    add("--quiet", action="store_true", help="say nothing but errors and the result of --check")
    trust = command.add_argument_group("how far to trust it")
    trust.add_argument("--check", action="store_true", help="hold out every second slice and predict it back")
    trust.add_argument("--uncertainty", type=Path, metavar="FILE", help="map of where methods disagree")
    trust.add_argument("--preview", type=Path, metavar="FILE", help="picture of before and after (.png)")
    training = command.add_argument_group("training on the scan itself (--method cae)")
    training.add_argument("--train-here", action="store_true", help="train on this scan, then interpolate it")
    training.add_argument(
        "--also", type=Path, nargs="+", default=[], metavar="SCAN", help="train on these too"
    )
    training.add_argument("--minutes", type=float, default=10.0, help="time for the training (default: 10)")
    training.add_argument(
        "--loss", default="mse", help="synthesis loss: mse (default) or lpips (the paper's)"
    )
    training.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")
    training.add_argument("--save-model", type=Path, metavar="FILE.pt", help="keep the model for --model")
    dataset = command.add_argument_group("a dataset: a folder of images or a BIDS tree")
    dataset.add_argument("--jobs", type=int, default=1, metavar="N", help="files at a time (default: 1)")
    dataset.add_argument("--include", metavar="GLOB", help="which files (default: anat/ of BIDS, else all)")
    command.set_defaults(run=run_upsample)


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


def run_upsample(arguments: argparse.Namespace) -> int:
    from interslice.scan.batch import is_batch, run_batch
    from interslice.scan.command import Options, run_one, say_to, say_to_stderr

    given = vars(arguments).copy()
    quiet, _, only_list = given.pop("quiet"), given.pop("run"), given.pop("list")
    if only_list:
        from interslice.data.dicom_series import described, list_series

        say_to(sys.stdout, "\n".join(described(list_series(arguments.source))))
        return 0
    if arguments.source.name.upper() == "DICOMDIR":  # of a disc: its folder holds the series
        given["source"] = arguments.source.parent
    options = Options(**given | {"also": tuple(arguments.also)})
    say = (lambda text: None) if quiet else say_to_stderr
    if not is_batch(options.source, options.output, options.series):
        run_one(options, say, answer=lambda text: say_to(sys.stdout, text))
        return 0
    outcomes = run_batch(options, say)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in failed:
        print(outcome.reason, file=sys.stderr)
    counts = {
        state: sum(one.state == state for one in outcomes) for state in ("written", "skipped", "failed")
    }
    say(", ".join(f"{count} {state}" for state, count in counts.items()))
    return SOME_FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
