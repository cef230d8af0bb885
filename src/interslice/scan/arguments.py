"""What `interslice upsample` and `interslice bids` take on the command line, and how they are run."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interslice.common.streams import say_to, say_to_stderr
from interslice.methods.shipped import FINISHED

SOME_FAILED = 1
EXAMPLES = f"""examples:
  interslice upsample scan.nii.gz -o fine.nii.gz                      as fine as its pixels, by the best method
  interslice upsample scan.nii.gz --spacing 0.8 -o fine.nii.gz        slices exactly 0.8 mm apart
  interslice upsample scan.nii.gz --factor 4 --fast -o fine.nii.gz    3 new slices per gap, cubic B-spline at once
  interslice upsample scan.nii.gz --check                             is it any good on this scan?
  interslice upsample dicom/ --list                                   which series are there?
  interslice upsample bids/ --spacing 1 -o bids/derivatives/interslice --jobs 4

finished models by name, for --model (they need torch: pip install 'interslice[model]'):
  {", ".join(FINISHED)}
limits: factors of 2 to 32, any spacing in between; label maps and masks keep their labels (--label, or
--method nearest); not a medical device"""


def path_of(text: str) -> Path:
    """A path that was given; an empty one, of a variable that is not set, would be the folder that one is in."""
    if not text:
        raise argparse.ArgumentTypeError("found an empty name, allowed is a path")
    return Path(text)


def add_upsample(commands: Any) -> None:
    """The command for a scan, or a folder of them; commands: of a parser, from add_subparsers."""
    command = commands.add_parser(
        "upsample", help="add slices to a scan of your own",
        description="Add slices between those of a thick-slice scan. Not a medical device.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument(
        "source", type=path_of, metavar="SCAN",
        help="NIfTI, Analyze, MGH, NRRD or MetaImage file, DICOM series folder, or dataset",
    )  # fmt: skip
    command.add_argument(
        "-o",
        "--output",
        type=path_of,
        help=".nii.gz, .nii, .mgz, .nrrd, .mha or another; a folder for a dataset or a DICOM series",
    )
    add_choices(command)
    add = command.add_argument
    add("--series", metavar="NAME", help="series of a DICOM folder: its number, description or UID")
    add("--dicom", action="store_true", help="-o is a folder for a derived DICOM series (default for DICOM)")
    add("--list", action="store_true", help="list the series of a DICOM folder, and do nothing else")
    command.add_argument_group("how far to trust it").add_argument(
        "--uncertainty",
        type=path_of,
        metavar="FILE",
        help="map of half the width of an interval that holds nine true values in ten",
    )
    training = command.add_argument_group("training on the scan itself").add_argument
    training(
        "--train-here",
        action="store_true",
        help="let motion_spline (or --method cae, anew) train on this scan first",
    )
    training("--also", type=path_of, nargs="+", default=[], metavar="SCAN", help="train on these too")
    training("--minutes", type=float, default=10.0, help="time for the training (default: 10)")
    training("--loss", default="mse", help="synthesis loss of cae: mse (default) or lpips (the paper's)")
    training("--seed", type=int, default=0, help="of the training (default: 0)")
    training("--save-model", type=path_of, metavar="FILE.pt", help="keep the model for --model")
    add_dataset(command, "a dataset: a folder of images or a BIDS tree")
    command.set_defaults(run=run_upsample)


def add_bids(commands: Any) -> None:
    """The same for a BIDS dataset, called as BIDS Apps are."""
    command = commands.add_parser(
        "bids", help="add slices to the images of a BIDS dataset, as a BIDS App",
        description="Add slices to the images of a BIDS dataset; derivatives, and a page of the run, go to OUT. Not a medical "
        "device.",
    )  # fmt: skip
    command.add_argument("source", type=path_of, metavar="IN", help="the BIDS dataset")
    command.add_argument("output", type=path_of, metavar="OUT", help="folder of the derivatives")
    command.add_argument("level", choices=("participant",), help="every image is worked on by itself")
    add_choices(command)
    add_dataset(command, "which images")
    command.set_defaults(run=run_bids)


def add_choices(command: argparse.ArgumentParser) -> None:
    """What to make of every scan."""
    add = command.add_argument
    add("--factor", metavar="K", help="K - 1 new slices per gap, 2 to 32 (default: nearest to isotropic)")
    add("--spacing", type=float, metavar="MM", help="slices exactly so far apart; need be no whole factor")
    add("--isotropic", action="store_true", help="slices exactly as far apart as the pixels")
    add(
        "--method",
        help="auto (default: the best on held-out slices of the scan), bspline, lanczos, linear, nearest, registration, "
        "or a trained one such as cae",
    )
    add("--fast", action="store_true", help="the cubic B-spline at once, without comparing methods")
    add(
        "--model",
        metavar="FILE",
        help="checkpoint of a trained method, or the name of a finished one (below)",
    )
    add("--axis", help="slice axis: i, j, k, sagittal, coronal or axial (default: largest spacing)")
    add(
        "--trust", choices=("sform", "qform", "pixdim"),
        help="what says the voxel sizes where a NIfTI header contradicts itself",
    )  # fmt: skip
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
        help="copy the original slices bit by bit, where the new ones meet them (default)",
    )  # fmt: skip
    add(
        "--deblur", action="store_true",
        help="undo that slices are averages over their thickness (motion_spline, whole factors); original slices change too",
    )  # fmt: skip
    add("--thickness", type=float, metavar="MM", help="thickness of a slice (default: as the headers say)")
    add(
        "--correct-motion", action="store_true",
        help="move the odd slices back where something moved between the passes of an interleaved acquisition",
    )  # fmt: skip
    add("--fill-missing", action="store_true", help="interpolate slices that are missing from a DICOM series")
    add("--check", action="store_true", help="hold out every second slice and predict it back")
    add(
        "--preview",
        type=path_of,
        metavar="FILE",
        help="picture of before and after (.png); of a dataset a folder",
    )
    add("--force", action="store_true", help="overwrite what exists")
    add("--quiet", action="store_true", help="say nothing but errors and the result of --check")


def add_dataset(command: argparse.ArgumentParser, title: str) -> None:
    """Which images of a folder, and how many at a time."""
    add = command.add_argument_group(title).add_argument
    add("--jobs", type=int, default=1, metavar="N", help="files at a time (default: 1)")
    add("--include", metavar="GLOB", help="which files (default: anat/ of BIDS, else all)")
    add("--exclude", metavar="GLOB", action="append", default=[], help="which files not; may be repeated")
    add(
        "--participant-label", "--participant_label", dest="participants", nargs="+", default=[], metavar="LABEL",
        help="these subjects of a BIDS tree alone, with or without sub-",
    )  # fmt: skip


def import_nibabel_alone() -> None:
    """Import nibabel without pydicom, which it would load for a kind of header extension that is only copied here.

    With it come requests, Pillow and more: half a second at every start. Where DICOM is read, pydicom is imported as ever.
    numpy's products take one core: matrices are small here, and threads of OpenBLAS that wait for each other on a busy machine
    cost another second. torch has threads of its own.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "nibabel" in sys.modules or "pydicom" in sys.modules:
        return
    sys.modules["pydicom"] = None  # type: ignore[assignment]  # what nibabel takes for "not installed"
    try:
        import nibabel  # noqa: F401
    finally:
        del sys.modules["pydicom"]


