"""The tests that run on a GPU, and what pytest says of them."""

import importlib.util
import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from torchconv.bench.gpu import process

_WORKERS = 8
_SHOWN = 8  # failures
# Tests that run on every device have its name among their parameters. Those called cuda_on_host
# run kernels of a GPU on the CPU.
_CHOSEN = "cuda and not cuda_on_host"


@dataclass
class Suite:
    """How many tests passed, failed and were skipped, and the first failures, a line each.

    ``absent`` names files left out for want of a package; ``problem`` says why pytest did not come
    to its end.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    problem: str = ""
    seconds: float = 0.0
    seed: str = ""

    @property
    def bad(self) -> bool:
        """Whether a test failed, or pytest itself."""
        return bool(self.failed or self.problem)

    def lines(self) -> list[str]:
        """What a report says of them."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        found = [f"tests: {counts}, in {self.seconds:.0f} s; TORCHCONV_TEST_SEED={self.seed}"]
        found += [f"tests: FAILED {text}" for text in self.failures[:_SHOWN]]
        if (more := len(self.failures) - _SHOWN) > 0:
            found.append(f"tests: and {more} more")
        found += [f"tests: left out {text}" for text in self.absent]
        return [*found, f"tests: {self.problem}"] if self.problem else found


def run_tests(limit: float) -> Suite:
    """Runs the tests of the folder ``tests`` that run on a GPU, slow ones, too."""
    if not Path("tests").is_dir():
        return Suite(problem="expected a folder tests, as the repository has, but found none here")
    environment = _environment()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        ended = process.run(_command(report), limit, environment)
        found = parse(report.read_text(encoding="utf-8")) if report.exists() else Suite()
        if not report.exists() or ended.code not in (0, 1):  # 1: tests failed, and are counted
            found.problem = f"pytest {ended.ending}"
    found.seconds, found.seed = ended.seconds, environment["TORCHCONV_TEST_SEED"]
    return found


def _command(report: Path) -> list[str]:
    options = ["-m", "", "-k", _CHOSEN, "-p", "no:cacheprovider", "-q", f"--junitxml={report}"]
    options.append("--continue-on-collection-errors")
    if _parallel():
        options += ["-n", str(_WORKERS)]
    return [sys.executable, "-m", "pytest", "tests", *options]


def _parallel() -> bool:
    return importlib.util.find_spec("xdist") is not None


def _environment() -> dict[str, str]:
    """Threads for as many processes, and random numbers that the report can name."""
    threads = max(1, len(os.sched_getaffinity(0)) // (_WORKERS if _parallel() else 1))
    given = {"OMP_NUM_THREADS": str(threads), "TORCHCONV_TEST_SEED": str(random.randrange(2**31))}
    return {name: os.environ.get(name, value) for name, value in given.items()}


def parse(text: str) -> Suite:
    """Reads what ``pytest --junitxml`` has written."""
    found = Suite()
    for case in ElementTree.fromstring(text).iter("testcase"):
        bad = case.find("failure")
        bad = case.find("error") if bad is None else bad
        if bad is not None:
            _count_bad(found, case, bad)
        elif case.find("skipped") is not None:
            found.skipped += 1
        else:
            found.passed += 1
    return found


def _count_bad(found: Suite, case: Any, bad: Any) -> None:
    name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
    reasons = [line[2:].strip() for line in (bad.text or "").splitlines() if line[:2] == "E "]
    reason = reasons[0] if reasons else (bad.get("message") or "").partition("\n")[0]
    absent = [line for line in reasons if line.startswith("ModuleNotFoundError")]
    if bad.get("message") == "collection failure" and absent:
        found.absent.append(f"{name}: {absent[-1]}")
        return
    found.failed += 1
    found.failures.append(f"{name}: {reason}"[:200])
