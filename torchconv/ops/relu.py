"""Rectified linear unit: out = max(x, 0)."""

from typing import Any

from torch import Tensor
from torch.autograd import Function

from torchconv.ops._arguments import check_tensors
from torchconv.ops._operator import kernel, operator


class ReLUFunction(Function):
    """Differentiates relu from its output: d out / d x is 0 where out <= 0, else 1 (NaN too)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _relu_kernel(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        return _relu_backward(grad_out, out)


class ReLUBackwardFunction(Function):
    """Differentiates grad_x = grad_out · [out > 0], which is flat in out."""

    @staticmethod
    def forward(grad_out: Tensor, out: Tensor) -> Tensor:
        return _relu_backward_kernel(grad_out, out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor) -> tuple[Tensor | None, None]:
        (out,) = ctx.saved_tensors
        return (_relu_backward(grad_grad_x, out) if ctx.needs_input_grad[0] else None), None


_relu_kernel = kernel("relu")
_relu_backward_kernel = kernel("relu_backward")
_relu = operator("relu", ReLUFunction.apply)
_relu_backward = operator("relu_backward", ReLUBackwardFunction.apply)


def relu(x: Tensor) -> Tensor:
    r"""Replaces negative elements by zero.

    .. math:: \text{out}_i = \max(x_i, 0)

    The gradient at 0 is 0, as in torch. NaN stays NaN. Backward needs only the output.

    Args:
        x: ``Tensor[*]`` of any shape and strides; float32, float64, bfloat16, float16 or integers.

    Returns:
        ``Tensor[*]`` with the shape, dtype and memory layout of ``x``.

    Raises:
        RuntimeError: If ``x`` is boolean, complex, sparse, quantized or on a device without
            kernels.

    Example:
        >>> torchconv.relu(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 2.])
    """
    check_tensors("relu", x=x)
    return _relu(x)
