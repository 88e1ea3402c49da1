"""The table at the end: one line per shape and step, and what they come to."""

import math
from dataclasses import dataclass, field
from typing import Any

from torchconv.bench.calls import Options
from torchconv.bench.cells import INTERRUPTED, LAYOUT_NAMES, milliseconds, ratio_text, scientific
from torchconv.bench.errors import optional
from torchconv.bench.huge_pages import SIDE as WITH_THP
from torchconv.bench.results import STEPS, Row, geometric_mean, worst

UNFUSED = "unfused"

LEGEND = """\
Medians in milliseconds. A ratio is native's time divided by ours: above 1, ours is faster.
NCHW: contiguous tensors; NHWC: channels_last. best: native's time in the layout that is fastest for
native, divided by ours in the one that is fastest for ours, of those measured.
After best, on a CPU, a dot: native takes less than 300 µs there, so that the cost of a call
decides; a tilde: times varied by more than 30 % between their quartiles, as they do where other
programs run.
error: ours, then native's; the largest distance of a result, or in fwd+bwd of a gradient, from
float64, relative to the sum of the absolute values of the terms that are added up."""
LEGEND_MEMORY = """\
GB/s: the bytes that a step moves at least, reading each argument and writing each result of its
kernels once, divided by our time in the fastest layout; training counts what it keeps for backward
twice, of relu a bit for each element, of a pooling a byte for each result."""
LEGEND_THP = """\
native+THP: torch with THP_MEM_ALLOC_ENABLE=1, its own huge pages, in its fastest layout;
ratio+THP: the same divided by ours, which has them by default."""
LEGEND_UNFUSED = """\
unfused: torchconv's operators one after the other; fusion: the same divided by ours.
Here error in fwd+bwd is the norm of the difference to float64, relative to the gradient's own:
where a maximum has a rival within rounding, or relu sees a zero, a gradient takes another way."""
LEGEND_PEAK = """\
GFLOP/s and share of peak: ours in its fastest layout; peak: multiply-adds in registers, here"""
LEGEND_CUDA = """\
On CUDA, times are those of calls in a CUDA graph, which the GPU runs without waiting for launches.
The calls take turns on sets of arguments that are together larger than twice the L2 cache, as far
as 128 sets are; the memory of results is used again. bwd: backward on its own."""
LEGEND_COPY = """\
of copy: GB/s as a share of those of a copy of 512 MiB, here"""
LEGEND_NET = """\
A step is forward, cross entropy, backward and SGD. loss: relative difference of the first losses;
grads: norm of the difference of the gradients, relative to the gradient, of the worst parameter."""


def step_name(operator: str, step: str) -> str:
    """What a step is called in tables; that of a network has its optimizer in it."""
    if operator == "net":
        return "step"
    return {"forward": "fwd", "backward": "bwd", "training": "fwd+bwd"}[step]


