"""NVIDIA's compute-sanitizer over all CUDA operators, where it is installed."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torchconv.bench.gpu import process

TOOLS = ("memcheck", "initcheck", "racecheck")
_SHOWN = 3  # complaints
_ERRORS = 86  # the code by which it says that there were some
# Each tensor in memory of its own, so that reading past its end is seen.
_ENVIRONMENT = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
_COMPLAINT = re.compile(r"^=+ +((?:Invalid|Error|Race|Warning|Program hit|Misaligned).*)$", re.M)
_SUMMARY = re.compile(r"SUMMARY: (\d+) (?:errors?|hazards? displayed)")
_UNSUPPORTED = "Device not supported"  # as in some virtual machines


@dataclass
class Check:
    """What one tool found.

    ``problem`` says how its process failed, ``note`` why it does not have the last word otherwise:
    it is not here, or it was too slow.
    """

    tool: str
    errors: int = 0
    complaints: list[str] = field(default_factory=list)
    problem: str = ""
    note: str = ""
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether it found something, or failed."""
        return bool(self.errors or self.problem)

    def lines(self) -> list[str]:
        """What a report says of it."""
        if self.problem:
            return [f"{self.tool}: FAILED, {self.problem}"]
        if self.note and not self.errors:
            return [f"{self.tool}: {self.note}"]
        found = [f"{self.tool}: {self.errors} errors, in {self.seconds:.0f} s"]
        return found + [f"{self.tool}: {text}" for text in self.complaints[:_SHOWN]]


def find() -> str | None:
    """The program, on PATH or beside the compiler of CUDA_HOME."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    for place in (Path(home) / "bin", Path(home) / "compute-sanitizer"):
        if found := shutil.which("compute-sanitizer", path=str(place)):
            return found
    return shutil.which("compute-sanitizer")


def run_sanitizer(limit: float) -> Iterator[Check]:
    """Runs every tool, which share the time."""
    if (program := find()) is None:
        yield Check("sanitizer", note="compute-sanitizer was not found")
        return
    end = time.monotonic() + limit
    for i, tool in enumerate(TOOLS):
        share = max(0.0, end - time.monotonic()) / (len(TOOLS) - i)
        yield parse(tool, process.run(_command(program, tool), share, _ENVIRONMENT))


def _command(program: str, tool: str) -> list[str]:
    options = [f"--tool={tool}", f"--error-exitcode={_ERRORS}"]
    if tool == "memcheck":  # torch itself asks CUDA what it expects to be refused
        options.append("--report-api-errors=no")
    return [program, *options, sys.executable, "-m", "torchconv.bench.gpu.sanitized"]


def parse(tool: str, ended: process.Ended) -> Check:
    """Reads what a tool has printed."""
    found = Check(tool, seconds=ended.seconds)
    found.complaints = _COMPLAINT.findall(ended.output)
    if _UNSUPPORTED in ended.output:
        found.note = "compute-sanitizer does not support this machine"
        found.complaints.clear()
        return found
    summary = _SUMMARY.search(ended.output)
    if summary is not None:
        found.errors = int(summary[1])
    if ended.code is None:  # everything is slow under its eyes
        found.errors = len(found.complaints)
        found.note = f"{ended.ending}; nothing was found until then"
    elif ended.code == _ERRORS:
        found.errors = max(1, found.errors)
    elif ended.code != 0 or summary is None:
        found.problem = ended.ending
    return found
