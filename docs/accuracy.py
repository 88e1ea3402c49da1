"""Measures the tables of accuracy.md: errors of convolutions, direct and by Winograd's algorithm.

python docs/accuracy.py
"""

import itertools
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

import torchconv
from torchconv.bench import machine

PAGE = Path(__file__).with_name("accuracy.md")
EXTREMES, TABLES = "extremes", "tables"  # marked parts of the page, which are written here
CHANNELS = (16, 32, 64, 128, 256, 512, 1024)
SIZE, BATCH = 14, 4
# For a kernel of so many rows and columns: the title of a column, and what is forced.
ALGORITHMS = {
    3: {"direct": "channels", "F(2x2, 3x3)": "winograd_2x2", "F(4x4, 3x3)": "winograd_4x4"},
    5: {"direct": "channels", "F(2x2, 5x5)": "winograd_2x2"},
}
RESULTS = ("forward", "gradient of the input", "gradient of the weight")

# Extreme layers, and the dtype of each.
CASES = {
    "below zero": torch.float32,
    "huge pixel, float32": torch.float32,
    "huge pixel, float16": torch.float16,
    "huge pixel, bfloat16": torch.bfloat16,
    "not finite": torch.float32,
}
# The title of a column, and the arguments of torchconv.backends.winograd; torch has none.
SETTINGS = {
    "native": None,
    "default": (True, False),
    "`strict_accuracy = True`": (True, True),
    "`allow_winograd = False`": (False, False),
}
EXTREME_SIZE = 16
HUGE = (slice(None), slice(None), 0, 9)  # a pixel of each image, at the upper border
LAYOUTS = (torch.contiguous_format, torch.channels_last)

Conv2d = Callable[..., Tensor]
Error = tuple[float, float]


def layer(channels: int, kernel: int, size: int = SIZE) -> list[Tensor]:
    """An image, a weight and a gradient: normal numbers, the weight as He begins with."""
    generator = torch.Generator().manual_seed(channels + kernel)
    image = (BATCH, channels, size, size)
    x, grad_out = (torch.randn(image, generator=generator) for _ in range(2))
    weight = torch.randn(channels, channels, kernel, kernel, generator=generator)
    return [x, weight * (2 / (channels * kernel**2)) ** 0.5, grad_out]


def derive(conv2d: Conv2d, *given: Tensor) -> list[Tensor]:
    """The three results for an image, a weight and a gradient."""
    x, weight, grad_out = (t.detach().requires_grad_() for t in given)
    out = conv2d(x, weight, padding="same")
    return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out)]


def convolve(x: Tensor, weight: Tensor, grad_out: Tensor, algorithm: str) -> list[Tensor]:
    """The results by one algorithm in float32."""
    with torchconv.backends.conv2d_algorithm(algorithm):
        return derive(torchconv.conv2d, x, weight, grad_out)


def measure(channels: int, kernel: int) -> dict[tuple[str, str], Error]:
    """By result and algorithm: rms and maximum of the error, over rms of the result."""
    given = layer(channels, kernel)
    expected = derive(torch.nn.functional.conv2d, *(t.double() for t in given))
    errors = {}
    for title, algorithm in ALGORITHMS[kernel].items():
        for name, found, right in zip(RESULTS, convolve(*given, algorithm), expected, strict=True):
            error, size = found.double() - right, right.square().mean().sqrt()
            rms = error.square().mean().sqrt() / size
            errors[name, title] = (rms.item(), (error.abs().max() / size).item())
    return errors


def extreme(case: str, dtype: torch.dtype, kernel: int = 3) -> list[Tensor]:
    """The image, weight and gradient of an extreme layer."""
    x, weight, grad_out = layer(16 if case == "below zero" else 64, kernel, EXTREME_SIZE)
    if case == "below zero":
        # Positive are half of the pixels, one weight in 50 and one element of the gradient in 500.
        generator = torch.Generator().manual_seed(0)
        x = x.relu()
        weight = weight.relu() * (torch.rand(weight.shape, generator=generator) < 0.04)
        grad_out = grad_out.relu() * (torch.rand(grad_out.shape, generator=generator) < 0.004)
    elif case == "not finite":
        x = torch.full_like(x, 0.3 * torch.finfo(dtype).max, dtype=dtype)
        weight, grad_out = 1e-6 * weight, 1e-6 * grad_out
    else:
        x[HUGE] *= 1e4
    return [t.to(dtype) for t in (x, weight, grad_out)]


