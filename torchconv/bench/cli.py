"""The program ``python -m torchconv.bench``."""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import torch

from torchconv.bench import jobs
from torchconv.bench.arguments import OUTPUTS, check, parser
from torchconv.bench.calls import Options
from torchconv.bench.cases import CASES, LAYOUTS
from torchconv.bench.console import console
from torchconv.bench.cuda_machine import copy_bandwidth, settings
from torchconv.bench.errors import UsageError, optional
from torchconv.bench.files import as_json, differences, load_baseline, page_with
from torchconv.bench.gpu import command as gpu
from torchconv.bench.machine import fma_peak, machine, sentence
from torchconv.bench.memory import MemoryOptions
from torchconv.bench.memory_report import MemoryReport
from torchconv.bench.outputs import write_files
from torchconv.bench.peers import check_engines
from torchconv.bench.plot import picture
from torchconv.bench.report import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a benchmark.

    Args:
        arguments: Of the command line; by default those of this process.

    Returns:
        The exit code: 0, or 1 if a result was wrong, the run interrupted or a file not written, or
        2 if an argument was wrong.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with console() as output:
        try:
            code = _run(parser().parse_args(given), given)
        except UsageError as error:
            print(error, file=sys.stderr)
            code = 2
    return code or int(output.failure is not None)


def _run(arguments: argparse.Namespace, given: list[str]) -> int:
    check(arguments)
    if arguments.operator == "gpu":
        return gpu.run(arguments, shlex.join(["python", "-m", "torchconv.bench", *given]))
    optional("tqdm", "tabulate", *(["matplotlib.figure"] if arguments.plot else []))
    layouts = list(LAYOUTS) if arguments.layout == "both" else [arguments.layout]
    measured = _memory if arguments.operator == "memory" else _times
    report = measured(arguments, layouts)
    report.command = shlex.join(["python", "-m", "torchconv.bench", *given])
    failed = any(row.failure for row in report.rows) or report.interrupted
    return 0 if _write(arguments, given, report) and not failed else 1


def _memory(arguments: argparse.Namespace, layouts: list[str]) -> MemoryReport:
    """Measures memory, in processes that set their own number of threads."""
    options = MemoryOptions(arguments.dtype, layouts, arguments.threads)
    report = MemoryReport("", machine("cpu", options.threads), options)
    report.interrupted = not jobs.fill(report.rows, jobs.memory_jobs(arguments, options))
    return report


def _times(arguments: argparse.Namespace, layouts: list[str]) -> Report:
    """Measures times, and puts old ones beside them."""
    peers: list[str] = getattr(arguments, "peers", [])
    check_engines(peers)
    old, old_machine = load_baseline(arguments.compare) if arguments.compare else ({}, None)
    options = Options(
        dtype=arguments.dtype,
        layouts=layouts,
        device=arguments.device,
        threads=arguments.threads,
        seconds=arguments.seconds,
        tf32=getattr(arguments, "tf32", False),
    )
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with ExitStack() as stack:
            if options.device == "cuda":
                stack.enter_context(settings(options.tf32))
            report = _timed(arguments, options, peers, stack)
    finally:
        torch.set_num_threads(before)
    report.old = old
    report.old_name = str(arguments.compare or "")
    report.old_differs = differences(old_machine, report.machine) if old_machine else []
    return report


def _timed(
    arguments: argparse.Namespace, options: Options, peers: list[str], stack: ExitStack
) -> Report:
    """All rows, and the peak, or the copy, that they are compared with."""
    if arguments.operator == "net":
        asked = jobs.training_jobs(arguments, options)
    else:
        asked = jobs.operator_jobs(arguments, options, peers, stack)
    memory_bound = arguments.operator in CASES and CASES[arguments.operator].memory_bound
    counts = not memory_bound and options.device == "cpu"
    copies = memory_bound and options.device == "cuda"
    peak = fma_peak(options.dtype, options.threads) if counts else math.nan
    about = machine(options.device, options.threads)
    report = Report(arguments.operator, "", about, options, peak)
    if copies:
        report.copy = copy_bandwidth(options.seconds)
    report.interrupted = not jobs.fill(report.rows, asked)
    if report.interrupted:
        return report
    if counts:  # once more: other programs make it lower, nothing makes it higher
        report.peak = max(peak, fma_peak(options.dtype, options.threads))
    if copies and not any(row.failure for row in report.rows):
        report.copy = max(report.copy, copy_bandwidth(options.seconds))
    return report


def _write(arguments: argparse.Namespace, given: list[str], report: Report | MemoryReport) -> bool:
    """Writes the files that were asked for, then prints; returns whether all were written."""
    about = sentence(report.machine)
    title = arguments.title or shlex.join(_without_outputs(given))
    complaints = write_files(
        arguments,
        {
            "save": lambda _: as_json(report),
            "plot": lambda path: picture(path.suffix[1:], title, report),
            "markdown": lambda path: page_with(path, title, report, about),
        },
    )
    print(about, report.legend(), report.table(), report.summary(), sep="\n\n", flush=True)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return not complaints


def _without_outputs(given: list[str]) -> list[str]:
    """The command without its files: what was measured, whatever became of it."""
    kept, skip = [], False
    for word in given:
        if skip:
            skip = False
        elif word in OUTPUTS:
            skip = True
        elif not word.startswith(tuple(f"{name}=" for name in OUTPUTS)):
            kept.append(word)
    return kept
