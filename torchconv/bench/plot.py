"""The ratios as a picture."""

import io
import math
from pathlib import Path

from torchconv.bench.errors import optional
from torchconv.bench.files import write_atomically
from torchconv.bench.report import Report, step_name
from torchconv.bench.results import STEPS

_INCHES_PER_BAR = 0.22


def plot(path: Path, title: str, report: Report) -> None:
    """Draws a bar for each row and step: native's time divided by ours, each in its fastest layout.

    Bars start at 1, on a logarithmic axis: twice as fast is as long as half as fast.

    Args:
        path: The picture; its suffix decides on the format.
        title: What stands above it.
        report: Where the rows come from.
    """
    figures, tickers = optional("matplotlib.figure", "matplotlib.ticker")
    names, logs, colours = [], [], []
    for row in report.rows:
        for step in STEPS:
            if not math.isnan(ratio := row.ratio(step)):
                names.append(f"{row.label} {row.shape}  {step_name(row.operator, step)}")
                logs.append(math.log2(ratio))
                colours.append("tab:green" if ratio >= 1 else "tab:red")
    figure = figures.Figure(
        figsize=(11, 1.5 + _INCHES_PER_BAR * max(1, len(names))), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.barh(range(len(names)), logs, color=colours)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()  # the first row at the top
    axes.set_ymargin(0.01)
    axes.axvline(0, color="black", linewidth=1)
    axes.xaxis.set_major_formatter(tickers.FuncFormatter(lambda log, _: f"{2**log:.3g}"))
    axes.grid(axis="x", alpha=0.4)
    axes.set_xlabel("native's time / ours, each in its fastest layout")
    axes.set_title(title, fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:] or "png", dpi=120)
    write_atomically(path, picture.getvalue())
