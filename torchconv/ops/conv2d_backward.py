"""The gradients of conv2d, and theirs: with conv2d they are closed under differentiation.

The gradients of x and weight take the memory format of their result, which
:func:`gradient_formats` computes.
"""

from typing import Any

from torch import Tensor

from torchconv._torch import is_channels_last, is_known_true
from torchconv.ops._conv2d_vmap import vmap_convolution
from torchconv.ops._derivatives import product_rule, save, saved, saved_primals
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import fold, unfold

_conv2d = operator("conv2d")
_backward_input = operator("conv2d_backward_input")
_backward_weight = operator("conv2d_backward_weight")
_backward_bias = operator("conv2d_backward_bias")


def gradient_formats(x: Tensor, weight: Tensor) -> tuple[bool, bool]:
    """Whether the gradients of x and of weight are channels_last.

    Both are if x or weight is, as in torch for float32 on a CPU. The gradient of a 1 x 1 weight has
    the weight's own format: its strides must match the parameter's, or DistributedDataParallel
    copies it.
    """
    own = is_channels_last(weight)
    common = own or is_channels_last(x)
    height, width = weight.shape[2:]
    return common, own if is_known_true(height == 1) and is_known_true(width == 1) else common


@differentiates("conv2d_backward_input")
class Conv2dBackwardInputFunction(OperatorFunction):
    """Differentiates grad_x = conv2d_backward_input(grad_out, weight, input_size, …)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, weight, *ctx.rest = inputs
        ctx.set_materialize_grads(False)
        ctx.kernel_size = weight.shape[2:]
        ctx.weight_format = gradient_formats(output, weight)[1]
        needs_grad_out, needs_weight = ctx.needs_input_grad[:2]
        save(ctx, grad_out if needs_weight else None, weight if needs_grad_out else None)
        ctx.save_for_forward(grad_out, weight)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_grad_x is None:
            return (None,) * 8
        grad_out, weight = saved(ctx)
        _, *geometry, _ = ctx.rest
        grad_grad_out = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _conv2d(grad_grad_x, weight, None, *geometry)
        if ctx.needs_input_grad[1]:
            rest = (ctx.kernel_size, *geometry, ctx.weight_format)
            grad_weight = _backward_weight(grad_out, grad_grad_x, *rest)
        return grad_grad_out, grad_weight, *(None,) * 6

    @staticmethod
    def jvp(
        ctx: Any, grad_out_t: Tensor | None, weight_t: Tensor | None, *_: None
    ) -> Tensor | None:
        return product_rule(_backward_input, *saved_primals(ctx), grad_out_t, weight_t, *ctx.rest)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, weight: Tensor, *rest: Any
    ) -> tuple[Tensor, int | None]:
        *others, groups, channels_last = rest
        given = {"out": (grad_out, in_dims[0]), "weight": (weight, in_dims[1])}
        return vmap_convolution(
            lambda grad_out, weight, groups: _backward_input(
                grad_out, weight, *others, groups, channels_last
            ),
            info, "x", groups, **given,
        )  # fmt: skip


@differentiates("conv2d_backward_weight")
class Conv2dBackwardWeightFunction(OperatorFunction):
    """Differentiates grad_weight = conv2d_backward_weight(grad_out, x, kernel_size, …)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, x, *ctx.rest = inputs
        ctx.set_materialize_grads(False)
        ctx.input_size = x.shape[2:]
        ctx.x_format = gradient_formats(x, output)[0]
        needs_grad_out, needs_x = ctx.needs_input_grad[:2]
        save(ctx, grad_out if needs_x else None, x if needs_grad_out else None)
        ctx.save_for_forward(grad_out, x)

    @staticmethod
    def backward(ctx: Any, grad_grad_weight: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_grad_weight is None:
            return (None,) * 8
        grad_out, x = saved(ctx)
        _, *geometry, _ = ctx.rest
        grad_grad_out = grad_x = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _conv2d(x, grad_grad_weight, None, *geometry)
        if ctx.needs_input_grad[1]:
            rest = (ctx.input_size, *geometry, ctx.x_format)
            grad_x = _backward_input(grad_out, grad_grad_weight, *rest)
        return grad_grad_out, grad_x, *(None,) * 6

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor | None, x_t: Tensor | None, *_: None) -> Tensor | None:
        return product_rule(_backward_weight, *saved_primals(ctx), grad_out_t, x_t, *ctx.rest)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, x: Tensor, *rest: Any
    ) -> tuple[Tensor, int | None]:
        *others, groups, channels_last = rest
        given = {"out": (grad_out, in_dims[0]), "x": (x, in_dims[1])}
        return vmap_convolution(
            lambda grad_out, x, groups: _backward_weight(
                grad_out, x, *others, groups, channels_last
            ),
            info, "weight", groups, **given,
        )  # fmt: skip


@differentiates("conv2d_backward_bias")
class Conv2dBackwardBiasFunction(OperatorFunction):
    """Differentiates grad_bias = Σ grad_out over batch, height and width, where offsets point."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, offsets = inputs
        ctx.set_materialize_grads(False)
        ctx.shape = grad_out.shape
        save(ctx, offsets)
        ctx.save_for_forward(offsets)

    @staticmethod
    def backward(ctx: Any, grad_grad_bias: Tensor | None) -> tuple[Tensor | None, None]:
        if grad_grad_bias is None:
            return None, None
        (offsets,) = saved(ctx)
        spread = grad_grad_bias[:, None, None].expand(ctx.shape)
        return spread if offsets is None else zero_without_offset(spread, offsets), None

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor, _: None) -> Tensor:
        return _backward_bias(grad_out_t, *saved_primals(ctx))

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, offsets: Tensor | None
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        grad_out = fold(grad_out, in_dims[0], 1, size)
        if offsets is not None:
            offsets = fold(offsets, in_dims[1], 1, size)
        return unfold(_backward_bias(grad_out, offsets), 0, size)


def zero_without_offset(x: Tensor, offsets: Tensor) -> Tensor:
    """Zero where an offset points nowhere."""
    return x.masked_fill(offsets == (255 if offsets.element_size() == 1 else -1), 0)
