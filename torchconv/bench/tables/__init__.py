"""Tables of published shapes, read by name; README.md beside this file tells their sources."""

import csv
from dataclasses import dataclass
from importlib.resources import files

from torchconv.bench.cases import CASES, Case
from torchconv.bench.errors import UsageError

DEFAULTS = {
    "conv": "quick", "linear": "nets", "matmul": "squares", "pool": "nets", "sigmoid": "sizes",
    "relu": "sizes",
    "block": "nets",
}  # fmt: skip
_FILES = {"pool": "max_pool2d.csv", "block": "conv2d_act_pool.csv", "relu": "sigmoid.csv"}
# Enough for several images per thread, and for whole tables to fit an afternoon and a memory; on a
# CPU, that is: the sources' own are meant for GPUs.
_BATCHES = (4, 8)


@dataclass(frozen=True)
class Entry:
    """A named row: a shape with the batch that its source gives it."""

    table: str
    layer: str
    case: Case

    @property
    def label(self) -> str:
        """What reports call it."""
        return f"{self.table}/{self.layer}"


def load(operator: str) -> list[Entry]:
    """All rows of all tables of one operator, in the order of its file."""
    name = _FILES.get(operator, f"{operator}.csv")
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    entries = []
    for row in csv.DictReader(text.splitlines()):
        table, layer = row.pop("table"), row.pop("layer")
        case = CASES[operator].from_values(row, name, f"{table}/{layer}")
        entries.append(Entry(table, layer, case))
    return entries


def table_names(operator: str) -> list[str]:
    """The tables of one operator."""
    return list(dict.fromkeys(entry.table for entry in load(operator)))


def rows(
    operator: str, tables: list[str], batches: list[int], own: bool = False
) -> list[tuple[str, Case]]:
    """Labels and shapes to measure.

    Args:
        operator: One of :data:`torchconv.bench.cases.CASES`.
        tables: Names of tables, or ``all``.
        batches: Batches for every row. None: 4 and 8 for what has images, or the source's
            own where it is smaller; for the others the source's own.
        own: Whether to take the source's own for all.

    Returns:
        The rows; of several with the same shape, as tables have them in common, the first.

    Raises:
        UsageError: If there is no such table.
    """
    known = table_names(operator)
    for name in tables:
        if name not in (*known, "all"):
            raise UsageError(
                f"--table: expected all or one of {', '.join(known)} for {operator}, "
                f"but got {name!r}"
            )
    chosen: dict[Case, str] = {}
    for entry in load(operator):
        if entry.table in tables or "all" in tables:
            for case in with_batches(entry.case, batches, own):
                chosen.setdefault(case, entry.label)
    return [(label, case) for case, label in chosen.items()]


def with_batches(case: Case, batches: list[int], own: bool = False) -> list[Case]:
    """A row of a table at each of the batches, or at the default ones."""
    written = getattr(case, "batch", 1)
    if not batches and not own and case.operator in ("conv", "pool", "block"):
        batches = sorted({min(batch, written) for batch in _BATCHES})
    return [case.with_batch(batch) for batch in batches or [written]]
