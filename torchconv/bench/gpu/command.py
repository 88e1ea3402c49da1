"""Runs the parts of the report one after the other, and writes it."""

import argparse
import sys
import time

import torch

from torchconv import backends
from torchconv.bench.errors import optional
from torchconv.bench.files import as_json, page_with
from torchconv.bench.gpu.report import GpuOptions, GpuReport
from torchconv.bench.gpu.sanitizer import run_sanitizer
from torchconv.bench.gpu.suite import run_tests
from torchconv.bench.gpu.times import absent, asked, run_tables
from torchconv.bench.machine import machine, sentence
from torchconv.bench.outputs import write_files

# What each part may take of the time, beside the parts that come after it. What a part leaves is
# theirs.
_SHARES = {"tests": 0.3, "times": 0.5, "sanitizer": 0.2}


def run(arguments: argparse.Namespace, command: str) -> int:
    """Makes the report.

    Args:
        arguments: Of the command line, already checked.
        command: The command itself, for the report.

    Returns:
        The exit code: 0, or 1 if something failed or a file was not written.
    """
    optional("tqdm", "tabulate")  # which the parts need
    end = time.monotonic() + 60 * arguments.minutes
    about = machine("cuda", torch.get_num_threads())
    report = GpuReport(command, about, GpuOptions(arguments.only, arguments.minutes))
    report.operators = backends.cuda_operators()
    report.absent = absent(report.operators)
    title = arguments.title or f"gpu, {about['gpu']}"
    makers = {
        "save": lambda _: as_json(report),
        "markdown": lambda path: page_with(path, title, report, sentence(about)),
    }
    left = [part for part in _SHARES if part in arguments.only]
    while left:
        limit = part_limit(left, end - time.monotonic())
        _run_part(report, left.pop(0), limit)
        # The next part may end this process, or the machine. What fails here is said at the end.
        write_files(arguments, {"save": makers["save"]}, final=False)
    complaints = write_files(arguments, makers)
    _say(f"\n{sentence(about)}\n\n{report.table()}\n\n{report.summary()}", sys.stdout)
    for complaint in complaints:
        _say(complaint)
    return 1 if report.bad or complaints else 0


def part_limit(left: list[str], seconds: float) -> float:
    """How many of the seconds that are left the first of the parts that are left may take."""
    return max(0.0, seconds) * _SHARES[left[0]] / sum(_SHARES[part] for part in left)


def _run_part(report: GpuReport, part: str, limit: float) -> None:
    _say(f"{part}: at most {limit:.0f} s")
    if part == "tests":
        report.tests = run_tests(limit)
        _say("\n".join(report.tests.lines()))
    elif part == "times":
        for table in run_tables(asked(report.operators), limit):
            report.tables.append(table)
            _say(f"{table.name}: {table.problem or 'done'}, in {table.seconds:.0f} s")
    else:
        for check in run_sanitizer(limit):
            report.checks.append(check)
            _say("\n".join(check.lines()))


def _say(text: str, where: object = None) -> None:
    print(text, file=where or sys.stderr, flush=True)  # type: ignore[arg-type]
