"""Times of what has CUDA kernels: which tables are measured, each by a process of its own."""

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torchconv.bench import files
from torchconv.bench.gpu import process
from torchconv.bench.gpu.shapes import shapes
from torchconv.bench.report import step_name
from torchconv.bench.results import STEPS, Row, geometric_mean

# What the operators of the benchmark are called in torchconv.
NAMES = {
    "pool": "max_pool2d", "sigmoid": "sigmoid", "relu": "relu",
    "conv": "conv2d", "linear": "linear", "matmul": "matmul", "block": "conv2d_act_pool",
}  # fmt: skip
TF32 = "TF32"  # of float32; float32 alone is as accurate as it should be
_DTYPES = {
    "pool": ("float32", "bfloat16"),
    "sigmoid": ("float32", "bfloat16", "float16"),
    "relu": ("float32", "bfloat16", "float16"),
    "conv": ("float32", TF32, "bfloat16", "float64"),
    "linear": ("float32", TF32, "bfloat16"),
    "matmul": ("float32", TF32, "bfloat16"),
    "block": (TF32, "bfloat16"),
}
_DEVICE = "cuda"
_SECONDS = 0.05  # for each measurement: some graphs of 2 ms each
# How a table's share of the time compares with others'.
_WEIGHTS = {"pool": 4, "sigmoid": 1, "relu": 1, "conv": 5, "linear": 2, "matmul": 2, "block": 3}


@dataclass(frozen=True)
class Asked:
    """A table to measure."""

    operator: str
    dtype: str
    tf32: bool = False

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.operator} {self.dtype}{' TF32' if self.tf32 else ''}"

    @property
    def weight(self) -> int:
        """How long it takes, beside others."""
        return _WEIGHTS[self.operator]

    def command(self, path: Path) -> list[str]:
        """What measures it, and leaves a file."""
        words = [sys.executable, "-m", "torchconv.bench", self.operator, "--device", _DEVICE]
        words += ["--dtype", self.dtype, "--seconds", str(_SECONDS), "--save", str(path)]
        for shape in shapes(self.operator, self.dtype):
            words += ["--shape", shape]
        return [*words, "--tf32"] if self.tf32 else words


@dataclass
class Table:
    """What came of it: rows, the GB/s of a copy beside them, or why there are none."""

    operator: str
    dtype: str
    tf32: bool
    name: str
    rows: list[Row] = field(default_factory=list)
    copy: float = math.nan
    problem: str = ""
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        copy = None if math.isnan(self.copy) else self.copy
        return {**asdict(self), "copy": copy, "rows": [row.plain() for row in self.rows]}

    @property
    def bad(self) -> bool:
        """Whether a result was wrong, or the process failed."""
        return bool(self.problem or any(row.failure for row in self.rows))

    def share_of_copy(self, row: Row, step: str) -> float:
        """Bytes per second of ours, divided by those of a copy."""
        return row.work.get(step, math.nan) / row.seconds(step, "ours") * 1e-9 / self.copy

    def means(self) -> dict[str, str]:
        """Geometric means of native's times divided by ours, by what they are means of."""
        found = {}
        for step in STEPS:
            mean = geometric_mean(row.ratio(step) for row in self.rows)
            found[step_name(self.operator, step)] = "" if math.isnan(mean) else f"{mean:.2f}"
        return found


def asked(available: list[str]) -> list[Asked]:
    """The tables of the operators that have CUDA kernels, by their names in torchconv."""
    return [
        Asked(operator, "float32" if dtype == TF32 else dtype, dtype == TF32)
        for operator, name in NAMES.items()
        if name in available
        for dtype in _DTYPES[operator]
    ]


def absent(available: list[str]) -> list[str]:
    """The operators that have none."""
    return [name for name in NAMES.values() if name not in available]


def run_tables(tables: list[Asked], limit: float) -> Iterator[Table]:
    """Measures one table after the other.

    Args:
        tables: Which.
        limit: Seconds for all of them. One may take twice its share of what is left, but not more
            than half of what is the others'.
    """
    end = time.monotonic() + limit
    for i, one in enumerate(tables):
        left = max(0.0, end - time.monotonic())
        share = one.weight / sum(other.weight for other in tables[i:])
        yield _run(one, left * min(2 * share, (1 + share) / 2))


def _run(one: Asked, limit: float) -> Table:
    table = Table(one.operator, one.dtype, one.tf32, one.name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved.json"
        ended = process.run(one.command(path), limit)
        table.seconds = ended.seconds
        if not path.exists():
            table.problem = ended.ending
            return table
        content, table.rows = files.load(path)
    table.copy = content["copy_gb_per_s"] or math.nan
    if ended.code not in (0, 1):  # 1: a row failed, and says so
        table.problem = ended.ending
    return table
