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


@register_flop_formula([_ops.conv2d_act_pool, _ops.conv2d_act_pool_with_offsets])
def conv2d_act_pool_flop(
    x: Shape,
    weight: Shape,
    _: Any,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    *__: Any,
    **___: Any,
) -> int:
    """Those of the convolution, whose output is larger than the result."""
    left, right, top, bottom = padding
    return _conv_flop(_conv_out(x, weight, stride, (top + bottom, left + right), dilation), weight)


@register_flop_formula(_ops.conv2d_pool_backward_input)
def conv2d_pool_backward_input_flop(
    grad_out: Shape,
    _: Any,
    weight: Shape,
    input_size: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    *__: Any,
    **___: Any,
) -> int:
    """As many as forward."""
    left, right, top, bottom = padding
    x = (grad_out[0], weight[1], *input_size)
    return _conv_flop(_conv_out(x, weight, stride, (top + bottom, left + right), dilation), weight)


@register_flop_formula(_ops.conv2d_pool_backward_weight)
def conv2d_pool_backward_weight_flop(
    _: Any,
    __: Any,
    x: Shape,
    kernel_size: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    *___: Any,
    out_shape: Shape,
    **____: Any,
) -> int:
    """As many as forward; the result has the shape of the weight."""
    left, right, top, bottom = padding
    out = _conv_out(x, out_shape, stride, (top + bottom, left + right), dilation)
    return _conv_flop(out, out_shape)


def _conv_out(x: Shape, weight: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    """The shape of a convolution's output; padding counts both sides."""
    sizes = zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    pixels = ((n + pad - (k - 1) * gap - 1) // step + 1 for n, k, step, pad, gap in sizes)
    return x[0], weight[0], *pixels


def _conv_flop(out: Shape, weight: Shape) -> int:
    batch, _, *pixels = out
    return 2 * batch * prod(pixels) * prod(weight)
