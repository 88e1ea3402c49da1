"""Measures the tables of accuracy.md: errors of convolutions, direct and by Winograd's algorithm.

python docs/accuracy.py
"""

import re
from pathlib import Path

import torch
from torch import Tensor

import torchconv

PAGE = Path(__file__).with_name("accuracy.md")
BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"
CHANNELS = (16, 32, 64, 128, 256, 512, 1024)
SIZE, BATCH = 14, 4
# For a kernel of so many rows and columns: the title of a column, and what is forced.
ALGORITHMS = {
    3: {"direct": "channels", "F(2x2, 3x3)": "winograd_2x2", "F(4x4, 3x3)": "winograd_4x4"},
    5: {"direct": "channels", "F(2x2, 5x5)": "winograd_2x2"},
}
RESULTS = ("forward", "gradient of the input", "gradient of the weight")

Error = tuple[float, float]


def layer(channels: int, kernel: int) -> list[Tensor]:
    """An image, a weight and a gradient: normal numbers, the weight as He begins with."""
    generator = torch.Generator().manual_seed(channels + kernel)
    image = (BATCH, channels, SIZE, SIZE)
    x, grad_out = (torch.randn(image, generator=generator) for _ in range(2))
    weight = torch.randn(channels, channels, kernel, kernel, generator=generator)
    return [x, weight * (2 / (channels * kernel**2)) ** 0.5, grad_out]


def reference(x: Tensor, weight: Tensor, grad_out: Tensor) -> list[Tensor]:
    """The results by torch in float64."""
    x, weight = (t.double().requires_grad_() for t in (x, weight))
    out = torch.nn.functional.conv2d(x, weight, padding="same")
    return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out.double())]


def convolve(x: Tensor, weight: Tensor, grad_out: Tensor, algorithm: str) -> list[Tensor]:
    """The results by one algorithm in float32."""
    x, weight = (t.clone().requires_grad_() for t in (x, weight))
    with torchconv.backends.conv2d_algorithm(algorithm):
        out = torchconv.conv2d(x, weight, padding="same")
        return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out)]


def measure(channels: int, kernel: int) -> dict[tuple[str, str], Error]:
    """By result and algorithm: rms and maximum of the error, over rms of the result."""
    given = layer(channels, kernel)
    expected = reference(*given)
    errors = {}
    for title, algorithm in ALGORITHMS[kernel].items():
        for name, found, right in zip(RESULTS, convolve(*given, algorithm), expected, strict=True):
            error, size = found.double() - right, right.square().mean().sqrt()
            rms = error.square().mean().sqrt() / size
            errors[name, title] = (rms.item(), (error.abs().max() / size).item())
    return errors


def tables() -> str:
    """All tables, as Markdown."""
    lines = []
    for kernel, algorithms in ALGORITHMS.items():
        measured = {channels: measure(channels, kernel) for channels in CHANNELS}
        for name in RESULTS:
            lines += [f"### {kernel}x{kernel}, {name}", ""]
            lines.append(f"| channels | {' | '.join(algorithms)} |")
            lines.append("|--:" + "|:-:" * len(algorithms) + "|")
            for channels, errors in measured.items():
                cells = [f"{rms:.1e} / {most:.1e}" for rms, most in
                         (errors[name, title] for title in algorithms)]  # fmt: skip
                lines.append(f"| {channels} | {' | '.join(cells)} |")
            lines.append("")
    return "\n".join(lines)


def recorded() -> dict[tuple[int, int, str, str], Error]:
    """What the page says, by channels, kernel, result and algorithm."""
    errors = {}
    _, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    for line in rest.split(END)[0].splitlines():
        if title := re.fullmatch(r"### (\d)x\d, (.*)", line):
            kernel, name = int(title[1]), title[2]
        elif row := re.fullmatch(r"\| (\d+) \| (.*) \|", line):
            for algorithm, cell in zip(ALGORITHMS[kernel], row[2].split(" | "), strict=True):
                rms, most = map(float, cell.split(" / "))
                errors[int(row[1]), kernel, name, algorithm] = (rms, most)
    return errors


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}{after}", encoding="utf-8")
