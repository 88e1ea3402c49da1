"""What the kernels of a GPU should reach, as data, and whether they do."""

import math
from dataclasses import dataclass
from typing import Any

from torchconv.bench.cases import CASES
from torchconv.bench.cells import LAYOUT_NAMES
from torchconv.bench.gpu.times import Table
from torchconv.bench.report import step_name
from torchconv.bench.results import Row, geometric_mean


@dataclass(frozen=True)
class Goal:
    """The least that a figure of a table should be.

    ``what`` is ``ratio``, native's time divided by ours; ``copy``, our bytes per second divided by
    those of a copy; or ``saved``, the bytes that native keeps for backward divided by those that
    ours keeps. The figure is the geometric mean over the rows of the table, or over its depthwise
    convolutions alone; of ``saved`` it is the least one.
    """

    operator: str
    dtype: str
    step: str
    what: str
    least: float
    layout: str = ""
    tf32: bool = False
    depthwise: bool = False

    @property
    def name(self) -> str:
        """What reports call it."""
        what = {"ratio": "native/ours", "copy": "of copy", "saved": "saved, native/ours"}[self.what]
        operator = f"{self.operator} depthwise" if self.depthwise else self.operator
        dtype = f"{self.dtype} TF32" if self.tf32 else self.dtype
        layout = f" {LAYOUT_NAMES[self.layout]}" if self.layout else ""
        return f"{operator} {step_name(self.operator, self.step)} {dtype}{layout}, {what}"

    def is_of(self, table: Table) -> bool:
        """Whether it is a figure of this table."""
        asked = self.operator, self.dtype, self.tf32
        return (table.operator, table.dtype, table.tf32) == asked

    def counts(self, row: Row) -> bool:
        """Whether a row of its table is one of those that it looks at."""
        return not self.depthwise or CASES[row.operator].parse(row.shape).depthwise

    def value(self, table: Table, row: Row) -> float:
        """That of one row; NaN where it has not been measured."""
        if self.what == "copy":
            return table.share_of_copy(row, self.step)
        if self.what == "saved":
            return row.saved.get("native", math.nan) / row.saved.get("ours", math.nan)
        return row.ratio(self.step, self.layout)


@dataclass(frozen=True)
class Outcome:
    """The figure of a goal, and the row that is farthest from it; NaN where nothing was timed."""

    goal: Goal
    figure: float
    worst: float
    where: str

    @property
    def verdict(self) -> str:
        """Whether it is met, by the figure as it is shown."""
        if math.isnan(self.figure):
            return "not measured"
        return "met" if round(self.figure, 2) >= self.goal.least else "NOT MET"

    def plain(self) -> dict[str, Any]:
        """For JSON, which knows no NaN."""
        numbers = {"figure": self.figure, "worst": self.worst}
        known = {key: None if math.isnan(value) else value for key, value in numbers.items()}
        least = self.goal.least
        return {
            "goal": self.goal.name, "least": least, **known, "where": self.where,
            "verdict": self.verdict,
        }  # fmt: skip


_FLOATS = ("float32", "bfloat16", "float16")
# Products: what is multiplied, the least ratio, and of which part of its table.
_RATIOS: list[tuple[str, str, float, dict[str, Any]]] = [
    ("conv", "bfloat16", 0.8, {"layout": "channels_last"}),
    ("conv", "bfloat16", 1.1, {"layout": "contiguous"}),
    ("conv", "float32", 0.8, {"tf32": True}),
    ("conv", "float32", 1.0, {}),
    ("conv", "float64", 1.0, {}),
    ("conv", "bfloat16", 1.3, {"depthwise": True}),
    ("conv", "float32", 1.3, {"depthwise": True}),
    ("linear", "bfloat16", 0.85, {}),
    ("linear", "float32", 0.8, {"tf32": True}),
    ("matmul", "bfloat16", 0.85, {}),
    ("matmul", "float32", 0.8, {"tf32": True}),
]
GOALS = [
    *(
        Goal(operator, dtype, step, what, least)
        for operator in ("sigmoid", "relu")
        for step in ("forward", "backward")
        for dtype in _FLOATS
        for what, least in (("ratio", 1.0), ("copy", 0.88))
    ),
    *(
        Goal("pool", dtype, "training", "ratio", least, layout)
        for dtype, least in (("float32", 1.3), ("bfloat16", 1.5))
        for layout in ("contiguous", "channels_last")
    ),
    *(Goal("pool", dtype, "training", "saved", 5.0) for dtype in ("float32", "bfloat16")),
    *(
        Goal(operator, dtype, step, "ratio", least, **of)
        for operator, dtype, least, of in _RATIOS
        for step in ("forward", "training")
    ),
]


def outcome(goal: Goal, tables: list[Table]) -> Outcome:
    """Looks a goal up in what was measured."""
    found = [
        (goal.value(table, row), row)
        for table in tables
        if goal.is_of(table)
        for row in table.rows
        if goal.counts(row)
    ]
    found = [(value, row) for value, row in found if not math.isnan(value)]
    if not found:
        return Outcome(goal, math.nan, math.nan, "")
    worst, row = min(found, key=lambda pair: pair[0])
    figure = worst if goal.what == "saved" else geometric_mean(value for value, _ in found)
    return Outcome(goal, figure, worst, row.shape)
