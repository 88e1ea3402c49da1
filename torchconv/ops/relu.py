"""Rectified linear unit: out = max(x, 0)."""

from typing import Any

import torch
from torch import Tensor

from torchconv.ops._arguments import check_tensors, overridable
from torchconv.ops._derivatives import saved_primals
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import same_place

_relu = operator("relu")
_relu_backward = operator("relu_backward")


@differentiates("relu")
class ReLUFunction(OperatorFunction):
    """Differentiates relu from its output: d out / d x is 0 where out <= 0, else 1 (NaN too)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.set_materialize_grads(False)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None) -> Tensor | None:
        if grad_out is None:
            return None
        (out,) = ctx.saved_tensors
        return _relu_backward(grad_out, out)

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor) -> Tensor:
        (out,) = saved_primals(ctx)
        return _relu_backward(x_t, out)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor) -> tuple[Tensor, int]:
        return _relu(x), in_dims[0]


@differentiates("relu_backward")
class ReLUBackwardFunction(OperatorFunction):
    """Differentiates grad_x = grad_out · [out > 0], which is flat in out."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, out = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(out)
        ctx.save_for_forward(out)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, None]:
        if grad_grad_x is None or not ctx.needs_input_grad[0]:
            return None, None
        (out,) = ctx.saved_tensors
        return _relu_backward(grad_grad_x, out), None

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor | None, _: Any) -> Tensor:
        (out,) = saved_primals(ctx)
        return torch.zeros_like(out) if grad_out_t is None else _relu_backward(grad_out_t, out)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, out: Tensor
    ) -> tuple[Tensor, int]:
        return _relu_backward(*same_place(info, in_dims, grad_out, out)), 0


@overridable
def relu(x: Tensor, inplace: bool = False) -> Tensor:
    r"""Replaces negative elements by zero.

    .. math:: \text{out}_i = \max(x_i, 0)

    The gradient at 0 is 0, as in torch. NaN stays NaN. Backward needs only the output.

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
