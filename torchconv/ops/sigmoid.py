"""Sigmoid: out = 1 / (1 + exp(-x))."""

from typing import Any

from torch import Tensor
from torch.autograd import Function

from torchconv.ops._arguments import check_tensors
from torchconv.ops._operator import kernel, operator


class SigmoidFunction(Function):
    """Differentiates sigmoid from its output: d out / d x = out · (1 - out)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _sigmoid_kernel(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        return _sigmoid_backward(grad_out, out)


class SigmoidBackwardFunction(Function):
    """Differentiates grad_x = grad_out · out · (1 - out)."""

    @staticmethod
    def forward(grad_out: Tensor, out: Tensor) -> Tensor:
        return _sigmoid_backward_kernel(grad_out, out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad_out, out = inputs
        ctx.save_for_backward(grad_out if ctx.needs_input_grad[1] else None, out)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        grad_out, out = ctx.saved_tensors
        grad_grad_out = grad_of_out = None
        if ctx.needs_input_grad[0]:
            grad_grad_out = _sigmoid_backward(grad_grad_x, out)
        if ctx.needs_input_grad[1]:
            grad_of_out = grad_grad_x * grad_out * (1 - 2 * out)
        return grad_grad_out, grad_of_out


_sigmoid_kernel = kernel("sigmoid")
_sigmoid_backward_kernel = kernel("sigmoid_backward")
_sigmoid = operator("sigmoid", SigmoidFunction.apply)
_sigmoid_backward = operator("sigmoid_backward", SigmoidBackwardFunction.apply)


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
