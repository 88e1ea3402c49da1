"""From what users write (``stride=2``, ``padding='same'``) to what operators take."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch.overrides import handle_torch_function, has_torch_function

from torchconv._torch import is_known_true

_INT64_END = 1 << 63


Params = ParamSpec("Params")
Result = TypeVar("Result")


def overridable(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Hands the call to ``__torch_function__`` where an argument or a mode has one, as in fx."""

    @functools.wraps(function)
    def call(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        relevant = (*args, *kwargs.values()) if kwargs else args
        if has_torch_function(relevant):
            return handle_torch_function(call, relevant, *args, **kwargs)
        return function(*args, **kwargs)

    return call


def check_tensors(op: str, **tensors: Any) -> None:
    """Refuses what is no tensor or has no sizes in one sentence; torch would take a page."""
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{op}: expected {name} to be a Tensor, but got {type(value).__name__}")
        if value.is_nested:
            raise RuntimeError(
                f"{op}: expected {name} to be a dense (strided) tensor on the CPU, "
                "but got a nested tensor"
            )


def with_batch(op: str, x: torch.Tensor, channels: str) -> tuple[torch.Tensor, bool]:
    """``Tensor[batch, channels, height, width]``, and whether ``x`` came without batch."""
    if x.dim() not in (3, 4):
        raise RuntimeError(
            f"{op}: expected x to have 4 dimensions [batch, {channels}, height, width], or 3 "
            f"without batch, but got {list(x.shape)}"
        )
    return (x.unsqueeze(0), True) if x.dim() == 3 else (x, False)


def check_unbatched_channels(op: str, x: torch.Tensor, weight: torch.Tensor, groups: Any) -> None:
    """Raises RuntimeError if the channels of an unbatched x do not match weight.

    The operator's own message would name x.size(1).
    """
    if weight.dim() == 4 and groups > 0:
        channels, expected = x.shape[1], weight.shape[1] * groups
        if is_known_true(channels != expected):
            raise RuntimeError(
                f"{op}: expected x.size(0) == {expected} (weight.size(1) · groups), "
                f"but got {channels}"
            )


def integer(op: str, name: str, value: Any) -> Any:
    """An int that fits 64 bits, or a symbolic one."""
    if type(value) is int and -_INT64_END <= value < _INT64_END:  # nearly always
        return value
    if isinstance(value, torch.SymInt):
        return value
    try:
        if isinstance(value, bool):
            raise TypeError  # torch takes no bool for a number either
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: expected {name} to hold integers, but got {value!r}") from None
    if not -_INT64_END <= number < _INT64_END:
        raise RuntimeError(f"{op}: expected {name} to fit in 64 bits, but got {number}")
    return number


def integers(op: str, name: str, value: Any) -> list[Any]:
    """A list of integers from one integer or a sequence (or NumPy array) of them."""
    several = isinstance(value, (tuple, list))
    # An int may be symbolic under Dynamo, which does not know hasattr for those.
    if not several and not isinstance(value, (int, torch.SymInt)):
        if hasattr(value, "tolist"):
            value = value.tolist()
        several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not several:
        return [integer(op, name, value)]
    return [integer(op, name, number) for number in value]


def pair(op: str, name: str, value: Any) -> list[Any]:
    """(height, width) from one integer, which counts for both, or two."""
    values = integers(op, name, value)
    return values * 2 if len(values) == 1 else values


def conv_padding(
    op: str,
    padding: Any,
    input_shape: Sequence[Any],
    weight_shape: Sequence[Any],
    stride: list[Any],
    dilation: list[Any],
) -> list[Any]:
    """(left, right, top, bottom) from any of the forms that conv2d takes.

    Of the shapes, which end in height and width, only ``'same'`` makes use.

    ``'same'`` makes ``ceil(input / stride)`` outputs. An odd total is one larger on the right and
    at the bottom, as in torch; with a stride over 1, which torch refuses, the rule is TensorFlow's:
    ``total = max((ceil(input / stride) - 1) * stride + extent - input, 0)``.
    """
    if isinstance(padding, str) and padding == "valid":
        return [0, 0, 0, 0]
    if isinstance(padding, str) and padding == "same":
        amounts: list[Any] = []
        sizes = zip(input_shape[-2:], weight_shape[-2:], stride, dilation, strict=False)
        for size, kernel, step, spread in reversed(list(sizes)):  # width first, as F.pad has it
            extent = (kernel - 1) * spread + 1
            if isinstance(step, int) and step <= 1:  # a step under 1 is refused, but not here
                total = extent - 1
            else:
                needed = ((size + step - 1) // step - 1) * step + extent - size
                # max() would guard on the value of a symbolic number.
                total = max(needed, 0) if isinstance(needed, int) else torch.sym_max(needed, 0)
            amounts += [total // 2, (total + 1) // 2]
        # Under Dynamo a symbolic number passes as an int, and integer would guard on its value.
        return amounts if torch.compiler.is_compiling() else integers(op, "padding", amounts)
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
