"""The command line: what it takes, and what it refuses."""

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

import torch

from torchconv.bench.cases import CASES, LAYOUTS
from torchconv.bench.descriptions import BATCHES, DESCRIPTION, GPU_HELP, NETWORK_HELP, SHAPES
from torchconv.bench.errors import UsageError
from torchconv.bench.networks import DEFAULT_NETWORKS, NETWORKS
from torchconv.bench.outputs import probe
from torchconv.bench.peers import ENGINES
from torchconv.bench.report import LEGEND
from torchconv.bench.tables import DEFAULTS, table_names

DTYPES = ("float32", "float64", "bfloat16", "float16")
OUTPUTS = ("--save", "--compare", "--plot", "--markdown", "--title")
PICTURES = (".png", ".pdf", ".svg")
PRODUCTS = ("conv", "linear", "matmul", "block")
PARTS = ("tests", "times", "sanitizer")  # of the report on a GPU, in the order in which they run


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
    top = _Parser(prog="python -m torchconv.bench", description=DESCRIPTION, **make)
    commands = top.add_subparsers(dest="operator", required=True, metavar="OPERATOR")
    for operator in (*CASES, *NETWORK_HELP):
        short, about, legend = NETWORK_HELP.get(operator, (None, DESCRIPTION, LEGEND))
        command = commands.add_parser(
            operator, help=short, description=about, epilog=legend, **make
        )
        _rows(command, operator)
        _options(command, operator)
        _outputs(command, operator)
    short, about = GPU_HELP
    _report(commands.add_parser("gpu", help=short, description=about, **make))
    return top


def _rows(command: argparse.ArgumentParser, operator: str) -> None:
    if operator in NETWORK_HELP:
        what, known, default = "networks", list(NETWORKS), ",".join(DEFAULT_NETWORKS[operator])
    else:
        what, known, default = "tables of shapes", table_names(operator), DEFAULTS[operator]
    command.add_argument(
        "--table", type=_words, action="extend", metavar="NAME,…",
        help=f"{what}: all or some of {', '.join(known)} (default: {default})",
    )  # fmt: skip
    if operator in SHAPES:
        command.add_argument(
            "--shape", action="append", metavar="KEY=NUMBER,…",
            help=f"a shape instead of a table, may be repeated: {SHAPES[operator]}",
        )  # fmt: skip
    if operator in BATCHES:
        command.add_argument(
            "--batch", type=_numbers, default=[], metavar="N,…",
            help=f"batches for every row (default: {BATCHES[operator]})",
        )  # fmt: skip
    command.add_argument(
        "--filter", default="", metavar="SUBSTRING",
        help="only rows that have this in 'table/layer shape'",
    )  # fmt: skip


def _options(command: argparse.ArgumentParser, operator: str) -> None:
    layouts = LAYOUTS if operator in NETWORK_HELP else CASES[operator].layouts
    choices = (*layouts, "both") if len(layouts) > 1 else layouts
    threads = torch.get_num_threads()
    add: Any = command.add_argument
    add("--dtype", choices=DTYPES, default="float32")
    add("--layout", choices=choices, default=choices[-1])
    add("--threads", type=int, default=threads, help=f"default: torch's own, {threads} here")
    if operator == "memory":
        return
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add(
        "--seconds", type=float, default=0.3,
        help="time for each measurement: a side, in a layout, of a step (default: 0.3); "
        "at least 5 repetitions are made",
    )  # fmt: skip
    if operator in PRODUCTS:
        text = "lets both libraries multiply float32 as TF32; only on cuda"
        add("--tf32", action="store_true", help=text)
    if operator in CASES and operator not in ("relu", "block"):  # engines fuse these
        add(
            "--peers", type=_words, default=[], metavar="ENGINE,…",
            help=f"inference engines to time forward, too, each on its own: {', '.join(ENGINES)}",
        )  # fmt: skip


def _outputs(command: argparse.ArgumentParser, operator: str) -> None:
    timed = operator != "memory"
    add: Any = command.add_argument
    add("--save", type=Path, metavar="FILE.json", help="everything that was measured")
    if timed:
        text = "adds old/new: our time in an earlier --save divided by ours now"
        add("--compare", type=Path, metavar="OLD.json", help=text)
    text = f"{'the ratios' if timed else 'the megabytes'} as bars; also .pdf and .svg"
    add("--plot", type=Path, metavar="FILE.png", help=text)
    text = "writes the table as a section of a page, which keeps the others"
    add("--markdown", type=Path, metavar="PAGE.md", help=text)
    add("--title", default="", help="of plot and section (default: the command without its files)")


def _report(command: argparse.ArgumentParser) -> None:
    add: Any = command.add_argument
    text = "what the report has: some of tests, times, sanitizer (default: all)"
    add("--only", type=_words, default=list(PARTS), metavar="PART,…", help=text)
    text = "the most that all parts take together (default: 9)"
    add("--minutes", type=float, default=9.0, help=text)
    add("--save", type=Path, metavar="FILE.json", help="everything that was found out")
    text = "writes the report as a section of a page, which keeps the others"
    add("--markdown", type=Path, metavar="PAGE.md", help=text)
    add("--title", default="", help="of the section (default: gpu and the name of the GPU)")


def check(options: argparse.Namespace) -> None:
    """Refuses before anything is measured what would fail afterwards.

    Raises:
        UsageError: With the first fault.
    """
    if options.operator == "gpu":
        _check_report(options)
    else:
        _check_measurement(options)
    _check_outputs(options)


def _check_report(options: argparse.Namespace) -> None:
    for name in options.only:
        if name not in PARTS:
            raise UsageError(f"--only: expected some of {', '.join(PARTS)}, but got {name!r}")
    if not options.minutes > 0:
        raise UsageError(f"--minutes: expected more than 0, but got {options.minutes}")
    if not torch.cuda.is_available():
        raise UsageError(f"gpu: expected a GPU that torch can use for cuda, but {_no_gpu()}")


def _no_gpu() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    return "it finds none"


def _check_measurement(options: argparse.Namespace) -> None:
    most = len(os.sched_getaffinity(0))
    if not 1 <= options.threads <= most:
        raise UsageError(
            f"--threads: expected 1 to {most}, the cores here, but got {options.threads}"
        )
    if not getattr(options, "seconds", 1) > 0:
        raise UsageError(f"--seconds: expected more than 0, but got {options.seconds}")
    if getattr(options, "device", "cpu") == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device: expected a GPU that torch can use for cuda, but {_no_gpu()}")
    if getattr(options, "tf32", False) and (options.dtype, options.device) != ("float32", "cuda"):
        raise UsageError(
            f"--tf32: expected float32 on cuda, but got {options.dtype} on {options.device}"
        )
    if getattr(options, "shape", None) and options.table:
        raise UsageError("--shape: expected a shape or --table, but got both")
    if getattr(options, "peers", None) and (options.dtype, options.device) != ("float32", "cpu"):
        raise UsageError(
            f"--peers: expected float32 on the CPU, but got {options.dtype} on {options.device}"
        )


def _check_outputs(options: argparse.Namespace) -> None:
    plot: Path | None = getattr(options, "plot", None)
    if plot is not None and plot.suffix not in PICTURES:
        raise UsageError(
            f"--plot: expected a name that ends in {', '.join(PICTURES)}, but got '{plot}'"
        )
    if "\n" in options.title or "-->" in options.title:
        raise UsageError(f"--title: expected one line without -->, but got {options.title!r}")
    probe(options)
