"""Floating-point operations of each product, for ``torch.utils.flop_counter.FlopCounterMode``.

A multiplication and an addition count as two, as for torch's own operators. Activations, pooling
and biases count as none, there as here. Formulas see shapes in the place of tensors.
"""

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

Shape = tuple[int, ...]
_ops = torch.ops.torchconv


@register_flop_formula(_ops.matmul)
def matmul_flop(a: Shape, b: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Each element of the result is a sum over the last dimension of ``a``."""
    return 2 * prod(out_shape) * a[-1]


@register_flop_formula(_ops.linear)
def linear_flop(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """Each row of ``x`` is multiplied by the whole weight."""
    return 2 * prod(x[:-1]) * prod(weight)


@register_flop_formula(_ops.conv2d)
def conv2d_flop(x: Shape, weight: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """Each pixel of the output takes the whole weight, once."""
    return _conv_flop(out_shape, weight)


@register_flop_formula(_ops.conv2d_backward_input)
def conv2d_backward_input_flop(grad_out: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """As many as forward."""
    return _conv_flop(grad_out, weight)


@register_flop_formula(_ops.conv2d_backward_weight)
def conv2d_backward_weight_flop(
    grad_out: Shape, x: Shape, *_: Any, out_shape: Shape, **__: Any
) -> int:
    """As many as forward; the result has the shape of the weight."""
    return _conv_flop(grad_out, out_shape)


def _conv_flop(out: Shape, weight: Shape) -> int:
    batch, _, *pixels = out
    return 2 * batch * prod(pixels) * prod(weight)
