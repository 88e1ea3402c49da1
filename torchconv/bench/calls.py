"""The calls that are timed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchconv.bench.cases import Case, arrange
from torchconv.bench.timing import Call

Function = Callable[..., Tensor]
Key = tuple[str, str]  # layout and side


@dataclass(frozen=True)
class Options:
    """How every row is measured."""

    dtype: str
    layouts: list[str]
    device: str
    threads: int
    seconds: float
    tf32: bool = False


def calls_of(case: Case, options: Options, step: str, sides: tuple[str, ...]) -> dict[Key, Call]:
    """What is timed, by layout and side; all sides of a layout read the same tensors."""
    calls = {}
    for layout in options.layouts:
        given, grad_out = inputs(case, options, layout)
        for side in sides:
            function: Function = getattr(case, side)
            if step == "forward":
                calls[layout, side] = _forward(function, given)
            elif step == "backward":
                calls[layout, side] = case.backward(side, given[0].detach(), grad_out)
            else:
                calls[layout, side] = _training(function, given, grad_out)
    return calls


def rotating_calls(
    case: Case, options: Options, step: str, sides: tuple[str, ...], sets: int
) -> dict[Key, list[Call]]:
    """The same, but each call on so many sets of tensors."""
    every = [calls_of(case, options, step, sides) for _ in range(sets)]
    return {key: [calls[key] for calls in every] for key in every[0]}


def inputs(case: Case, options: Options, layout: str) -> tuple[list[Tensor], Tensor]:
    """Random arguments, of which those that get a gradient ask for it, and a random grad_out."""
    dtype = getattr(torch, options.dtype)
    with torch.device(options.device):  # where random numbers are made: a CPU takes long
        given = [arrange(t.to(dtype), layout) for t in case.tensors()]
        shape = case.native(*(t.to("meta") for t in given)).shape
        grad_out = arrange(torch.randn(shape).to(dtype), layout)
    wanted = zip(given, case.wants_gradient(), strict=True)
    return [t.requires_grad_(wants) for t, wants in wanted], grad_out


def input_bytes(case: Case, options: Options) -> int:
    """Bytes of the arguments and of grad_out, in one layout."""
    with torch.device("meta"):
        given = case.tensors()
        elements = sum(t.numel() for t in (*given, case.native(*given)))
    return elements * getattr(torch, options.dtype).itemsize


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
