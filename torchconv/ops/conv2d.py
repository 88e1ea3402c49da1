"""Two-dimensional convolution and its gradients."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Function

from torchconv.ops._arguments import check_tensors, conv_padding, integer, pair
from torchconv.ops._operator import kernel, operator

Ints = list[int]


class Conv2dFunction(Function):
    """Differentiates conv2d. Takes the operator's arguments, with stride and the rest as lists.

    conv2d is linear in x and in weight, so each of its two gradients is linear in grad_out and in
    the other one, and every derivative of these three operators is one of the three again.
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        groups: int,
    ) -> Tensor:
        return _conv2d_kernel(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, *ctx.geometry = inputs
        ctx.input_size, ctx.kernel_size = x.shape[2:], weight.shape[2:]
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x if needs_weight else None, weight if needs_x else None)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_x = _backward_input(grad_out, weight, ctx.input_size, *ctx.geometry)
        if needs_weight:
            grad_weight = _backward_weight(grad_out, x, ctx.kernel_size, *ctx.geometry)
        if needs_bias:
            grad_bias = _backward_bias(grad_out)
        return grad_x, grad_weight, grad_bias, None, None, None, None


class Conv2dBackwardInputFunction(Function):
    """Differentiates grad_x = conv2d_backward_input(grad_out, weight, input_size, …)."""

    @staticmethod
    def forward(grad_out: Tensor, weight: Tensor, input_size: Ints, *geometry: Any) -> Tensor:
        return _backward_input_kernel(grad_out, weight, input_size, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, weight, _, *ctx.geometry = inputs
        ctx.kernel_size = weight.shape[2:]
        needs_grad_out, needs_weight = ctx.needs_input_grad[:2]
        ctx.save_for_backward(
            grad_out if needs_weight else None, weight if needs_grad_out else None
        )

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor) -> tuple[Tensor | None, ...]:
        grad_out, weight = ctx.saved_tensors
        grad_grad_out = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _conv2d(grad_grad_x, weight, None, *ctx.geometry)
        if ctx.needs_input_grad[1]:
            grad_weight = _backward_weight(grad_out, grad_grad_x, ctx.kernel_size, *ctx.geometry)
        return grad_grad_out, grad_weight, None, None, None, None, None


class Conv2dBackwardWeightFunction(Function):
    """Differentiates grad_weight = conv2d_backward_weight(grad_out, x, kernel_size, …)."""

    @staticmethod
    def forward(grad_out: Tensor, x: Tensor, kernel_size: Ints, *geometry: Any) -> Tensor:
        return _backward_weight_kernel(grad_out, x, kernel_size, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, x, _, *ctx.geometry = inputs
        ctx.input_size = x.shape[2:]
        needs_grad_out, needs_x = ctx.needs_input_grad[:2]
        ctx.save_for_backward(grad_out if needs_x else None, x if needs_grad_out else None)

    @staticmethod
    def backward(ctx: Any, grad_grad_weight: Tensor) -> tuple[Tensor | None, ...]:
        grad_out, x = ctx.saved_tensors
        grad_grad_out = grad_x = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _conv2d(x, grad_grad_weight, None, *ctx.geometry)
        if ctx.needs_input_grad[1]:
            grad_x = _backward_input(grad_out, grad_grad_weight, ctx.input_size, *ctx.geometry)
        return grad_grad_out, grad_x, None, None, None, None, None


class Conv2dBackwardBiasFunction(Function):
    """Differentiates grad_bias = Σ grad_out over batch, height and width."""

    @staticmethod
    def forward(grad_out: Tensor) -> Tensor:
        return _backward_bias_kernel(grad_out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad_grad_bias: Tensor) -> Tensor:
        return grad_grad_bias[:, None, None].expand(ctx.shape)


_conv2d_kernel = kernel("conv2d")
_backward_input_kernel = kernel("conv2d_backward_input")
_backward_weight_kernel = kernel("conv2d_backward_weight")
_backward_bias_kernel = kernel("conv2d_backward_bias")
_conv2d = operator("conv2d", Conv2dFunction.apply)
_backward_input = operator("conv2d_backward_input", Conv2dBackwardInputFunction.apply)
_backward_weight = operator("conv2d_backward_weight", Conv2dBackwardWeightFunction.apply)
_backward_bias = operator("conv2d_backward_bias", Conv2dBackwardBiasFunction.apply)


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
    unbatched = x.dim() == 3
    if unbatched:
        x = x.unsqueeze(0)
    strides, dilations = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    amounts = conv_padding("conv2d", padding, x.shape[2:], weight.shape[2:], strides, dilations)
    out = _conv2d(x, weight, bias, strides, amounts, dilations, integer("conv2d", "groups", groups))
    return out.squeeze(0) if unbatched else out
