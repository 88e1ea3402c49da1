"""The command line: what it takes, and what it says of itself."""

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

import torch

from torchconv.bench.cases import CASES, LAYOUTS
from torchconv.bench.errors import UsageError
from torchconv.bench.networks import NETWORKS
from torchconv.bench.peers import ENGINES
from torchconv.bench.report import LEGEND
from torchconv.bench.tables import DEFAULTS, table_names

DTYPES = ("float32", "float64", "bfloat16", "float16")
OUTPUTS = ("--save", "--compare", "--plot", "--markdown", "--title")
PICTURES = (".png", ".pdf", ".svg")

_NET = """\
Times training steps of whole networks, built from torchconv.nn and from torch.nn: forward, cross
entropy, backward and a step of SGD. The losses and gradients of the first step must agree; else the
network is shown as FAILED, and the exit code is 1. Then both take turns, in each layout."""
_DESCRIPTION = """\
Times torchconv beside torch. Every shape is first verified against float64, forward and each
gradient, a large one with a smaller batch; a wrong result is shown as FAILED, and the exit code is
1. Then both libraries take turns, forward (under no_grad) and forward with backward (gradients of
all arguments, but of a convolution with 4 channels or fewer, a first layer, not that of its
images), in each layout."""

_SHAPES = {
    "conv": "N=8,C=64,H=56,W=56,K=64,R=3,S=3,stride=1,pad=1,dilation=1,groups=1 (batch, input "
    "channels, height, width, output channels, kernel height and width); C, H, K and R must be "
    "given; stride, pad and dilation may be HEIGHTxWIDTH",
    "linear": "N=64,in=9216,out=4096 (batch and features); in and out must be given",
    "matmul": "B=1,M=512,K=512,N=512 (B products of [M, K] and [K, N]); M must be given, "
    "and K and N are M by default",
    "pool": "N=8,C=64,H=112,W=112,R=3,S=3,stride=2,pad=1 (batch, channels, height, width, window); "
    "C, H and R must be given, stride is R by default",
    "sigmoid": "size=1000000 (elements)",
}
_BATCHES = {
    "conv": "4 and 8, or the table's own where it is smaller",
    "pool": "4 and 8, or the table's own where it is smaller",
    "linear": "the table's own",
    "net": "64 for lenet, 4 for vgg_16, 8 for the others",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence, without the usage above it."""
        raise UsageError(f"torchconv.bench: {message}")


def _numbers(text: str) -> list[int]:
    parts = _words(text)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers from 1 on, but got {text!r}")
    return [int(part) for part in parts]


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    make: dict[str, Any] = {
        "allow_abbrev": False,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    top = _Parser(prog="python -m torchconv.bench", description=_DESCRIPTION, **make)
    commands = top.add_subparsers(dest="operator", required=True, metavar="OPERATOR")
    for operator in (*CASES, "net"):
        tables = list(NETWORKS) if operator == "net" else table_names(operator)
        command = commands.add_parser(
            operator,
            help="whole training steps of networks" if operator == "net" else None,
            description=_NET if operator == "net" else _DESCRIPTION,
            epilog=LEGEND,
            **make,
        )
        _rows(command, operator, tables)
        _options(command, operator)
        _outputs(command)
    return top


def _rows(command: argparse.ArgumentParser, operator: str, tables: list[str]) -> None:
    default = "lenet,alexnet" if operator == "net" else DEFAULTS[operator]
    what = "networks" if operator == "net" else "tables of shapes"
    command.add_argument(
        "--table", type=_words, action="extend", metavar="NAME,…",
        help=f"{what}: all or some of {', '.join(tables)} (default: {default})",
    )  # fmt: skip
    if operator in _SHAPES:
        command.add_argument(
            "--shape", action="append", metavar="KEY=NUMBER,…",
            help=f"a shape instead of a table, may be repeated: {_SHAPES[operator]}",
        )  # fmt: skip
    if operator in _BATCHES:
        command.add_argument(
            "--batch", type=_numbers, default=[], metavar="N,…",
            help=f"batches for every row (default: {_BATCHES[operator]})",
        )  # fmt: skip
    command.add_argument(
        "--filter", default="", metavar="SUBSTRING",
        help="only rows that have this in 'table/layer shape'",
    )  # fmt: skip


def _options(command: argparse.ArgumentParser, operator: str) -> None:
    layouts = LAYOUTS if operator == "net" else CASES[operator].layouts
    choices = (*layouts, "both") if len(layouts) > 1 else layouts
    threads = torch.get_num_threads()
    add: Any = command.add_argument
    add("--dtype", choices=DTYPES, default="float32")
    add("--layout", choices=choices, default=choices[-1])
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--threads", type=int, default=threads, help=f"default: torch's own, {threads} here")
    add(
        "--seconds", type=float, default=0.3,
        help="time for each measurement: a side, in a layout, of a step (default: 0.3); "
        "at least 5 repetitions are made",
    )  # fmt: skip
    if operator != "net":
        add(
            "--peers", type=_words, default=[], metavar="ENGINE,…",
            help=f"inference engines to time forward, too, each on its own: {', '.join(ENGINES)}",
        )  # fmt: skip


def _outputs(command: argparse.ArgumentParser) -> None:
    for option, metavar, text in (
        ("--save", "FILE.json", "everything that was measured"),
        (
            "--compare",
            "OLD.json",
            "adds old/new: our time in an earlier --save divided by ours now",
        ),
        ("--plot", "FILE.png", "the ratios as bars; also .pdf and .svg"),
        (
            "--markdown",
            "PAGE.md",
            "writes the table as a section of a page, which keeps the others",
        ),
    ):
        command.add_argument(option, type=Path, metavar=metavar, help=text)
    text = "of plot and section (default: the command without its files)"
    command.add_argument("--title", default="", help=text)


def check(options: argparse.Namespace) -> None:
    """Refuses before anything is measured what would fail afterwards.

    Raises:
        UsageError: With the first fault.
    """
    most = len(os.sched_getaffinity(0))
    if not 1 <= options.threads <= most:
        raise UsageError(
            f"--threads: expected 1 to {most}, the cores here, but got {options.threads}"
        )
    if not options.seconds > 0:
        raise UsageError(f"--seconds: expected more than 0, but got {options.seconds}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device: expected a GPU that torch can use for cuda, but found none")
    if getattr(options, "shape", None) and options.table:
        raise UsageError("--shape: expected a shape or --table, but got both")
    if getattr(options, "peers", None) and (options.dtype, options.device) != ("float32", "cpu"):
        raise UsageError(
            f"--peers: expected float32 on the CPU, but got {options.dtype} on {options.device}"
        )
    for name in ("save", "plot", "markdown"):
        path: Path | None = getattr(options, name)
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"--{name}: expected a file in an existing folder, but got '{path}'")
    if options.plot is not None and options.plot.suffix not in PICTURES:
        raise UsageError(
            f"--plot: expected a name that ends in {', '.join(PICTURES)}, but got '{options.plot}'"
        )
    if "\n" in options.title or "-->" in options.title:
        raise UsageError(f"--title: expected one line without -->, but got {options.title!r}")
