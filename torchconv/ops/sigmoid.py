"""Sigmoid: out = 1 / (1 + exp(-x))."""

from typing import Any

from torch import Tensor

from torchconv.ops._arguments import check_tensors, overridable
from torchconv.ops._derivatives import save, saved, saved_primals, total
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import same_place

_sigmoid = operator("sigmoid")
_sigmoid_backward = operator("sigmoid_backward")


@differentiates("sigmoid")
class SigmoidFunction(OperatorFunction):
    """Differentiates sigmoid from its output: d out / d x = out · (1 - out)."""

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
        return _sigmoid_backward(grad_out, out)

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor) -> Tensor:
        (out,) = saved_primals(ctx)
        return _sigmoid_backward(x_t, out)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor) -> tuple[Tensor, int]:
        return _sigmoid(x), in_dims[0]


@differentiates("sigmoid_backward")
class SigmoidBackwardFunction(OperatorFunction):
    """Differentiates grad_x = grad_out · out · (1 - out)."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, out = inputs
        ctx.set_materialize_grads(False)
        save(ctx, grad_out if ctx.needs_input_grad[1] else None, out)
        ctx.save_for_forward(grad_out, out)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if grad_grad_x is None:
            return None, None
        grad_out, out = saved(ctx)
        grad_grad_out = grad_of_out = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _sigmoid_backward(grad_grad_x, out)
        if ctx.needs_input_grad[1]:
            grad_of_out = grad_grad_x * grad_out * (1 - 2 * out)
        return grad_grad_out, grad_of_out

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor | None, out_t: Tensor | None) -> Tensor | None:
        grad_out, out = saved_primals(ctx)
        return total(
            None if grad_out_t is None else _sigmoid_backward(grad_out_t, out),
            None if out_t is None else out_t * grad_out * (1 - 2 * out),
        )

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, out: Tensor
    ) -> tuple[Tensor, int]:
        return _sigmoid_backward(*same_place(info, in_dims, grad_out, out)), 0


@overridable
def sigmoid(x: Tensor) -> Tensor:
    r"""Applies the logistic function to each element.

    .. math:: \text{out}_i = \frac{1}{1 + e^{-x_i}}

    The result is within 2 units in the last place for float32 and float64, from -inf to inf and
    down to the last subnormal. Backward needs only the output.

    Args:
        x: ``Tensor[*]`` of any shape and strides; float32, float64, bfloat16, float16, or integers
            and booleans, which count as the default dtype.

    Returns:
        ``Tensor[*]`` with the shape and memory layout of ``x``.

    Raises:
        RuntimeError: If ``x`` is complex, sparse, quantized or on a device without kernels.

    Example:
        >>> torchconv.sigmoid(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.2689, 0.5000, 0.7311])
    """
    check_tensors("sigmoid", x=x)
    return _sigmoid(x)