def derive_extreme(conv2d: Conv2d, image: Tensor, weight: Tensor, grad_out: Tensor) -> list[Tensor]:
    """The three results; in that of the input the image takes the place of the gradient."""
    out, _, grad_weight = derive(conv2d, image, weight, grad_out)
    _, grad_input, _ = derive(conv2d, image, weight, image)
    return [out, grad_input, grad_weight]


def reads_huge(given: list[Tensor]) -> list[Tensor]:
    """Which elements of the three results read a huge pixel."""
    image, weight, grad_out = (torch.ones_like(t, dtype=torch.float64) for t in given)
    image.zero_()[HUGE] = 1
    results = derive_extreme(torch.nn.functional.conv2d, image, weight, grad_out)
    return [t != 0 for t in results]


def figure(case: str, found: Tensor, expected: Tensor, reads: Tensor) -> float:
    """The share of all elements that are below zero, or not finite.

    Of a huge pixel, the largest error of the elements that do not read it, over the standard
    deviation of these.
    """
    if case == "below zero":
        return (found < 0).double().mean().item()
    if case == "not finite":
        return (~found.isfinite()).double().mean().item()
    error = (found.double() - expected)[~reads].abs().max()
    return (error / expected[~reads].std()).item()


def figures(case: str, settings: Iterable[str]) -> dict[tuple[str, str], float]:
    """By result and setting, the larger of both layouts."""
    native, given = torch.nn.functional.conv2d, extreme(case, CASES[case])
    expected = derive_extreme(native, *(t.double() for t in given))
    reads, largest = reads_huge(given), {}
    for setting, layout in itertools.product(settings, LAYOUTS):
        policy, laid_out = SETTINGS[setting], [t.to(memory_format=layout) for t in given]
        with nullcontext() if policy is None else torchconv.backends.winograd(*policy):
            conv2d = native if policy is None else torchconv.conv2d
            results = derive_extreme(conv2d, *laid_out)
        for name, *judged in zip(RESULTS, results, expected, reads, strict=True):
            found = figure(case, *judged)
            largest[name, setting] = max(found, largest.get((name, setting), 0))
    return largest


def extremes() -> str:
    """The table of extreme layers, as Markdown."""
    columns = " | ".join(SETTINGS)
    lines = [f"| | {columns} |", "|---" + "|:-:" * len(SETTINGS) + "|"]
    for case in CASES:
        measured = figures(case, SETTINGS)
        for name in RESULTS:
            cells = " | ".join(f"{measured[name, setting]:.2g}" for setting in SETTINGS)
            lines.append(f"| {case}, {name} | {cells} |")
    where = machine.sentence(machine.machine("cpu", torch.get_num_threads()))
    return "\n".join([*lines, "", f"Measured, like all tables of this page, on {where}.", ""])


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


def part(text: str, name: str) -> slice:
    """Where a marked part of the page lies."""
    begin = f"<!-- {name} -->\n"
    return slice(text.index(begin) + len(begin), text.index(f"<!-- end of {name} -->\n"))


def rows(name: str) -> list[str]:
    """The lines of a marked part of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return text[part(text, name)].splitlines()


def recorded() -> dict[tuple[int, int, str, str], Error]:
    """What the page says, by channels, kernel, result and algorithm."""
    errors = {}
    for line in rows(TABLES):
        if title := re.fullmatch(r"### (\d)x\d, (.*)", line):
            kernel, name = int(title[1]), title[2]
        elif row := re.fullmatch(r"\| (\d+) \| (.*) \|", line):
            for algorithm, cell in zip(ALGORITHMS[kernel], row[2].split(" | "), strict=True):
                rms, most = map(float, cell.split(" / "))
                errors[int(row[1]), kernel, name, algorithm] = (rms, most)
    return errors


def recorded_extremes() -> dict[tuple[str, str, str], float]:
    """What the page says of extreme layers, by case, result and setting."""
    found = {}
    for line in rows(EXTREMES):
        if row := re.fullmatch(r"\| (.+), (.+?) \| (\d.*) \|", line):
            for setting, cell in zip(SETTINGS, row[3].split(" | "), strict=True):
                found[row[1], row[2], setting] = float(cell)
    return found


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for name, write in {EXTREMES: extremes, TABLES: tables}.items():
        where = part(text, name)
        text = f"{text[: where.start]}\n{write()}{text[where.stop :]}"
    PAGE.write_text(text, encoding="utf-8")
