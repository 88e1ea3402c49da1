"""The rows that a command line asks for, in order."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from torchconv.bench.calls import Options
from torchconv.bench.cases import CASES, Case
from torchconv.bench.errors import UsageError, optional
from torchconv.bench.huge_pages import NativeWithHugePages
from torchconv.bench.measure import measure
from torchconv.bench.memory import MemoryOptions, MemoryRow, measure_memory
from torchconv.bench.networks import DEFAULT_NETWORKS, NETWORKS
from torchconv.bench.results import Row
from torchconv.bench.tables import DEFAULTS, rows
from torchconv.bench.training import measure_training

Found = TypeVar("Found")
# A row: what it is called, its shape, and how to measure it.
Job = tuple[str, str, Callable[[], Found]]


def done(jobs: list[Job[Found]]) -> Iterator[Found]:
    """Does jobs one by one, with a bar that tells how far it is."""
    (tqdm,) = optional("tqdm")
    with tqdm.tqdm(jobs, unit="row", file=sys.stderr, dynamic_ncols=True, disable=None) as bar:
        for label, shape, job in bar:
            bar.set_postfix_str(f"{label} {shape}")
            yield job()


def fill(rows: list[Found], jobs: list[Job[Found]]) -> bool:
    """Adds the rows of all jobs, which may take long; False if an interrupt ended them early."""
    try:
        for row in done(jobs):
            rows.append(row)
    except KeyboardInterrupt:
        return False
    return True


def operator_jobs(
    arguments: argparse.Namespace, options: Options, peers: list[str], stack: ExitStack
) -> list[Job[Row]]:
    """Shapes of an operator; a process that times them, too, is left to the stack to end."""
    huge_pages = None
    if CASES[arguments.operator].memory_bound and options.device == "cpu":
        huge_pages = stack.enter_context(NativeWithHugePages())
    jobs: list[Job[Row]] = [
        (label, str(case), partial(measure, label, case, options, peers, huge_pages))
        for label, case in _cases(arguments)
    ]
    return _filtered(arguments, jobs)


def training_jobs(arguments: argparse.Namespace, options: Options) -> list[Job[Row]]:
    """Networks to time."""
    jobs: list[Job[Row]] = [
        (f"net/{name}", f"N={batch}", partial(measure_training, name, batch, options))
        for name, batch in _networks(arguments)
    ]
    return _filtered(arguments, jobs)


def memory_jobs(arguments: argparse.Namespace, options: MemoryOptions) -> list[Job[MemoryRow]]:
    """Networks whose memory is measured, a row for each layout."""
    jobs: list[Job[MemoryRow]] = [
        (f"net/{name}", f"N={batch}", partial(measure_memory, name, batch, layout, options))
        for name, batch in _networks(arguments)
        for layout in options.layouts
    ]
    return _filtered(arguments, jobs)


def _filtered(arguments: argparse.Namespace, jobs: list[Job[Found]]) -> list[Job[Found]]:
    jobs = [job for job in jobs if arguments.filter in f"{job[0]} {job[1]}"]
    if not jobs:
        raise UsageError(f"--filter: expected a part of some row, but got {arguments.filter!r}")
    return jobs


def _cases(arguments: argparse.Namespace) -> list[tuple[str, Case]]:
    batches: list[int] = getattr(arguments, "batch", [])
    operator = arguments.operator
    if not arguments.shape:
        tables = arguments.table or [DEFAULTS[operator]]
        return rows(operator, tables, batches, own=arguments.device == "cuda")
    cases = [CASES[operator].parse(text) for text in arguments.shape]
    return [
        ("shape", one)
        for case in cases
        for one in ([case.with_batch(batch) for batch in batches] or [case])
    ]


def _networks(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    """Names and batches."""
    names = arguments.table or DEFAULT_NETWORKS[arguments.operator]
    for name in names:
        if name not in (*NETWORKS, "all"):
            raise UsageError(
                f"--table: expected all or one of {', '.join(NETWORKS)} for {arguments.operator}, "
                f"but got {name!r}"
            )
    names = list(NETWORKS) if "all" in names else list(dict.fromkeys(names))
    return [(name, batch) for name in names for batch in arguments.batch or [NETWORKS[name].batch]]
