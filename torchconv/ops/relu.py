"""Rectified linear unit: out = max(x, 0)."""

from math import prod
from typing import Any

from torch import Tensor

from torchconv.ops._arguments import check_tensors, overridable
from torchconv.ops._derivatives import saved_primals
from torchconv.ops._operator import OperatorFunction, differentiates, operator, register
from torchconv.ops._vmap import in_front

_relu = operator("relu")
_with_mask = operator("relu_with_mask")
_relu_backward = operator("relu_backward")


@differentiates("relu_with_mask")
class ReLUFunction(OperatorFunction):
    """Differentiates relu from a bit for each element: d out / d x is 0 where x <= 0, else 1.

    Returns (out, mask). NaN passes its gradient on. The bits are in the order of memory, so that
    backward has to know the strides of out alone, and vmap's items have rows of their own.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        out, mask = output
        ctx.strides = out.stride()
        ctx.mark_non_differentiable(mask)
        ctx.set_materialize_grads(False)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(mask)
        ctx.save_for_forward(mask)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None, _: None) -> tuple[Tensor | None, None]:
        if grad_out is None:
            return None, None
        (mask,) = ctx.saved_tensors
        return _relu_backward(grad_out, mask, ctx.strides), None

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor, _: None) -> tuple[Tensor, None]:
        (mask,) = saved_primals(ctx)
        return _relu_backward(x_t, mask, ctx.strides), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, rows: int
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """Items lie one after the other, so that each has its rows of the mask."""
        size = info.batch_size
        x = x.movedim(in_dims[0], 0)
        if x.dim() != 4 or not x.movedim(1, -1).is_contiguous():  # channels last may stay so
            x = x.contiguous()
        out, mask = _with_mask(x, size * rows)
        return (out, mask.unflatten(0, (size, rows))), (0, 0)


@differentiates("relu_backward")
class ReLUBackwardFunction(OperatorFunction):
    """Differentiates grad_x = grad_out · mask."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, mask, ctx.strides = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(mask)
        ctx.save_for_forward(mask)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, None, None]:
        if grad_grad_x is None:
            return None, None, None
        (mask,) = ctx.saved_tensors
        return _relu_backward(grad_grad_x, mask, ctx.strides), None, None

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor, _: None, __: None) -> Tensor:
        (mask,) = saved_primals(ctx)
        return _relu_backward(grad_out_t, mask, ctx.strides)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, mask: Tensor, strides: list[int]
    ) -> tuple[Tensor, int]:
        grad_out = in_front(grad_out, in_dims[0], info.batch_size)
        mask = in_front(mask, in_dims[1], info.batch_size).flatten(0, 1)
        return _relu_backward(grad_out, mask, [prod(grad_out.shape[1:]), *strides]), 0


register("relu", lambda x: _with_mask(x, 1)[0])


@overridable
def relu(x: Tensor, inplace: bool = False) -> Tensor:
    r"""Replaces negative elements by zero.

    .. math:: \text{out}_i = \max(x_i, 0)

    The gradient at 0 is 0, as in torch. NaN stays NaN. Backward needs a bit for each element, and
    neither ``x`` nor the result.

    Args:
        x: ``Tensor[*]`` of any shape and strides; float32, float64, bfloat16, float16 or integers.
        inplace: Whether to overwrite ``x`` with the result.

    Returns:
        ``Tensor[*]`` with the shape, dtype and memory layout of ``x``, or ``x`` itself.

    Raises:
        RuntimeError: If ``x`` is boolean, complex, sparse, quantized or on a device without
            kernels.

    Example:
        >>> torchconv.relu(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 2.])
    """
    check_tensors("relu", x=x)
    out = _relu(x)
    return x.copy_(out) if inplace else out
