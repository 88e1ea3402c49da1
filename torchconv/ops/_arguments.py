"""From what users write (``stride=2``, ``padding='same'``) to what operators take."""

import operator
from collections.abc import Iterable
from typing import Any

import torch

_INT64 = 1 << 63


def check_tensors(op: str, **tensors: Any) -> None:
    """Refuses arguments that are no tensors, before the dispatcher does so in many lines."""
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{op}: expected {name} to be a Tensor, but got {type(value).__name__}")


def integer(op: str, name: str, value: Any) -> Any:
    """An int that fits 64 bits, or a symbolic one."""
    if isinstance(value, torch.SymInt):
        return value
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: expected {name} to hold integers, but got {value!r}") from None
    if not -_INT64 <= number < _INT64:
        raise RuntimeError(f"{op}: expected {name} to fit in 64 bits, but got {number}")
    return number


def integers(op: str, name: str, value: Any) -> list[Any]:
    """A list of integers from one integer or several."""
    several = isinstance(value, Iterable) and not isinstance(value, torch.Tensor)
    return [integer(op, name, number) for number in (value if several else [value])]


def pair(op: str, name: str, value: Any) -> list[Any]:
    """(height, width) from one integer, which counts for both, or two."""
    values = integers(op, name, value)
    return values * 2 if len(values) == 1 else values


def conv_padding(
    op: str,
    padding: Any,
    input_size: Iterable[Any],
    kernel_size: Iterable[Any],
    stride: list[Any],
    dilation: list[Any],
) -> list[Any]:
    """(left, right, top, bottom) from any of the forms that conv2d takes.

    ``'same'`` makes ``ceil(input / stride)`` outputs. An odd total is one larger on the right and
    at the bottom, as in torch; with a stride over 1, which torch refuses, the rule is TensorFlow's:
    ``total = max((ceil(input / stride) - 1) * stride + extent - input, 0)``.
    """
    if padding == "valid":
        return [0, 0, 0, 0]
    if padding == "same":
        amounts: list[Any] = []
        sizes = zip(input_size, kernel_size, stride, dilation, strict=False)
        for size, kernel, step, spread in reversed(list(sizes)):  # width first, as F.pad has it
            extent = (kernel - 1) * spread + 1
            if isinstance(step, int) and step == 1:
                total = extent - 1
            else:
                covered = ((size + step - 1) // max(step, 1) - 1) * step
                total = max(covered + extent - size, 0)
            amounts += [total // 2, total - total // 2]
        return amounts
    values = [] if isinstance(padding, str) else integers(op, "padding", padding)
    if len(values) == 1:
        return values * 4
    if len(values) == 2:
        height, width = values
        return [width, width, height, height]
    if len(values) == 4:
        return values
    raise RuntimeError(
        f"{op}: expected padding to be an int, (height, width), (left, right, top, bottom), "
        f"'same' or 'valid', but got {padding!r}"
    )
