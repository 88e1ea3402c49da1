"""Convolution, activation and max-pooling in one; gradients in ``conv2d_act_pool_backward.py``."""

from collections.abc import Sequence
from typing import Any, Literal

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
from torchconv.ops._operator import OperatorFunction, differentiates, operator, register
from torchconv.ops._vmap import fold, in_front
from torchconv.ops.conv2d_backward import gradient_formats, zero_without_offset
from torchconv.ops.pool_window import PoolWindow, window_arguments

_conv2d_act_pool = operator("conv2d_act_pool")
_with_offsets = operator("conv2d_act_pool_with_offsets")
_backward_input = operator("conv2d_pool_backward_input")
_backward_weight = operator("conv2d_pool_backward_weight")
_backward_bias = operator("conv2d_backward_bias")
_conv2d = operator("conv2d")
_gather = operator("max_pool2d_gather")
_sigmoid_backward = operator("sigmoid_backward")

# Of the arguments: x, weight, bias, four of the convolution, the activation, five of the pooling.
_OPERANDS, _GEOMETRY, _ACTIVATION, _ALL = 3, 7, 8, 13


@differentiates("conv2d_act_pool_with_offsets", autocast=True)
class Conv2dActPoolFunction(OperatorFunction):
    """Differentiates conv2d_act_pool from the offsets of the maxima in their windows.

    Returns (out, offsets), as MaxPool2dFunction does; the offset of a maximum that relu has made
    zero points nowhere, so that whatever follows offsets finds no gradient there. Backward keeps
    the operands of the convolution, the offsets, and for sigmoid the output.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, weight = inputs[:2]
        out, offsets = output
        ctx.geometry = inputs[_OPERANDS:_GEOMETRY]
        ctx.window = inputs[_ACTIVATION:]
        ctx.is_sigmoid = inputs[_GEOMETRY] == "sigmoid"
        ctx.input_size, ctx.kernel_size = x.shape[2:], weight.shape[2:]
        ctx.formats = gradient_formats(x, weight)
        ctx.mark_non_differentiable(offsets)
        ctx.set_materialize_grads(False)
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        kept = (offsets, out) if ctx.is_sigmoid else (offsets,)
        if any(ctx.needs_input_grad):
            save(ctx, x if needs_weight else None, weight if needs_x else None, *kept)
        ctx.save_for_forward(x, weight, *kept)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        grads: list[Tensor | None] = [None] * _ALL
        if grad_out is None:
            return tuple(grads)
        x, weight, offsets, *out = saved(ctx)
        if ctx.is_sigmoid:
            grad_out = _sigmoid_backward(grad_out, *out)
        rest = (*ctx.geometry, *ctx.window)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:_OPERANDS]
        if needs_x:
            rest_x = (ctx.input_size, *rest, ctx.formats[0])
            grads[0] = _backward_input(grad_out, offsets, weight, *rest_x)
        if needs_weight:
            rest_weight = (ctx.kernel_size, *rest, ctx.formats[1])
            grads[1] = _backward_weight(grad_out, offsets, x, *rest_weight)
        if needs_bias:
            grads[2] = _backward_bias(grad_out, offsets)
        return tuple(grads)

    @staticmethod
    def jvp(
        ctx: Any, x_t: Tensor | None, weight_t: Tensor | None, bias_t: Tensor | None, *_: None
    ) -> tuple[Tensor | None, None]:
        """The convolution's tangent at the maxima, times the activation's derivative there."""
        x, weight, offsets, *out = saved_primals(ctx)
        tangent = product_rule(_conv2d, x, weight, x_t, weight_t, None, *ctx.geometry)
        shift = None if bias_t is None else bias_t[:, None, None].expand(offsets.shape)
        gathered = total(
            None if tangent is None else _gather(tangent, offsets, *ctx.window),
            None if shift is None else zero_without_offset(shift, offsets),
        )
        if gathered is not None and ctx.is_sigmoid:
            gathered = _sigmoid_backward(gathered, *out)
        return gathered, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor | None,
        *rest: Any,
    ) -> tuple[tuple[Tensor, Tensor], tuple[Any, Any]]:  # fmt: skip
        """A bias that differs makes the weight differ, whose output channels it follows."""
        x_dim, weight_dim, bias_dim = in_dims[:_OPERANDS]
        *steps, groups = rest[: _GEOMETRY - _OPERANDS]
        others = rest[_GEOMETRY - _OPERANDS :]
        size = info.batch_size
        if bias_dim is not None and weight_dim is None:
            weight, weight_dim = in_front(weight, None, size), 0
        if bias is not None and weight_dim is not None:
            bias = fold(bias, bias_dim, 0, size, groups if x_dim is None else 1)

        def call(x: Tensor, weight: Tensor, groups: int) -> tuple[Tensor, Tensor]:
            return _with_offsets(x, weight, bias, *steps, groups, *others)

        given = {"x": (x, x_dim), "weight": (weight, weight_dim)}
        return vmap_convolution(call, info, "out", groups, **given)


register("conv2d_act_pool", lambda *args: _with_offsets(*args)[0], autocast=True)


@overridable
def conv2d_act_pool(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    activation: Literal["relu", "sigmoid"] | None = "relu",
    pool: int | Sequence[int] | PoolWindow = 2,
) -> Tensor:
    r"""Convolves, activates and takes the maximum of each window, in one pass over the images.

    .. math::
        \text{out} = \text{max\_pool2d}(\text{activation}(\text{conv2d}(x, W, b)))

    What the convolution gives, and in backward the gradient of that, exists for a portion at a time
    that fits the caches. Kept for backward are ``x`` and ``weight``, one byte for each element of
    the result (the place of the maximum in its window; four bytes for windows of more than 255
    elements), and for sigmoid the result.

    Gradients are those of the three operators one after the other, up to the rounding of sums. The
    maximum is taken before the activation, which is monotone: where sigmoid rounds several elements
    of a window to the same largest value, the gradient goes to the largest of them, not to the
    first. A window that dilation puts wholly into the padding gives activation(-inf).

    Args:
        x: ``Tensor[batch, in_channels, height, width]``, or without batch; float32, float64,
            bfloat16 or float16, any strides.
        weight: ``Tensor[out_channels, in_channels / groups, kernel_h, kernel_w]``.
        bias: ``Tensor[out_channels]`` or None.
        stride: Step of the convolution, one integer or (height, width).
        padding: Zeros around the image, in the forms that :func:`torchconv.conv2d` takes.
        dilation: Distance between the elements of the kernel, one integer or (height, width).
        groups: Number of groups into which channels are divided.
        activation: ``'relu'``, ``'sigmoid'`` or None.
        pool: The window: one integer or (height, width), which is its stride, too, or a
            :class:`torchconv.PoolWindow`.

    Returns:
        ``Tensor[batch, out_channels, out_h, out_w]``, channels last if ``x`` or ``weight`` is, with
        the sizes that :func:`torchconv.max_pool2d` makes of those of :func:`torchconv.conv2d`.

    Raises:
        RuntimeError: If shapes, dtypes, devices or sizes do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> x, weight = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
        >>> torchconv.conv2d_act_pool(x, weight, padding=1, activation="sigmoid").shape
        torch.Size([1, 4, 4, 4])
    """
    op = "conv2d_act_pool"
    check_tensors(op, x=x, weight=weight)
    if bias is not None:
        check_tensors(op, bias=bias)
    if not isinstance(activation, str | None):
        raise TypeError(
            f"{op}: expected activation to be 'relu', 'sigmoid' or None, but got {activation!r}"
        )
    x, unbatched = with_batch(op, x, "in_channels")
    strides, dilations = pair(op, "stride", stride), pair(op, "dilation", dilation)
    amounts = conv_padding(op, padding, x.shape, weight.shape, strides, dilations)
    groups = integer(op, "groups", groups)
    if unbatched:
        check_unbatched_channels(op, x, weight, groups)
    out = _conv2d_act_pool(
        x,
        weight,
        bias,
        strides,
        amounts,
        dilations,
        groups,
        activation,
        *window_arguments(op, pool),
    )
    return out.squeeze(0) if unbatched else out
