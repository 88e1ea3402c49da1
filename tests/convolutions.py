"""A convolution and its two gradients by torchconv's operators, and the same in float64."""

from typing import NamedTuple

import torch
from layouts import contiguous, in_layout

KERNELS = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")


class Convolution(NamedTuple):
    """Shapes of x and the weight; padding is (left, right, top, bottom)."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def operands(self, dtype=torch.float32, layout=contiguous, fill=torch.randn):
        """x, the weight and a gradient of the output."""
        x, weight = (torch.empty(s, device="meta") for s in (self.x, self.weight))
        out = torch.ops.torchconv.conv2d(x, weight, None, *self[2:])
        shapes = (self.x, self.weight, out.shape)
        return [in_layout(layout, fill(*shape, dtype=dtype)) for shape in shapes]

    def run(self, x, weight, grad_out):
        ops, geometry = torch.ops.torchconv, self[2:]
        return [
            ops.conv2d(x, weight, None, *geometry),
            ops.conv2d_backward_input(grad_out, weight, x.shape[2:], *geometry, False),
            ops.conv2d_backward_weight(grad_out, x, weight.shape[2:], *geometry, False),
        ]

    def reference(self, *tensors):
        x, weight, grad_out = (t.double() for t in tensors)
        x, weight = x.requires_grad_(), weight.requires_grad_()
        padded = torch.nn.functional.pad(x, self.padding)
        out = torch.nn.functional.conv2d(
            padded, weight, None, self.stride, 0, self.dilation, self.groups
        )
        return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out)]
