"""The table of what training steps take in memory: three lines per network, batch and layout."""

import math
from dataclasses import dataclass, field
from typing import Any

from torchconv.bench.cells import INTERRUPTED, LAYOUT_NAMES, megabytes, ratio_text
from torchconv.bench.errors import optional
from torchconv.bench.memory import SIDES, MemoryOptions, MemoryRow
from torchconv.bench.results import geometric_mean

WHATS = ("saved", "step", "peak")

LEGEND = """\
Megabytes (of 10^6 bytes) of a training step: forward, cross entropy, backward and SGD. native:
torch.nn; ours: torchconv.nn; fused: torchconv.fuse of ours. The last columns are native's bytes
divided by the other side's: above 1, native takes more. The first losses of all sides agree.
NCHW: contiguous tensors; NHWC: channels_last.
saved: what autograd keeps from forward to backward; of each storage once and all, images and labels
among them, but not what the network has anyway, its parameters and buffers.
peak: the most resident memory of the process during its second step, with Python, torch and all.
step: what of the peak the step adds to the memory that is resident as it begins, with parameters
and images: what is saved, other results, gradients and scratch.
Each network, side and layout has a process of its own, with MALLOC_MMAP_THRESHOLD_=131072, by which
glibc returns at once what is freed: the peak is what is needed at one time. By glibc's defaults a
process keeps some of what it has freed, so that its peak may be higher, on every side.
Before the second step the gradients are dropped, malloc_trim is called, and the peak is reset."""

NO_PEAK = "peak: this system does not tell the peak (VmHWM in /proc/self/status): not available"
NO_RESET = (
    "peak: /proc/self/clear_refs, which resets the peak, is not writable: this peak is that since "
    "the process began, with the building of the network and the first step in it"
)


@dataclass
class MemoryReport:
    """Everything that one run has found out."""

    command: str
    machine: dict[str, Any]
    options: MemoryOptions
    rows: list[MemoryRow] = field(default_factory=list)
    interrupted: bool = False  # so that rows are missing at the end

    def content(self) -> dict[str, Any]:
        """What was measured, for JSON."""
        return {"rows": [row.plain() for row in self.rows]}

    def legend(self) -> str:
        """What the columns mean."""
        return LEGEND

    def table(self, form: str = "simple") -> str:
        """The lines of all rows, in one of tabulate's formats."""
        (tabulate,) = optional("tabulate")
        ratios = [f"native/{side}" for side in SIDES[1:]]
        columns = ["layer", "shape", "layout", "MB", *SIDES, *ratios]
        lines = []
        for row in self.rows:
            for what in WHATS:
                line = [row.label, row.shape, LAYOUT_NAMES[row.layout], what]
                line += [_cell(row, what, side) for side in SIDES]
                lines.append([*line, *(ratio_text(row.ratio(what, side)) for side in SIDES[1:])])
        align = ["left"] * 4 + ["right"] * (len(columns) - 4)
        text: str = tabulate.tabulate(
            lines, columns, tablefmt=form, colalign=align, disable_numparse=True
        )
        return text

    def summary(self) -> str:
        """Geometric means, failures, and what the system does not tell."""
        lines = [part for what in WHATS for part in self._summary_of(what)]
        for row in self.rows:
            where = f"{row.label} ({row.shape}, {LAYOUT_NAMES[row.layout]})"
            lines += [f"FAILED {where}, {side}: {text}" for side, text in row.failures.items()]
        found = [one for row in self.rows for one in row.footprints.values()]
        if any(one.peak is None for one in found):
            lines.append(NO_PEAK)
        elif not all(one.reset for one in found):
            lines.append(NO_RESET)
        if self.interrupted:
            lines.append(INTERRUPTED)
        return "\n".join(lines)

    def _summary_of(self, what: str) -> list[str]:
        lines = []
        for side in SIDES[1:]:
            ratios = [row.ratio(what, side) for row in self.rows]
            ratios = [value for value in ratios if not math.isnan(value)]
            if ratios:
                mean = ratio_text(geometric_mean(ratios))
                lines.append(
                    f"{what}: native/{side} has the geometric mean {mean} over {len(ratios)} rows; "
                    f"{side} takes more in {sum(value < 1 for value in ratios)}"
                )
        return lines


def _cell(row: MemoryRow, what: str, side: str) -> str:
    if side in row.failures:
        return "FAILED"
    return megabytes(row.bytes(what, side))
