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


def grad(*shape, layout=contiguous):
    return layout(torch.randn(shape)).requires_grad_()


def conv_arguments(layout=contiguous):
    """x, weight, bias and a gradient of the output of one strided, padded, grouped convolution."""
    x, weight = grad(2, 4, 7, 8, layout=layout), grad(6, 2, 3, 2, layout=layout)
    bias = grad(6)
    out = ops.conv2d(x, weight, bias, *CONV)
    return x, weight, bias, grad(*out.shape, layout=layout)


def _block_samples(x, weight, bias, layout):
    window = ([2, 1], [1, 1], [0, 0], [1, 1], False)
    given = (x, weight, bias, *CONV, "sigmoid", *window)
    with torch.no_grad():
        out, offsets = ops.conv2d_act_pool_with_offsets(*given)
    pooled_grad = grad(*out.shape, layout=layout)
    return {
        "conv2d_act_pool": given,
        "conv2d_act_pool_with_offsets": given,
        "conv2d_pool_backward_input": (pooled_grad, offsets, weight, [7, 8], *CONV, *window),
        "conv2d_pool_backward_weight": (pooled_grad, offsets, x, [3, 2], *CONV, *window),
    }


def direct_samples(layout=contiguous):
    """Arguments for every operator, in the order of csrc/library.cpp."""
    x, weight, bias, grad_out = conv_arguments(layout)
    pooled, offsets = ops.max_pool2d_with_offsets(x.detach(), *POOL)
    pooled_grad = grad(*pooled.shape, layout=layout)
    return {
        "sigmoid": (x,),
        "sigmoid_backward": (grad(2, 4, 7, 8, layout=layout), x),
        "relu": (x,),
        "relu_with_mask": (x, 2),
        "relu_backward": (
            grad(2, 4, 7, 8, layout=layout),
            ops.relu_with_mask(x.detach(), 2)[1],
            x.stride(),
        ),
        "matmul": (grad(5, 2, 3, 4), grad(2, 4, 6)),
        "linear": (grad(5, 2, 3), grad(4, 3), grad(4)),
        "linear_backward_bias": (grad(5, 2, 3),),
        "conv2d": (x, weight, bias, *CONV),
        "conv2d_backward_input": (grad_out, weight, [7, 8], *CONV),
        "conv2d_backward_weight": (grad_out, x, [3, 2], *CONV),
        "conv2d_backward_bias": (grad_out, None),
        "max_pool2d": (x, *POOL),
        "max_pool2d_with_offsets": (x, *POOL),
        "max_pool2d_indices": (offsets, [7, 8], *POOL),
        "max_pool2d_backward": (pooled_grad, offsets, [7, 8], *POOL),
        "max_pool2d_gather": (x, offsets, *POOL),
        **_block_samples(x, weight, bias, layout),
    }
