"""What was found out as a picture."""

import io
import math
from typing import Any

from torchconv.bench.cells import LAYOUT_NAMES, megabytes
from torchconv.bench.errors import optional
from torchconv.bench.memory import SIDES
from torchconv.bench.memory_report import MemoryReport
from torchconv.bench.report import Report, step_name
from torchconv.bench.results import STEPS

_INCHES_PER_BAR = 0.22
_COLOURS = {"native": "tab:gray", "ours": "tab:green", "fused": "tab:blue"}
_BAR = 0.27  # of the distance between two groups


def picture(form: str, title: str, report: Report | MemoryReport) -> bytes:
    """Draws a report.

    Args:
        form: The format: png, pdf or svg.
        title: What stands above it.
        report: Where the rows come from.

    Returns:
        The content of a file.
    """
    (figures,) = optional("matplotlib.figure")
    figure = figures.Figure(layout="constrained")
    if isinstance(report, MemoryReport):
        _draw_memory(figure, report)
    else:
        _draw_ratios(figure, report)
    figure.suptitle(title, fontsize=10)
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=120)
    return content.getvalue()


def _draw_ratios(figure: Any, report: Report) -> None:
    """A bar for each row and step: native's time divided by ours, each in its fastest layout.

    Bars start at 1, on a logarithmic axis: twice as fast is as long as half as fast.
    """
    (tickers,) = optional("matplotlib.ticker")
    names, logs, colours = [], [], []
    for row in report.rows:
        for step in STEPS:
            if not math.isnan(ratio := row.ratio(step)):
                names.append(f"{row.label} {row.shape}  {step_name(row.operator, step)}")
                logs.append(math.log2(ratio))
                colours.append("tab:green" if ratio >= 1 else "tab:red")
    figure.set_size_inches(11, 1.5 + _INCHES_PER_BAR * max(1, len(names)))
    axes = figure.add_subplot()
    axes.barh(range(len(names)), logs, color=colours)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()  # the first row at the top
    axes.set_ymargin(0.01)
    axes.axvline(0, color="black", linewidth=1)
    axes.xaxis.set_major_formatter(tickers.FuncFormatter(lambda log, _: f"{2**log:.3g}"))
    axes.grid(axis="x", alpha=0.4)
    axes.set_xlabel("native's time / ours, each in its fastest layout")


def _draw_memory(figure: Any, report: MemoryReport) -> None:
    """Two panels, saved bytes and peak, with a group of bars for each row.

    The pale part of a peak was resident before the step: the program and the parameters.
    """
    figure.set_size_inches(max(8, 3 + 1.5 * len(report.rows)), 8)
    names = [f"{row.label}\n{row.shape} {LAYOUT_NAMES[row.layout]}" for row in report.rows]
    saved, peak = figure.subplots(2)
    for i, side in enumerate(SIDES):
        places = [group + (i - 1) * _BAR for group in range(len(names))]
        for axes, what in ((saved, "saved"), (peak, "peak")):
            found = [row.bytes(what, side) for row in report.rows]
            heights = [value / 1e6 for value in found]
            bars = axes.bar(places, heights, _BAR, label=side, color=_COLOURS[side])
            axes.bar_label(bars, [megabytes(value) for value in found], fontsize=7, padding=1)
        before = [(row.bytes("peak", side) - row.bytes("step", side)) / 1e6 for row in report.rows]
        peak.bar(places, before, _BAR, color="white", alpha=0.6)
    for axes, text in (
        (saved, "saved for backward, MB"),
        (peak, "peak resident memory, MB\n(pale: before the step)"),
    ):
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.set_ylabel(text)
        axes.set_ymargin(0.1)
        axes.grid(axis="y", alpha=0.4)
    saved.legend()
    if all(math.isnan(row.bytes("peak", side)) for row in report.rows for side in SIDES):
        text = "not available on this system"
        peak.text(0.5, 0.5, text, ha="center", va="center", transform=peak.transAxes)
