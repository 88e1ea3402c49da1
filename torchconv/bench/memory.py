"""How much memory training steps take: what is saved for backward, and the peak of the process.

Each network, side and layout is measured in a process of its own, which inherits no memory.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from torchconv.bench import footprint
from torchconv.bench.child import Child, ChildError
from torchconv.bench.footprint import Footprint
from torchconv.bench.training import loss_tolerance

SIDES = ("native", "ours", "fused")


@dataclass(frozen=True)
class MemoryOptions:
    """How every row is measured."""

    dtype: str
    layouts: list[str]
    threads: int


@dataclass
class MemoryRow:
    """A network, at one batch and in one layout: footprints by side, or failures."""

    label: str
    shape: str
    layout: str
    dtype: str
    footprints: dict[str, Footprint] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def failure(self) -> str:
        """All that went wrong; empty if nothing did."""
        return "; ".join(f"{side}: {text}" for side, text in self.failures.items())

    def plain(self) -> dict[str, Any]:
        """The row for JSON, which knows neither NaN nor infinity."""
        content = asdict(self)
        for one in content["footprints"].values():
            one["loss"] = one["loss"] if math.isfinite(one["loss"]) else None
        return content

    def bytes(self, what: str, side: str) -> float:
        """Bytes ``saved``, of the ``peak`` or added by the ``step``; NaN where there are none."""
        found = self.footprints.get(side)
        if found is None or side in self.failures:
            return math.nan
        if what == "saved":
            return found.saved
        if found.peak is None or found.before is None:
            return math.nan
        return found.peak if what == "peak" else found.peak - found.before

    def ratio(self, what: str, side: str) -> float:
        """Native's bytes divided by those of a side."""
        return self.bytes(what, "native") / (self.bytes(what, side) or math.nan)


def measure_memory(name: str, batch: int, layout: str, options: MemoryOptions) -> MemoryRow:
    """Measures a training step of one network on all sides, which must find the same loss.

    Args:
        name: One of :data:`torchconv.bench.networks.NETWORKS`.
        batch: Images in a batch.
        layout: Memory format of images and weights.
        options: How it is measured.

    Returns:
        The row; a side whose process failed, or that computes something else, is a failure.
    """
    row = MemoryRow(f"net/{name}", f"N={batch}", layout, options.dtype)
    for side in SIDES:
        request = {"name": name, "side": side, "batch": batch, "layout": layout}
        answer = _ask({**request, "dtype": options.dtype, "threads": options.threads})
        if "failure" in answer:
            row.failures[side] = answer["failure"]
        else:
            row.footprints[side] = Footprint(**answer)
    losses = {side: found.loss for side, found in row.footprints.items()}
    for side, loss in losses.items():
        right = losses.get("native", loss)
        if not abs(loss - right) <= loss_tolerance(getattr(torch, options.dtype)) * abs(right):
            row.failures[side] = f"its first loss is {loss:.8g} instead of {right:.8g}"
    return row


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """Has a new process answer."""
    with Child(footprint.__name__, footprint.ENVIRONMENT) as process:
        try:
            answer: dict[str, Any] = process.ask(request)
        except ChildError as error:
            return {"failure": str(error)}
    return answer
