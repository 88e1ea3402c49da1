"""Train a LeNet-style network on torchconv's layers, then the same one on torch's, and compare.

Without options it learns the handwritten digits of scikit-learn; `--data FOLDER` takes your own
folder of MNIST or CIFAR-10 files.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import torch

try:
    from datasets import DataError, load_digits
    from folders import load_folder
    from training import Run, build_network, train

    import torchconv.nn
except ModuleNotFoundError as error:
    sys.exit(f"This example needs {error.name}: pip install '.[examples]' in torchconv's folder.")

LIBRARIES = {"torchconv": torchconv.nn, "torch": torch.nn}
# Digits of 8x8 pixels are halved only once; larger pictures take longer and need fewer epochs.
SMALL = {"convs": 2, "blocks": 1, "epochs": 30}
LARGE = {"convs": 1, "blocks": 2, "epochs": 3}


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a converter of options that are whole numbers from `low` to `high`."""

    def convert(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not within {low} to {high}")
        return int(text)

    convert.__name__ = "whole number"  # argparse names it where int() refuses the text
    return convert


def positive(text: str) -> float:
    """Convert an option that is a positive, finite number."""
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return float(text)


def picture_file(text: str) -> Path:
    """Convert the name of a picture file to write, before hours of training are at stake."""
    path = Path(text)
    if path.suffix != ".png" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a .png file in an existing folder")
    return path


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options; those without a default depend on the data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", help="your folder of MNIST or CIFAR-10 files")
    add("--layers", choices=[*LIBRARIES, "both"], default="both", help="default: both")
    add(
        "--epochs",
        type=whole(1, 10_000),
        help="passes over the pictures; default: 30, with --data 3",
    )
    add("--batch-size", type=whole(1, 100_000), default=64, help="default: 64")
    add("--lr", type=positive, default=0.006, help="learning rate at the start; default: 0.006")
    add("--seed", type=whole(0, 2**63 - 1), default=0, help="of weights and batches; default: 0")
    add("--threads", type=whole(1, 1024), help="default: as torch chooses")
    add("--convs", type=whole(1, 16), help="N, convolutions per block; default: 2, with --data 1")
    add(
        "--blocks",
        type=whole(1, 8),
        help="M, blocks that end in pooling; default: 1, with --data 2",
    )
    add("--fully-connected", type=whole(0, 16), default=1, help="K, hidden layers; default: 1")
    add("--plot", type=picture_file, metavar="FILE.png", help="draw the loss curves into this file")
    return parser


def summarize(name: str, runs: dict[str, Run]) -> str:
    """Return the table of the runs and, as its last line, all of it in one sentence."""
    rows = {
        "test accuracy": [f"{run.accuracy:.4f}" for run in runs.values()],
        "final loss": [f"{run.final_loss:.4f}" for run in runs.values()],
        "median time per step": [f"{run.step:.1f} ms" for run in runs.values()],
    }
    results = " ".join(f"{library} {run.accuracy:.4f}" for library, run in runs.items())
    line = f"{name}: test accuracy {results}"
    if len(runs) == 2:
        ours, theirs = (torch.tensor(run.losses, dtype=torch.float64) for run in runs.values())
        gap = (ours - theirs).abs().max().item()
        alike = int(((ours - theirs).abs() > 1e-5).nonzero().min()) if gap > 1e-5 else len(ours)
        rows["losses equal to 1e-5"] = ["", f"{alike} steps"]
        rows["largest loss difference"] = ["", f"{gap:.0e}"]
        line += f", largest loss difference {gap:.0e}"
    line += ", step " + " against ".join(rows["median time per step"])
    table = [("", *runs), *((label, *cells) for label, cells in rows.items())]
    lines = [f"{label:24}" + "".join(f"{cell:>12}" for cell in cells) for label, *cells in table]
    return "\n".join(["", *lines, "", line])


def plot_losses(runs: dict[str, Run], path: Path) -> None:
    """Draw the loss of every step, one curve per library, into the picture file `path`."""
    from matplotlib.figure import Figure

    axes = (figure := Figure()).subplots()
    for (library, run), style in zip(runs.items(), ("-", "--"), strict=False):
        axes.plot(run.losses, style, label=library)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo with these command-line arguments."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        if options.plot:
            import_module("matplotlib")  # Better missed now than after the training.
        data = load_folder(options.data) if options.data else load_digits()
    except ModuleNotFoundError as error:
        sys.exit(
            f"This example needs {error.name}: pip install '.[examples]' in torchconv's folder."
        )
    except (DataError, OSError) as error:
        parser.exit(2, f"{error}\n")
    for name, value in (LARGE if options.data else SMALL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    shape = data.train_images.shape[1:]
    if min(shape[1:]) >> options.blocks == 0:
        parser.error(f"--blocks {options.blocks} halves {shape[1]}x{shape[2]} pixels to nothing")
    if options.threads:
        torch.set_num_threads(options.threads)

    sizes = shape, options.convs, options.blocks, options.fully_connected
    print(
        f"{data.name}: {len(data.train_labels)} pictures to learn from, {len(data.test_labels)} to "
        f"test, of {'x'.join(map(str, shape))}\n[(CONV-RELU)*{options.convs}-POOL]*{options.blocks}"
        f"-(FC-RELU)*{options.fully_connected}-SOFTMAX, {options.epochs} epochs, "
        f"{torch.get_num_threads()} threads"
    )
    chosen = LIBRARIES if options.layers == "both" else [options.layers]
    runs = {
        name: train(name, build_network(LIBRARIES[name], *sizes), data, options) for name in chosen
    }
    if options.plot:
        plot_losses(runs, options.plot)
    print(summarize(data.name, runs))


if __name__ == "__main__":
    main()
