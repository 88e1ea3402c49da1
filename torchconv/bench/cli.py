"""The program ``python -m torchconv.bench``."""

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import torch

from torchconv.bench.arguments import OUTPUTS, check, parser
from torchconv.bench.calls import Options
from torchconv.bench.cases import CASES, LAYOUTS, Case
from torchconv.bench.errors import UsageError, optional
from torchconv.bench.files import differences, load_old, save, write_markdown
from torchconv.bench.huge_pages import NativeWithHugePages
from torchconv.bench.machine import fma_peak, machine, sentence
from torchconv.bench.measure import measure
from torchconv.bench.networks import NETWORKS
from torchconv.bench.peers import check_engines
from torchconv.bench.plot import plot
from torchconv.bench.report import Report
from torchconv.bench.results import Row
from torchconv.bench.tables import DEFAULTS, rows
from torchconv.bench.training import measure_training

# A row: what it is called, its shape, and how to measure it.
Job = tuple[str, str, Callable[[], Row]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a benchmark.

    Args:
        arguments: Of the command line; by default those of this process.

    Returns:
        The exit code: 0, or 1 if a result was wrong, or 2 if an argument was.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(parser().parse_args(given), given)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace, given: list[str]) -> int:
    check(arguments)
    optional("tqdm", "tabulate", *(["matplotlib.figure"] if arguments.plot else []))
    peers: list[str] = getattr(arguments, "peers", [])
    check_engines(peers)
    old, old_machine = load_old(arguments.compare) if arguments.compare else ({}, None)
    options = Options(
        dtype=arguments.dtype,
        layouts=list(LAYOUTS) if arguments.layout == "both" else [arguments.layout],
        device=arguments.device,
        threads=arguments.threads,
        seconds=arguments.seconds,
    )
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        with ExitStack() as stack:
            report = _measured(arguments, options, peers, stack)
    finally:
        torch.set_num_threads(before)
    report.command = shlex.join(["python", "-m", "torchconv.bench", *given])
    report.old = old
    report.old_differs = differences(old_machine, report.machine) if old_machine else []
    _write(arguments, given, options, report)
    return 1 if any(row.failure for row in report.rows) else 0


def _measured(
    arguments: argparse.Namespace, options: Options, peers: list[str], stack: ExitStack
) -> Report:
    """Measures all rows, with a bar that tells how far it is."""
    (tqdm,) = optional("tqdm")
    jobs = _jobs(arguments, options, peers, stack)
    counts = arguments.operator not in CASES or not CASES[arguments.operator].memory_bound
    counts = counts and options.device == "cpu"
    peak = fma_peak(options.dtype, options.threads) if counts else math.nan
    report = Report(arguments.operator, "", machine(options.device, options.threads), peak)
    with tqdm.tqdm(jobs, unit="row", file=sys.stderr, dynamic_ncols=True, disable=None) as bar:
        for label, shape, job in bar:
            bar.set_postfix_str(f"{label} {shape}")
            report.rows.append(job())
    if counts:  # once more: other programs make it lower, nothing makes it higher
        report.peak = max(peak, fma_peak(options.dtype, options.threads))
    return report


def _jobs(
    arguments: argparse.Namespace, options: Options, peers: list[str], stack: ExitStack
) -> list[Job]:
    """The rows that were asked for, in order."""
    jobs: list[Job] = []
    if arguments.operator == "net":
        for name in _networks(arguments.table or ["lenet", "alexnet"]):
            for batch in arguments.batch or [NETWORKS[name].batch]:
                job = partial(measure_training, name, batch, options)
                jobs.append((f"net/{name}", f"N={batch}", job))
        jobs = [job for job in jobs if arguments.filter in f"{job[0]} {job[1]}"]
    else:
        chosen = [c for c in _chosen(arguments) if arguments.filter in f"{c[0]} {c[1]}"]
        huge_pages = None
        if chosen and CASES[arguments.operator].memory_bound and options.device == "cpu":
            huge_pages = stack.enter_context(NativeWithHugePages())
        for label, case in chosen:
            job = partial(measure, label, case, options, peers, huge_pages)
            jobs.append((label, str(case), job))
    if not jobs:
        raise UsageError(f"--filter: expected a part of some row, but got {arguments.filter!r}")
    return jobs


def _chosen(arguments: argparse.Namespace) -> list[tuple[str, Case]]:
    batches: list[int] = getattr(arguments, "batch", [])
    operator = arguments.operator
    if not arguments.shape:
        return rows(operator, arguments.table or [DEFAULTS[operator]], batches)
    cases = [CASES[operator].parse(text) for text in arguments.shape]
    return [
        ("shape", one)
        for case in cases
        for one in ([case.with_batch(batch) for batch in batches] or [case])
    ]


def _networks(names: list[str]) -> list[str]:
    for name in names:
        if name not in (*NETWORKS, "all"):
            known = ", ".join(NETWORKS)
            raise UsageError(f"--table: expected all or one of {known} for net, but got {name!r}")
    return list(NETWORKS) if "all" in names else list(dict.fromkeys(names))


def _write(
    arguments: argparse.Namespace, given: list[str], options: Options, report: Report
) -> None:
    """Prints the report, and leaves the files that were asked for."""
    about = sentence(report.machine)
    print(about, report.legend(), report.table(), report.summary(), sep="\n\n")
    title = arguments.title or shlex.join(_without_outputs(given))
    if arguments.save:
        save(arguments.save, report, options)
    if arguments.plot:
        plot(arguments.plot, title, report)
    if arguments.markdown:
        write_markdown(arguments.markdown, title, report, about)


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
