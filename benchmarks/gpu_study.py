"""What one lent or rented GPU shows in ten minutes: agreement with the CPU, speed, and trainings of equal seconds.

    PYTHONPATH=src:tests python benchmarks/gpu_study.py prepare INPUT --train A.nii B.nii --validation C.nii
    CUBLAS_WORKSPACE_CONFIG=:4096:8 PYTHONPATH=src:tests python benchmarks/gpu_study.py run INPUT OUTPUT [--minutes 8]
    PYTHONPATH=src python benchmarks/gpu_study.py unpack OUTPUT MODELS

prepare, here: the normalised volumes of a study (results/normalise_volumes/…) and LPIPS as one folder of at most 60 MiB.
run, there: CPU against GPU after 200 steps (devices.py), the ratio to the plain step (reference_step.py), steps a second with
batches drawn ahead, compiled and in bfloat16, then a training of every method at every K, all with the same seconds. It
writes as it goes: study.json, history.csv and weights_KK.pt, at most eight files of at most 16 MiB. It needs torch and this
repository's src and tests, nibabel, pandas, lpips, scikit-image and jsonschema, and no network.
unpack, here: a file METHOD_KK.pt for every training, to be named as `checkpoint` in a study that evaluates them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import pandas as pd
import torch
from devices import agreement, agrees
from reference_step import SETTINGS, compare
from torch import nn

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.common.devices import select_precision
from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.config import load_method_settings
from interslice.data.volumes import open_volume, output_size
from interslice.methods import build_method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.loop import DRAWING_THREADS, Run, batches_of, compile_modules, take_step, train
from interslice.training.lpips import lpips_itself
from interslice.training.optimisers import build_optimisers
from interslice.training.prefetch import drawn_ahead
from interslice.training.validation import Pair

ROOT = Path(__file__).parent.parent
MOST_INPUT_MIB, MOST_FILE_MIB, MOST_FILES = 60, 16, 8
FACTORS = (2, 4)
# Method to its share of the seconds, the paper's with VGG16, batch normalisation and 12 x 128² first.
METHODS = {"cae_paper": 3, "cae": 3, "cae_mse": 2, "vae": 1, "acai": 1, "unet": 2, "srrecnn3d": 2}
# Of every training: the rate falls when so many seconds are nearly used up. The released rate needs a million updates.
BY_SECONDS = {
    "steps": 10**7, "until": "steps", "schedule": "decay", "decay": 0.3, "warmup_steps": 50, "learning_rate": 1e-3,
    "validate_every": 250, "checkpoint_every": 10**9, "device": "auto", "precision": "auto",
}  # fmt: skip
HELD = "validation "  # before a name in the file of volumes
VALIDATION_SLICES = 97  # about the middle, of the reference: whole gaps for every K
SHARE_OF_TRAININGS = 0.75  # of the minutes; the rest is for what goes before them
TIMED, WARM = 60, 10  # steps
LEAST_SECONDS = 1.0  # of a training
OF_WEIGHTS = ("settings", "seed", "K", "digest", "subjects", "validation_subjects", "weights", "best_step")
OF_HISTORY = ("history", "updates", "seconds", "compute_seconds", "ended")


def prepare(train_files: Sequence[Path], validation: Path, backbones: Path, output: Path) -> None:
    """Write volumes.npz (16 bits of [0, 1]) and lpips_NAME.pt (16-bit weights, half of their size) into a folder."""
    volumes = {path.name.partition(".")[0]: open_volume(path).data[0] for path in train_files}
    held = open_volume(validation).data[0]
    first = max(0, (len(held) - VALIDATION_SLICES) // 2)
    volumes[HELD + validation.name.partition(".")[0]] = held[first : first + VALIDATION_SLICES]
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        coded = {
            name: np.round(65535 * np.clip(data, 0, 1)).astype(np.uint16) for name, data in volumes.items()
        }
        np.savez_compressed(folder / "volumes.npz", **coded)
        for name in ("alex", "vgg"):
            weights = lpips_itself(name, backbones / f"{name}.pt").state_dict()
            torch.save({key: tensor.half() for key, tensor in weights.items()}, folder / f"lpips_{name}.pt")
        mib = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        if mib > MOST_INPUT_MIB:
            raise InputError(
                f"{output}: found {mib:.0f} MiB of volumes and weights, allowed are {MOST_INPUT_MIB}"
            )


def load_perceptual(given: Path, backbone: str) -> nn.Module:
    """LPIPS with the 16-bit weights of `prepare`: about a thousandth off, which is enough to train with."""
    network = lpips.LPIPS(net=backbone, pretrained=False, pnet_rand=True, verbose=False)
    weights = torch.load(given / f"lpips_{backbone}.pt", weights_only=True)
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return network.requires_grad_(False).eval()


def read_volumes(given: Path) -> tuple[dict[str, np.ndarray], str, np.ndarray]:
    """The training volumes by name, and name and data of the validation volume; (slices, rows, columns) float32 in [0, 1]."""
    with np.load(given / "volumes.npz") as coded:
        volumes = {name: coded[name].astype(np.float32) / 65535 for name in coded.files}
    name = next(name for name in volumes if name.startswith(HELD))
    return volumes, name.removeprefix(HELD), volumes.pop(name)


def settings_of(method: str, seconds: float) -> dict[str, Any]:
    """A method's settings for a training of so many seconds."""
    settings = load_method_settings(method, ROOT, "t1")
    return settings | {"training": settings["training"] | BY_SECONDS | {"seconds": seconds}}


