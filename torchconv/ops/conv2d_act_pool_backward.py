"""The gradients of conv2d_act_pool's convolution, and theirs.

With S the scatter of a gradient to where the maxima were, they are those of conv2d for S(grad_out),
and linear in grad_out and in the other operand. S is the transpose of max_pool2d_gather.
"""

from typing import Any

from torch import Tensor

from torchconv.ops._conv2d_vmap import vmap_convolution
from torchconv.ops._derivatives import save, saved, saved_primals, total
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import in_front
from torchconv.ops.conv2d_backward import gradient_formats

_conv2d = operator("conv2d")
_gather = operator("max_pool2d_gather")
_backward_input = operator("conv2d_pool_backward_input")
_backward_weight = operator("conv2d_pool_backward_weight")

# Number of the convolution's arguments after the three tensors and a size. The pooling's and the
# memory format follow.
_GEOMETRY = 4


def _with_offsets(
    info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, offsets: Tensor
) -> tuple[tuple[Tensor, Tensor], int | None]:
    """Both with vmap's dimension in the same place, so that they can be folded alike."""
    if in_dims[0] is None and in_dims[1] is None:
        return (grad_out, offsets), None
    size = info.batch_size
    return (in_front(grad_out, in_dims[0], size), in_front(offsets, in_dims[1], size)), 0


@differentiates("conv2d_pool_backward_input")
class Conv2dPoolBackwardInputFunction(OperatorFunction):
    """Differentiates grad_x = conv2d_backward_input(S(grad_out), weight, input_size, …)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, offsets, weight, *ctx.rest = inputs
        ctx.set_materialize_grads(False)
        ctx.kernel_size = weight.shape[2:]
        ctx.weight_format = gradient_formats(output, weight)[1]
        save(
            ctx,
            grad_out if ctx.needs_input_grad[2] else None,
            offsets,
            weight if ctx.needs_input_grad[0] else None,
        )
        ctx.save_for_forward(grad_out, offsets, weight)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, ...]:
        grads: list[Tensor | None] = [None] * 14
        if grad_grad_x is None:
            return tuple(grads)
        grad_out, offsets, weight = saved(ctx)
        _, *rest, _ = ctx.rest
        geometry, window = rest[:_GEOMETRY], rest[_GEOMETRY:]
        if ctx.needs_input_grad[0]:
            grads[0] = _gather(_conv2d(grad_grad_x, weight, None, *geometry), offsets, *window)
        if ctx.needs_input_grad[2]:
            grads[2] = _backward_weight(
                grad_out, offsets, grad_grad_x, ctx.kernel_size, *rest, ctx.weight_format
            )
        return tuple(grads)

    @staticmethod
    def jvp(
        ctx: Any, grad_out_t: Tensor | None, _: None, weight_t: Tensor | None, *__: None
    ) -> Tensor | None:
        grad_out, offsets, weight = saved_primals(ctx)
        return total(
            None if grad_out_t is None else _backward_input(grad_out_t, offsets, weight, *ctx.rest),
            None if weight_t is None else _backward_input(grad_out, offsets, weight_t, *ctx.rest),
        )

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        grad_out: Tensor,
        offsets: Tensor,
        weight: Tensor,
        *rest: Any,
    ) -> tuple[Tensor, int | None]:
        input_size, *steps, groups = rest[: 1 + _GEOMETRY]
        window = rest[1 + _GEOMETRY :]
        given = {
            "out": _with_offsets(info, in_dims, grad_out, offsets),
            "weight": (weight, in_dims[2]),
        }
        return vmap_convolution(
            lambda out, weight, groups: _backward_input(
                *out, weight, input_size, *steps, groups, *window
            ),
            info, "x", groups, **given,
        )  # fmt: skip


@differentiates("conv2d_pool_backward_weight")
class Conv2dPoolBackwardWeightFunction(OperatorFunction):
    """Differentiates grad_weight = conv2d_backward_weight(S(grad_out), x, kernel_size, …)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, offsets, x, *ctx.rest = inputs
        ctx.set_materialize_grads(False)
        ctx.input_size = x.shape[2:]
        ctx.x_format = gradient_formats(x, output)[0]
        save(
            ctx,
            grad_out if ctx.needs_input_grad[2] else None,
            offsets,
            x if ctx.needs_input_grad[0] else None,
        )
        ctx.save_for_forward(grad_out, offsets, x)

    @staticmethod
    def backward(ctx: Any, grad_grad_weight: Tensor | None) -> tuple[Tensor | None, ...]:
        grads: list[Tensor | None] = [None] * 14
        if grad_grad_weight is None:
            return tuple(grads)
        grad_out, offsets, x = saved(ctx)
        _, *rest, _ = ctx.rest
        geometry, window = rest[:_GEOMETRY], rest[_GEOMETRY:]
        if ctx.needs_input_grad[0]:
            grads[0] = _gather(_conv2d(x, grad_grad_weight, None, *geometry), offsets, *window)
        if ctx.needs_input_grad[2]:
            grads[2] = _backward_input(
                grad_out, offsets, grad_grad_weight, ctx.input_size, *rest, ctx.x_format
            )
        return tuple(grads)

    @staticmethod
    def jvp(
        ctx: Any, grad_out_t: Tensor | None, _: None, x_t: Tensor | None, *__: None
    ) -> Tensor | None:
        grad_out, offsets, x = saved_primals(ctx)
        return total(
            None if grad_out_t is None else _backward_weight(grad_out_t, offsets, x, *ctx.rest),
            None if x_t is None else _backward_weight(grad_out, offsets, x_t, *ctx.rest),
        )

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        grad_out: Tensor,
        offsets: Tensor,
        x: Tensor,
        *rest: Any,
    ) -> tuple[Tensor, int | None]:
        kernel_size, *steps, groups = rest[: 1 + _GEOMETRY]
        window = rest[1 + _GEOMETRY :]
        given = {"out": _with_offsets(info, in_dims, grad_out, offsets), "x": (x, in_dims[2])}
        return vmap_convolution(
            lambda out, x, groups: _backward_weight(
                *out, x, kernel_size, *steps, groups, *window
            ),
            info, "weight", groups, **given,
        )  # fmt: skip
