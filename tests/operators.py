"""A few calls of each operator beside torch's own, small enough for every transform of torch."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from layouts import contiguous

import torchconv


@dataclass(frozen=True)
class Case:
    operator: str
    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)

    def ours(self, *tensors):
        return getattr(torchconv, self.operator)(*tensors, **self.options)

    def native(self, *tensors):
        if self.operator == "conv2d_act_pool":
            functional = torch.nn.functional
            return functional.max_pool2d(functional.conv2d(*tensors, padding=1).relu(), 2)
        module = torch if self.operator in ("matmul", "sigmoid") else torch.nn.functional
        return getattr(module, self.operator)(*tensors, **self.options)

    def inputs(self, dtype=torch.float64, requires_grad=False):
        return [distinct(shape, dtype).requires_grad_(requires_grad) for shape in self.shapes]


def distinct(shape, dtype=torch.float64):
    """Different numbers between -2 and 2, none near zero: no step moves a maximum or a kink."""
    count = math.prod(shape)
    steps = torch.randperm(count, dtype=torch.float64) + 0.25  # never the middle, count / 2
    return (steps / max(count, 1) * 4 - 2).reshape(shape).to(dtype)


CASES = {
    "sigmoid": Case("sigmoid", ((3, 4),)),
    "relu": Case("relu", ((3, 4),)),
    "matmul": Case("matmul", ((3, 4), (4, 2))),
    "matmul-vectors": Case("matmul", ((4,), (4,))),
    "matmul-vector-matrix": Case("matmul", ((4,), (2, 4, 3))),
    "matmul-batch-matrix": Case("matmul", ((2, 3, 4), (4, 2))),
    "matmul-broadcast": Case("matmul", ((2, 1, 3, 4), (3, 4, 2))),
    "linear": Case("linear", ((3, 4), (2, 4), (2,))),
    "linear-no-bias": Case("linear", ((3, 4), (2, 4))),
    "linear-vector": Case("linear", ((4,), (2, 4), (2,))),
    "linear-deep": Case("linear", ((2, 3, 4), (2, 4), (2,))),
    "conv2d": Case("conv2d", ((2, 2, 5, 4), (3, 2, 3, 2), (3,)), {"padding": (1, 0)}),
    "conv2d-stride": Case(
        "conv2d", ((2, 2, 6, 5), (2, 2, 2, 3)), {"stride": 2, "padding": 1, "dilation": (2, 1)}
    ),
    "conv2d-groups": Case("conv2d", ((2, 4, 4, 4), (6, 2, 2, 2), (6,)), {"groups": 2}),
    "conv2d-depthwise": Case("conv2d", ((2, 3, 4, 4), (6, 1, 3, 3), (6,)), {"groups": 3}),
    "conv2d-unbatched": Case("conv2d", ((2, 4, 5), (3, 2, 2, 2), (3,)), {"padding": "same"}),
    "max_pool2d": Case("max_pool2d", ((2, 3, 4, 4),), {"kernel_size": 2}),
    "max_pool2d-overlap": Case(
        "max_pool2d",
        ((2, 2, 5, 6),),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "max_pool2d-dilation": Case(
        "max_pool2d", ((1, 2, 6, 5),), {"kernel_size": 2, "stride": 1, "dilation": (3, 2)}
    ),
    "max_pool2d-unbatched": Case("max_pool2d", ((3, 4, 4),), {"kernel_size": 2}),
    "conv2d_act_pool": Case(
        "conv2d_act_pool",
        ((2, 2, 4, 5), (3, 2, 3, 2), (3,)),
        {"padding": 1},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

# The first case of each operator.
PLAIN = {case.operator: case for case in reversed(CASES.values())}
operators = pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)


def network(nn):
    """A small network for images of 8 x 8 pixels and one channel."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), torch.nn.Flatten(),
        nn.Linear(64, 5), nn.Sigmoid(),
    )  # fmt: skip


# ---- the dispatcher's operators, gradients included --------------------------------------------

ops = torch.ops.torchconv
CONV = ([2, 1], [1, 0, 2, 1], [1, 2], 2)
POOL = ([3, 2], [2, 2], [1, 0], [1, 1], True)
WINDOW = ([2, 1], [1, 1], [0, 0], [1, 1], False)  # of the block


def direct_samples(layout=contiguous):
    """For every operator what makes its arguments, in the order of csrc/library.cpp."""

    def grad(*shape, layout=contiguous):
        return layout(torch.randn(shape)).requires_grad_()

    # One strided, padded, grouped convolution, and gradients of its output, pooled in two ways.
    x, weight = grad(2, 4, 7, 8, layout=layout), grad(6, 2, 3, 2, layout=layout)
    bias, grad_out = grad(6), grad(2, 6, 4, 7, layout=layout)
    pooled_grad, block_grad = grad(2, 4, 4, 4, layout=layout), grad(2, 6, 3, 7, layout=layout)
    block = (x, weight, bias, *CONV, "sigmoid", *WINDOW)

    def mask():
        return ops.relu_with_mask(x.detach(), 2)[1]

    def offsets():
        return ops.max_pool2d_with_offsets(x.detach(), *POOL)[1]

    @torch.no_grad()
    def block_offsets():
        return ops.conv2d_act_pool_with_offsets(*block)[1]

    return {
        "sigmoid": lambda: (x,),
        "sigmoid_backward": lambda: (grad(2, 4, 7, 8, layout=layout), x),
        "relu": lambda: (x,),
        "relu_with_mask": lambda: (x, 2),
        "relu_backward": lambda: (grad(2, 4, 7, 8, layout=layout), mask(), x.stride()),
        "matmul": lambda: (grad(5, 2, 3, 4), grad(2, 4, 6)),
        "linear": lambda: (grad(5, 2, 3), grad(4, 3), grad(4)),
        "linear_backward_bias": lambda: (grad(5, 2, 3),),
        "conv2d": lambda: (x, weight, bias, *CONV),
        "conv2d_backward_input": lambda: (grad_out, weight, [7, 8], *CONV, False),
        "conv2d_backward_weight": lambda: (grad_out, x, [3, 2], *CONV, False),
        "conv2d_backward_bias": lambda: (grad_out, None),
        "max_pool2d": lambda: (x, *POOL),
        "max_pool2d_with_offsets": lambda: (x, *POOL),
        "max_pool2d_indices": lambda: (offsets(), [7, 8], *POOL),
        "max_pool2d_backward": lambda: (pooled_grad, offsets(), [7, 8], *POOL),
        "max_pool2d_gather": lambda: (x, offsets(), *POOL),
        "conv2d_act_pool": lambda: block,
        "conv2d_act_pool_with_offsets": lambda: block,
        "conv2d_pool_backward_input": lambda: (
            block_grad, block_offsets(), weight, [7, 8], *CONV, *WINDOW, False),
        "conv2d_pool_backward_weight": lambda: (
            block_grad, block_offsets(), x, [3, 2], *CONV, *WINDOW, False),
    }  # fmt: skip
