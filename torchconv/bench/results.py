"""What a benchmark finds out, and the few numbers that sum it up."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from torchconv.bench.timing import Times

STEPS = ("forward", "backward", "training")
# Below this, what a call costs besides its arithmetic decides.
SHORT = 300e-6
# Between the quartiles, relative to the median: beyond this, something else was running, too.
_NOISE = 0.3


@dataclass(frozen=True)
class Timing:
    """Times of one side in one layout; sides are 'ours', 'native', 'native+THP' and engines."""

    step: str
    layout: str
    side: str
    times: Times


@dataclass
class Row:
    """One shape: how far each side is from float64, and how long it takes.

    ``errors`` and ``work`` are by step. Errors are by side, relative to the size of the terms that
    are added up; work counts floating-point operations, or bytes where ``memory_bound``; there,
    saved has the bytes that each side keeps for backward. Notes tell what else went wrong.
    """

    label: str
    operator: str
    shape: str
    dtype: str
    memory_bound: bool = False
    failure: str = ""
    notes: list[str] = field(default_factory=list)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    saved: dict[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The row for JSON, which knows neither NaN nor infinity."""
        content = asdict(self)
        for errors in content["errors"].values():
            errors.update(
                {side: None for side, error in errors.items() if not math.isfinite(error)}
            )
        return content

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two rows of different runs the same measurement; names of layers may vary."""
        name = self.label if self.operator == "net" else ""
        return self.operator, name, self.shape, self.dtype

    @property
    def steps(self) -> list[str]:
        """The steps that this row has, verified or timed."""
        timed = {timing.step for timing in self.timings}
        return [step for step in STEPS if step in self.errors or step in timed]

    def error(self, step: str, side: str) -> float:
        """The error of a side; that of a backward pass is the one of its training step."""
        errors = self.errors.get("training" if step == "backward" else step, {})
        return errors.get(side, math.nan)

    def seconds(self, step: str, side: str, layout: str = "") -> float:
        """The median of a side in one layout, or in its fastest; NaN where there is none."""
        medians = [
            t.times.median
            for t in self.timings
            if t.step == step and t.side == side and layout in ("", t.layout)
        ]
        return min(medians, default=math.nan)

    def ratio(self, step: str, layout: str = "", side: str = "native") -> float:
        """Time of the other side divided by ours, without a layout each side in its fastest."""
        return self.seconds(step, side, layout) / self.seconds(step, "ours", layout)

    def noisy(self, step: str) -> bool:
        """Whether times vary so much that the ratio says little."""
        both = [t.times for t in self.timings if t.step == step and t.side in ("ours", "native")]
        return any(t.upper - t.lower > _NOISE * t.median for t in both)

    def short(self, step: str) -> bool:
        """Whether native needs so little time that overhead decides."""
        return self.seconds(step, "native") < SHORT


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios, in which 2 and 1/2 make 1; NaN if there are none."""
    logs = [math.log(value) for value in values if not math.isnan(value)]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def worst(rows: Iterable[Row], step: str, short: bool = True) -> Row | None:
    """The row with the lowest ratio, or with ``short=False`` the lowest of those that matter."""
    timed = [
        row for row in rows if not math.isnan(row.ratio(step)) and (short or not row.short(step))
    ]
    return min(timed, key=lambda row: row.ratio(step), default=None)