def cut(volume: np.ndarray, factor: int) -> np.ndarray:
    """A reference cut to whole gaps."""
    return volume[: output_size((len(volume) - 1) // factor + 1, factor)]


def train_one(given: Path, method: str, factor: int, seconds: float) -> dict[str, Any]:
    """A finished training's state (`training.loop.train`)."""
    settings = settings_of(method, seconds)
    volumes, name, held = read_volumes(given)
    run = Run(f"{method}, K = {factor}", settings, 1, factor, "gpu_study", list(volumes), [name])
    sharp = [cut(volume, factor)[np.newaxis] for volume in volumes.values()]
    reference = cut(held, factor)
    weight = settings.get("synthesis", {}).get("lpips")
    with tempfile.TemporaryDirectory() as folder:
        return train(
            run,
            [np.ascontiguousarray(volume[:, ::factor]) for volume in sharp],
            [Pair(np.ascontiguousarray(reference[::factor]), reference)],
            resume=Path(folder) / "resume.pt",
            references=sharp,
            perceptual=load_perceptual(given, settings["synthesis"]["backbone"]) if weight else None,
        )


def steps_per_second(
    given: Path, *, precision: str = "float32", ahead: bool = True, compiled: bool = False
) -> float:
    """Of `cae` at K = 2, batches drawn included."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = settings_of("cae", 1.0)
    training = settings["training"] | {"precision": precision}
    method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
    low = [np.ascontiguousarray(volume[np.newaxis, ::2]) for volume in read_volumes(given)[0].values()]
    draw = batches_of(Run("", settings, 1, 2, "", []), method, low, None, None)
    method.network.to(device).train()
    method.perceptual = load_perceptual(given, settings["synthesis"]["backbone"]).to(device)
    if compiled:
        compile_modules(method)
    optimisers = build_optimisers(method, training)
    with closing(drawn_ahead(draw, 0, DRAWING_THREADS if ahead else 0)) as batches:
        for step in range(WARM + TIMED):
            if step == WARM:
                started = time.perf_counter()
            take_step(method, optimisers, next(batches), training, step)  # reading the loss waits for a GPU
    return TIMED / (time.perf_counter() - started)


def speeds(given: Path) -> dict[str, float]:
    """Steps a second of the variants, each against the first."""
    fast = select_precision("auto", torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return {
        "float32": steps_per_second(given),
        "float32, not drawn ahead": steps_per_second(given, ahead=False),
        "float32, compiled": steps_per_second(given, compiled=True),
        f"auto ({fast})": steps_per_second(given, precision=fast),
        f"auto ({fast}), compiled": steps_per_second(given, precision=fast, compiled=True),
    }


def run_study(given: Path, output: Path, minutes: float) -> None:
    """All stages in order, every one written as soon as it is there; one that fails is recorded and stops no other."""
    started = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    study: dict[str, Any] = {"environment": environment_record(), "device": str(device)}

    def keep(name: str, work: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            study[name] = work()
        except Exception as error:  # a stage must not cost the others: the machine is lent once
            study[name] = f"failed: {type(error).__name__}: {error}"
        study.setdefault("wall_seconds", {})[name] = time.monotonic() - began
        write_json_whole(study, output / "study.json")
        print(name, study[name], flush=True)

    keep("agreement", lambda: agreement(load_perceptual(given, "alex")))
    if isinstance(study["agreement"], dict) and "cuda float32" in study["agreement"]:
        keep("gpu_agrees", lambda: agrees(study["agreement"]["cuda float32"]))
    vgg = load_perceptual(given, "vgg").to(device)
    keep("against_plain", lambda: {name: compare(name, 5, device, vgg) for name in SETTINGS})
    keep("steps_per_second", lambda: speeds(given))
    left = 60 * minutes - (time.monotonic() - started)
    unit = max(
        LEAST_SECONDS, min(left, 60 * minutes * SHARE_OF_TRAININGS) / (len(FACTORS) * sum(METHODS.values()))
    )
    for factor in FACTORS:
        states: dict[str, Any] = {}
        for method, share in METHODS.items():
            keep(f"{method}_K{factor}", partial(learn, given, method, factor, share * unit, states))
            write_checkpoint({"states": states}, output / f"weights_K{factor}.pt")
            append_history(states.get(method), method, factor, output / "history.csv")
    check_output(output)


def learn(given: Path, method: str, factor: int, seconds: float, states: dict[str, Any]) -> dict[str, Any]:
    """Train, keep the weights in `states`, return what the study says of it."""
    state = train_one(given, method, factor, seconds)
    states[method] = {key: state[key] for key in (*OF_WEIGHTS, *OF_HISTORY)}
    best = next(row for row in state["history"] if row["step"] == state["best_step"])
    return {key: state[key] for key in OF_HISTORY if key != "history"} | best


def append_history(state: Mapping[str, Any] | None, method: str, factor: int, path: Path) -> None:
    """Add a training's validations to the table of all; nothing for one that failed."""
    if state is None:
        return
    rows = pd.DataFrame(state["history"]).assign(method=method, K=factor)
    earlier = [pd.read_csv(path)] if path.exists() else []
    with replacing(path) as temporary:
        pd.concat([*earlier, rows]).to_csv(temporary, index=False)


def write_json_whole(content: Mapping[str, Any], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def check_output(output: Path) -> None:
    """InputError for more or larger files than such a machine gives back."""
    sizes = {path.name: path.stat().st_size / 2**20 for path in output.iterdir()}
    large = [name for name, mib in sizes.items() if mib > MOST_FILE_MIB]
    if large or len(sizes) > MOST_FILES:
        raise InputError(
            f"{output}: found {len(sizes)} files, too large: {', '.join(large) or 'none'}; allowed are {MOST_FILES} of "
            f"{MOST_FILE_MIB} MiB"
        )


def unpack(output: Path, models: Path) -> list[Path]:
    """Every training as a checkpoint METHOD_KK.pt of its own."""
    models.mkdir(parents=True, exist_ok=True)
    written = []
    for file in sorted(output.glob("weights_K*.pt")):
        for method, state in read_checkpoint(file)["states"].items():
            path = models / f"{method}_K{state['K']}.pt"
            write_checkpoint(state | {"dataset": "t1"}, path)
            written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("prepare")
    one.add_argument("input", type=Path)
    one.add_argument("--train", type=Path, nargs="+", required=True)
    one.add_argument("--validation", type=Path, required=True)
    one.add_argument("--lpips", type=Path, default=ROOT / "resources/lpips")
    two = commands.add_parser("run")
    two.add_argument("input", type=Path)
    two.add_argument("output", type=Path)
    two.add_argument("--minutes", type=float, default=8.0)
    three = commands.add_parser("unpack")
    three.add_argument("output", type=Path)
    three.add_argument("models", type=Path)
    given = parser.parse_args()
    if given.command == "prepare":
        prepare(given.train, given.validation, given.lpips, given.input)
    elif given.command == "run":
        run_study(given.input, given.output, given.minutes)
    else:
        print(*unpack(given.output, given.models), sep="\n")


if __name__ == "__main__":
    main()
