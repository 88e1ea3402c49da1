"""The report: what each part found, and which goals are met."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from torchconv.bench.cells import ratio_text
from torchconv.bench.errors import optional
from torchconv.bench.gpu.goals import GOALS, Outcome, outcome
from torchconv.bench.gpu.sanitizer import Check
from torchconv.bench.gpu.suite import Suite
from torchconv.bench.gpu.times import Table

_SHOWN = 8  # rows that failed

LEGEND = """\
found: the geometric mean over the rows of a table, or over its depthwise convolutions; of what is
saved for backward the least; worst: the row that is farthest from the goal. native/ours: torch's
time divided by ours, or the bytes that it keeps for backward divided by those that ours keeps. of
copy: the bytes that a kernel must move, divided by our time and by those that a copy of a large
tensor moves in a second. fwd+bwd: forward and backward; NCHW: contiguous tensors; NHWC:
channels_last. Times are those of calls in a CUDA graph, on sets of arguments that are together
larger than twice the L2 cache."""


@dataclass(frozen=True)
class GpuOptions:
    """What was asked for."""

    only: list[str]
    minutes: float


@dataclass
class GpuReport:
    """Everything that one run has found out; parts that were not asked for are None or empty."""

    command: str
    machine: dict[str, Any]
    options: GpuOptions
    operators: list[str] = field(default_factory=list)  # that have CUDA kernels
    absent: list[str] = field(default_factory=list)  # and that have none
    tests: Suite | None = None
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether anything failed; a goal that is not met is no failure."""
        tests = self.tests is not None and self.tests.bad
        return tests or any(one.bad for one in self.tables) or any(one.bad for one in self.checks)

    def outcomes(self) -> list[Outcome]:
        """Those of the goals, of all if anything was timed."""
        return [outcome(goal, self.tables) for goal in GOALS] if self.tables else []

    def content(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "operators": self.operators,
            "without_cuda_kernels": self.absent,
            "tests": asdict(self.tests) if self.tests else None,
            "goals": [one.plain() for one in self.outcomes()],
            "tables": [table.plain() for table in self.tables],
            "sanitizer": [asdict(check) for check in self.checks],
        }

    def legend(self) -> str:
        """What the columns mean."""
        return LEGEND

    def table(self, form: str = "simple") -> str:
        """The goals, in one of tabulate's formats."""
        columns = ["goal", "wanted", "found", "worst", "worst row", ""]
        lines = [
            [
                one.goal.name, f">= {one.goal.least:.2f}", ratio_text(one.figure),
                ratio_text(one.worst), one.where, one.verdict,
            ]
            for one in self.outcomes()
        ]  # fmt: skip
        return (
            _tabulated(lines, columns, form, "lrrrll") if lines else "No goals: nothing was timed."
        )

    def summary(self) -> str:
        """The other parts, a line each."""
        lines = self.tests.lines() if self.tests else []
        for table in self.tables:
            means = ", ".join(f"{name} {mean}" for name, mean in table.means().items() if mean)
            copy = f"; copy {table.copy:.0f} GB/s" if table.copy == table.copy else ""
            rows = f"over {len(table.rows)} rows, in {table.seconds:.0f} s"
            lines.append(f"{table.name}: {means or 'nothing was timed'} {rows}{copy}")
            if table.problem:
                lines.append(f"{table.name}: FAILED, {table.problem}")
        lines += _some(self._failed_rows())
        if self.absent:
            lines.append(f"no CUDA kernels: {', '.join(self.absent)}")
        lines += [line for check in self.checks for line in check.lines()]
        if outcomes := self.outcomes():
            met = sum(one.verdict == "met" for one in outcomes)
            lines.append(f"goals: {met} of {len(outcomes)} are met")
        lines.append("FAILED" if self.bad else "nothing failed")
        return "\n".join(lines)

    def _failed_rows(self) -> Iterable[str]:
        for table in self.tables:
            for row in table.rows:
                if row.failure:
                    yield f"{table.name}: FAILED {row.label} ({row.shape}): {row.failure}"[:200]


def _some(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = len(every) - _SHOWN
    return every if more <= 0 else [*every[:_SHOWN], f"and {more} more rows FAILED"]


def _tabulated(lines: list[list[str]], columns: list[str], form: str, align: str) -> str:
    (tabulate,) = optional("tabulate")
    sides = [{"l": "left", "r": "right"}[side] for side in align]
    text: str = tabulate.tabulate(
        lines, columns, tablefmt=form, colalign=sides, disable_numparse=True
    )
    return text