@dataclass
class Report:
    """Everything that one run has found out."""

    operator: str
    command: str
    machine: dict[str, Any]
    options: Options
    peak: float  # GFLOP/s; NaN where it means nothing
    rows: list[Row] = field(default_factory=list)
    old: dict[tuple[str, ...], Row] = field(default_factory=dict)  # by their keys
    old_name: str = ""  # of the file that they come from
    old_differs: list[str] = field(default_factory=list)
    copy: float = math.nan  # GB/s of a copy, on a GPU
    interrupted: bool = False  # so that rows are missing at the end

    def content(self) -> dict[str, Any]:
        """What was measured, for JSON."""
        peak = None if math.isnan(self.peak) else self.peak
        copy = None if math.isnan(self.copy) else self.copy
        rows = [row.plain() for row in self.rows]
        return {"fma_peak_gflops": peak, "copy_gb_per_s": copy, "rows": rows}

    def legend(self) -> str:
        """What the columns mean."""
        parts = [LEGEND]
        if self.operator == "net":
            parts = [LEGEND.partition("\nerror:")[0], LEGEND_NET]
        if any(row.memory_bound for row in self.rows):
            parts.append(LEGEND_MEMORY)
        if self._sides(WITH_THP):
            parts.append(LEGEND_THP)
        if self._sides(UNFUSED):
            parts.append(LEGEND_UNFUSED)
        if not math.isnan(self.peak):
            parts.append(f"{LEGEND_PEAK} {self.peak:.0f} GFLOP/s.")
        if self.options.device == "cuda":
            parts.append(LEGEND_CUDA)
        if not math.isnan(self.copy):
            parts.append(f"{LEGEND_COPY} {self.copy:.0f} GB/s.")
        return "\n".join(parts)

    def table(self, form: str = "simple") -> str:
        """The lines of all rows, in one of tabulate's formats."""
        (tabulate,) = optional("tabulate")
        lines = [self._line(row, step) for row in self.rows for step in row.steps or STEPS[:1]]
        columns = list(dict.fromkeys(name for line in lines for name in line))
        cells = [[line.get(name, "") for name in columns] for line in lines]
        align = ["left" if name in ("layer", "shape", "pass") else "right" for name in columns]
        text: str = tabulate.tabulate(
            cells, columns, tablefmt=form, colalign=align, disable_numparse=True
        )
        return text

    def _line(self, row: Row, step: str) -> dict[str, str]:
        line = {"layer": row.label, "shape": row.shape, "pass": step_name(row.operator, step)}
        if row.failure:
            return {**line, "best": "FAILED", "error": scientific(row.error(step, "ours"))}
        layouts = list(dict.fromkeys(t.layout for t in row.timings))
        for layout in layouts:
            tag = f" {LAYOUT_NAMES[layout]}" if len(layouts) > 1 or layout != "contiguous" else ""
            line[f"ours{tag}"] = milliseconds(row.seconds(step, "ours", layout))
            line[f"native{tag}"] = milliseconds(row.seconds(step, "native", layout))
            if tag:
                line[f"ratio{tag}"] = ratio_text(row.ratio(step, layout))
        launches = row.short(step) and self.options.device == "cpu"
        marks = (" ·" if launches else "") + (" ~" if row.noisy(step) else "")
        line["best"] = ratio_text(row.ratio(step)) + marks
        rate = row.work[step] / row.seconds(step, "ours") * 1e-9
        line["GB/s" if row.memory_bound else "GFLOP/s"] = f"{rate:.3g}"
        if not row.memory_bound and not math.isnan(self.peak):
            line["peak"] = f"{rate / self.peak:.0%}"
        if row.memory_bound and not math.isnan(self.copy):
            line["of copy"] = f"{rate / self.copy:.0%}"
        if row.operator == "net":
            line["loss"] = scientific(row.error(step, "ours"))
            line["grads"] = scientific(row.error(step, "gradients"))
        else:
            line["error"] = scientific(row.error(step, "ours"))
            line["native's"] = scientific(row.error(step, "native"))
        sides = dict.fromkeys(t.side for t in row.timings)
        if UNFUSED in sides:
            for layout in layouts:
                tag = f" {LAYOUT_NAMES[layout]}" if len(layouts) > 1 else ""
                line[f"{UNFUSED}{tag}"] = milliseconds(row.seconds(step, UNFUSED, layout))
                line[f"fusion{tag}"] = ratio_text(row.ratio(step, layout, UNFUSED))
        if WITH_THP in sides:
            line[WITH_THP] = milliseconds(row.seconds(step, WITH_THP))
            line["ratio+THP"] = ratio_text(row.ratio(step, side=WITH_THP))
        for side in sides:
            if side not in ("ours", "native", UNFUSED, WITH_THP) and step == "forward":
                line[side] = milliseconds(row.seconds(step, side))
        if (old := self.old.get(row.key)) is not None:
            line["old/new"] = ratio_text(_speedup(old, row, step))
        return line

    def summary(self) -> str:
        """Geometric means and worst rows of each step, failures, and notes."""
        lines = [part for step in STEPS for part in self._summary_of(step)]
        for row in self.rows:
            if row.failure:
                lines.append(f"FAILED {row.label} ({row.shape}): {row.failure}")
            lines += [f"{row.label} ({row.shape}): {note}" for note in row.notes]
        lines += [f"--compare: {text}" for text in (*self._unmatched(), *self.old_differs)]
        if self.interrupted:
            lines.append(INTERRUPTED)
        return "\n".join(lines)

    def _unmatched(self) -> list[str]:
        """How many of the rows have old times, unless all have."""
        timed = [row for row in self.rows if row.timings]
        matched = sum(self._has_old_times(row) for row in timed)
        if not self.old_name or matched == len(timed):
            return []
        number = matched or "none"
        return [f"{self.old_name!r} has times for {number} of the {len(timed)} rows measured here"]

    def _has_old_times(self, row: Row) -> bool:
        old = self.old.get(row.key)
        return old is not None and any(
            not math.isnan(_speedup(old, row, step)) for step in row.steps
        )

    def _sides(self, side: str) -> list[Row]:
        """The rows that have it."""
        return [row for row in self.rows if any(t.side == side for t in row.timings)]

    def _summary_of(self, step: str) -> list[str]:
        timed = [row for row in self.rows if not math.isnan(row.ratio(step))]
        if not timed:
            return []
        ratios = [row.ratio(step) for row in timed]
        name = step_name(self.operator, step)
        line = f"{name}: best has the geometric mean {ratio_text(geometric_mean(ratios))} over "
        lines = [f"{line}{len(ratios)} rows; ours is slower in {sum(r < 1 for r in ratios)}"]
        if noisy := sum(row.noisy(step) for row in timed):
            lines.append(f"{name}: the times of {noisy} rows vary much; was the machine busy?")
        layouts = {t.layout: None for row in timed for t in row.timings if t.side == "native"}
        if len(layouts) > 1:
            means = []
            for layout in layouts:
                mean = geometric_mean(row.ratio(step, layout) for row in timed)
                means.append(f"{LAYOUT_NAMES[layout]} {ratio_text(mean)}")
            lines.append(f"{name}: within one layout, {', '.join(means)}")
        if fused := self._sides(UNFUSED):
            means = []
            for layout in layouts:
                mean = geometric_mean(row.ratio(step, layout, UNFUSED) for row in fused)
                means.append(f"{LAYOUT_NAMES[layout]} {ratio_text(mean)}")
            lines.append(f"{name}: fusion has the geometric mean {', '.join(means)}")
        worsts = [("worst", True), ("worst from 300 µs on", False)]
        for text, short in worsts[: 2 if self.options.device == "cpu" else 1]:
            if (row := worst(timed, step, short)) is not None:
                ratio = ratio_text(row.ratio(step))
                lines.append(f"{name}: {text} {ratio}, {row.label} ({row.shape})")
        return lines


def _speedup(old: Row, new: Row, step: str) -> float:
    """Our time then divided by ours now, each in its fastest of the layouts that both have."""
    layouts = dict.fromkeys(t.layout for t in new.timings)
    pairs = [(old.seconds(step, "ours", one), new.seconds(step, "ours", one)) for one in layouts]
    pairs = [pair for pair in pairs if not math.isnan(sum(pair))]
    return min(a for a, _ in pairs) / min(b for _, b in pairs) if pairs else math.nan
