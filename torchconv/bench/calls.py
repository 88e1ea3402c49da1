"""The calls that are timed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchconv.bench.cases import Case, arrange
from torchconv.bench.timing import Call

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Options:
    """How every row is measured."""

    dtype: str
    layouts: list[str]
    device: str
    threads: int
    seconds: float


def calls_of(
    case: Case, options: Options, step: str, sides: tuple[str, ...]
) -> dict[tuple[str, str], Call]:
    """What is timed, by layout and side; all sides of a layout read the same tensors."""
    calls = {}
    for layout in options.layouts:
        given = [
            arrange(t.to(options.device, getattr(torch, options.dtype)), layout)
            for t in case.tensors()
        ]
        shape = case.native(*(t.to("meta") for t in given)).shape
        grad_out = arrange(torch.randn(shape).to(given[0]), layout)
        leaves = [
            t.requires_grad_(wanted) for t, wanted in zip(given, case.wants_gradient(), strict=True)
        ]
        for side in sides:
            function: Function = getattr(case, side)
            if step == "forward":
                calls[layout, side] = _forward(function, leaves)
            else:
                calls[layout, side] = _training(function, leaves, grad_out)
    return calls


def _forward(function: Function, given: list[Tensor]) -> Call:
    def call() -> Tensor:
        with torch.no_grad():
            return function(*given)

    return call


def _training(function: Function, leaves: list[Tensor], grad_out: Tensor) -> Call:
    wanted = [leaf for leaf in leaves if leaf.requires_grad]

    def call() -> tuple[Tensor, ...]:
        return torch.autograd.grad(function(*leaves), wanted, grad_out)

    return call
