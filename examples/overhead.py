"""Measures what a call costs besides its arithmetic: every operator on tensors of one element.

Both libraries take turns, and the least of many rounds counts: noise only adds.
"""

import timeit
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import torchconv

ROUNDS, CALLS = 15, 2000

Call = Callable[[], Any]

one = torch.ones
OPERATORS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor]]] = {
    "sigmoid": (torchconv.sigmoid, torch.sigmoid, [one(1)]),
    "relu": (torchconv.relu, functional.relu, [one(1)]),
    "matmul": (torchconv.matmul, torch.matmul, [one(1, 1), one(1, 1)]),
    "linear": (torchconv.linear, functional.linear, [one(1, 1), one(1, 1), one(1)]),
    "conv2d": (torchconv.conv2d, functional.conv2d, [one(1, 1, 1, 1), one(1, 1, 1, 1), one(1)]),
    "max_pool2d": (
        lambda x: torchconv.max_pool2d(x, 1),
        lambda x: functional.max_pool2d(x, 1),
        [one(1, 1, 1, 1)],
    ),
}


def microseconds(*calls: Call) -> list[float]:
    """The time of one call of each."""
    rounds = [[timeit.timeit(call, number=CALLS) for call in calls] for _ in range(ROUNDS)]
    return [min(times) / CALLS * 1e6 for times in zip(*rounds, strict=True)]


def forward(function: Callable[..., Tensor], given: list[Tensor]) -> Call:
    """A call that records nothing."""
    return lambda: function(*given)


def training(function: Callable[..., Tensor], given: list[Tensor]) -> Call:
    """A call and its backward."""
    given = [tensor.clone().requires_grad_() for tensor in given]

    def call() -> None:
        function(*given).backward()
        for tensor in given:
            tensor.grad = None

    return call


def main() -> None:
    """Prints microseconds per call."""
    torch.set_num_threads(1)
    print(f"{'microseconds per call':22} {'forward':>17} {'forward+backward':>17}")
    print(f"{'':22} {'torchconv':>9} {'torch':>7} {'torchconv':>9} {'torch':>7}")
    for name, (ours, native, given) in OPERATORS.items():
        columns = []
        for kind in (forward, training):
            columns += microseconds(kind(ours, given), kind(native, given))
        print(f"{name:22} {columns[0]:9.1f} {columns[1]:7.1f} {columns[2]:9.1f} {columns[3]:7.1f}")


if __name__ == "__main__":
    main()
