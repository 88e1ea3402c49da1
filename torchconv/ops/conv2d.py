"""Two-dimensional convolution; its gradients are in ``conv2d_backward.py``."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchconv.ops._arguments import (
    check_tensors,
    check_unbatched_channels,
    conv_padding,
    integer,
    overridable,
    pair,
    with_batch,
)
from torchconv.ops._conv2d_vmap import vmap_convolution
from torchconv.ops._derivatives import product_rule, save, saved, saved_primals, total
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import fold, leading
from torchconv.ops.conv2d_backward import gradient_formats

_conv2d = operator("conv2d")
_backward_input = operator("conv2d_backward_input")
_backward_weight = operator("conv2d_backward_weight")
_backward_bias = operator("conv2d_backward_bias")


@differentiates("conv2d", autocast=True)
class Conv2dFunction(OperatorFunction):
    """Differentiates conv2d. Takes the operator's arguments, with stride and the rest as lists.

    conv2d is linear in x and in weight, so each of its two gradients is linear in grad_out and in
    the other one, and every derivative of these three operators is one of the three again.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, *ctx.geometry = inputs
        ctx.set_materialize_grads(False)
        ctx.input_size, ctx.kernel_size = x.shape[2:], weight.shape[2:]
        ctx.out_shape = output.shape
        ctx.formats = gradient_formats(x, weight)
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        save(ctx, x if needs_weight else None, weight if needs_x else None)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_out is None:
            return (None,) * 7
        x, weight = saved(ctx)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            rest = (ctx.input_size, *ctx.geometry, ctx.formats[0])
            grad_x = _backward_input(grad_out, weight, *rest)
        if needs_weight:
            rest = (ctx.kernel_size, *ctx.geometry, ctx.formats[1])
            grad_weight = _backward_weight(grad_out, x, *rest)
        if needs_bias:
            grad_bias = _backward_bias(grad_out, None)
        return grad_x, grad_weight, grad_bias, None, None, None, None

    @staticmethod
    def jvp(
        ctx: Any,
        x_t: Tensor | None,
        weight_t: Tensor | None,
        bias_t: Tensor | None,
        *_: None,
    ) -> Tensor | None:
        return total(
            product_rule(_conv2d, *saved_primals(ctx), x_t, weight_t, None, *ctx.geometry),
            None if bias_t is None else bias_t[:, None, None].expand(ctx.out_shape),
        )

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *geometry: Any,
    ) -> tuple[Tensor, int | None]:
        """A bias follows the weight's output channels; where all items share these it is added."""
        x_dim, weight_dim, bias_dim = in_dims[:3]
        *steps, groups = geometry
        size = info.batch_size
        if bias is not None and weight_dim is not None:
            bias = fold(bias, bias_dim, 0, size, groups if x_dim is None else 1)
            bias_dim = None
        inner = bias if bias_dim is None else None

        def call(x: Tensor, weight: Tensor, groups: int) -> Tensor:
            return _conv2d(x, weight, inner, *steps, groups)

        given = {"x": (x, x_dim), "weight": (weight, weight_dim)}
        out, out_dim = vmap_convolution(call, info, "out", groups, **given)
        if bias is None or bias_dim is None:
            return out, out_dim
        return out + leading(bias, bias_dim, size, 2)[..., None, None], 0


@overridable
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    r"""Slides ``weight`` over the images in ``x`` (cross-correlation, as torch's conv2d).

    .. math::
        \text{out}_{n,o,p,q} = b_o + \sum_{c,r,s} W_{o,c,r,s} \,
        x_{n,\; c,\; p \cdot \text{stride} + r \cdot \text{dilation} - \text{padding},\;
        q \cdot \text{stride} + s \cdot \text{dilation} - \text{padding}}

    with c over the input channels of o's group and zeros outside the image. 16-bit types are summed
    in float32 and rounded once. An element's bits depend neither on the number of threads nor on
    the other images of the batch. Zeros of the padding are multiplied like any other number, so an
    infinite or NaN weight over padding gives NaN.

    With stride 1, dilation 1 and a 3 x 3 or 5 x 5 kernel, layers of 16 channels per group and more
    may take Winograd's algorithm (https://arxiv.org/abs/1509.09308): on the CPU far faster than
    direct sums, with rounding errors of about 1e-6 in float32. Tiles of up to 4 x 4 outputs are
    transformed as a whole: an infinite or NaN pixel makes all outputs of the tiles that read it
    NaN, such a weight all of its output channel. Three more properties of direct sums do not hold,
    forward and in both gradients (docs/accuracy.md has the layers and figures):

    * A sum of non-negative terms may be slightly negative, and its square root NaN: 12 % of the
      outputs of a sparse layer.
    * A huge pixel adds an error to outputs that do not read it. With a 3 x 3 kernel, a pixel 1e4
      times larger than the others adds 0.02 standard deviations, in bfloat16 and float16, too.
      Direct sums in float32 have 2e-6. With a 5 x 5 kernel only the gradient of the weight is
      affected.
    * Numbers near the end of the range overflow where the sum is finite: all float32 outputs of
      pixels of 1e38 and weights of 1e-6.

    ``torchconv.backends.allow_winograd = False``, or ``TORCHCONV_ALLOW_WINOGRAD=0`` in the
    environment, forbids the algorithm and restores all three. ``strict_accuracy = True`` does so
    for 5 x 5 kernels alone. With 3 x 3 kernels 5 % of these outputs are still negative, and pixels
    of 1e38 still overflow. There a huge pixel disturbs only the gradient of the weight, by 0.001
    standard deviations.

    Args:
        x: ``Tensor[batch, in_channels, height, width]``, or without batch; float32, float64,
            bfloat16 or float16, any strides.
        weight: ``Tensor[out_channels, in_channels / groups, kernel_h, kernel_w]``.
        bias: ``Tensor[out_channels]`` or None.
        stride: Step of the window, one integer or (height, width).
        padding: Zeros around the image: one integer, (height, width), or (left, right, top, bottom)
            as in ``torch.nn.functional.pad``; ``'valid'`` for none; ``'same'`` for an output of
            ceil(height / stride) by ceil(width / stride), with what is odd on the right and bottom.
        dilation: Distance between the elements of the kernel, one integer or (height, width).
        groups: Number of groups into which channels are divided.

    Returns:
        ``Tensor[batch, out_channels, out_h, out_w]``, channels last if ``x`` or ``weight`` is;
        out_h is floor((height + top + bottom - dilation · (kernel_h - 1) - 1) / stride) + 1.

    Raises:
        RuntimeError: If shapes, dtypes, devices or sizes do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> torchconv.conv2d(torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3), padding=1).shape
        torch.Size([1, 4, 8, 8])
    """
    check_tensors("conv2d", x=x, weight=weight)
    if bias is not None:
        check_tensors("conv2d", bias=bias)
    x, unbatched = with_batch("conv2d", x, "in_channels")
    strides, dilations = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    amounts = conv_padding("conv2d", padding, x.shape, weight.shape, strides, dilations)
    groups = integer("conv2d", "groups", groups)
    if unbatched:
        check_unbatched_channels("conv2d", x, weight, groups)
    out = _conv2d(x, weight, bias, strides, amounts, dilations, groups)
    return out.squeeze(0) if unbatched else out