def run_upsample(arguments: argparse.Namespace) -> int:
    """`interslice upsample`; the exit code."""
    import_nibabel_alone()
    from interslice.scan.jobs import is_batch

    if arguments.source.name.upper() == "DICOMDIR":  # of a disc: its folder holds the series
        arguments.source = arguments.source.parent
    if arguments.list:
        from interslice.data.dicom_series import described, list_series

        say_to(sys.stdout, "\n".join(described(list_series(arguments.source))))
        return 0
    if is_batch(arguments.source, arguments.output, arguments.series):
        return run_folder(arguments)
    from interslice.scan.command import run_one

    run_one(options_of(arguments), say_of(arguments), answer=lambda text: say_to(sys.stdout, text))
    return 0


def run_bids(arguments: argparse.Namespace) -> int:
    """`interslice bids`; the exit code."""
    import_nibabel_alone()
    from interslice.common.errors import InputError

    if not arguments.source.is_dir():
        raise InputError(f"{arguments.source}: found no folder, allowed is a BIDS dataset")
    return run_folder(arguments)


def run_folder(arguments: argparse.Namespace) -> int:
    """A dataset; 1 where an image failed, or none was there."""
    from interslice.scan.batch import run_batch

    say = say_of(arguments)
    outcomes = run_batch(options_of(arguments), say)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in failed:
        say_to_stderr(outcome.reason)
    states = [outcome.state for outcome in outcomes]
    counts = [f"{states.count(state)} {state}" for state in ("written", "skipped", "failed")]
    absent = states.count("absent")
    say(", ".join([*counts, *([f"{absent} not here, only a link to each"] if absent else [])]))
    return SOME_FAILED if failed or absent == len(states) else 0


def options_of(arguments: argparse.Namespace) -> Any:
    """The options as the code takes them."""
    from interslice.scan.options import Options

    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(arguments).items()
        if key not in ("quiet", "run", "list", "level")
    }
    given["keep_original"] = given["keep_original"] and not given["deblur"]
    return Options(**given)


def say_of(arguments: argparse.Namespace) -> Callable[[str], None]:
    """Where remarks go."""
    return (lambda text: None) if arguments.quiet else say_to_stderr
