"""Fully connected layer: out = x · weightᵀ + bias."""

from typing import Any

from torch import Tensor
from torch.autograd import Function

from torchconv.ops._arguments import check_tensors
from torchconv.ops._operator import kernel, operator
from torchconv.ops.matmul import as_rows, matrix_product


class LinearFunction(Function):
    """Differentiates linear: with G the gradient of the output, G · weight, Gᵀ · x and Σ G."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _linear_kernel(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.x_shape = x.shape
        needs_x, needs_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if needs_weight else None, weight if needs_x else None)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_x = matrix_product(as_rows(grad_out), weight).reshape(ctx.x_shape)
        if needs_weight:
            grad_weight = matrix_product(as_rows(grad_out).mT, as_rows(x))
        if needs_bias:
            grad_bias = _linear_backward_bias(grad_out)
        return grad_x, grad_weight, grad_bias


class LinearBackwardBiasFunction(Function):
    """Differentiates grad_bias = Σ grad_out over all but the last dimension."""

    @staticmethod
    def forward(grad_out: Tensor) -> Tensor:
        return _linear_backward_bias_kernel(grad_out)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad_grad_bias: Tensor) -> Tensor:
        return grad_grad_bias.expand(ctx.shape)


_linear_kernel = kernel("linear")
_linear_backward_bias_kernel = kernel("linear_backward_bias")
_linear = operator("linear", LinearFunction.apply)
_linear_backward_bias = operator("linear_backward_bias", LinearBackwardBiasFunction.apply)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""Applies an affine map to the last dimension.

    .. math:: \text{out} = x W^\top + b

    Args:
        x: ``Tensor[*, in_features]``; float32, float64, bfloat16 or float16.
        weight: ``Tensor[out_features, in_features]``, of the same dtype and device.
        bias: ``Tensor[out_features]`` or None.

    Returns:
        ``Tensor[*, out_features]``, contiguous.

    Raises:
        RuntimeError: If shapes, dtypes or devices do not fit together.

    Example:
        >>> torchconv.linear(torch.ones(2, 3), torch.ones(4, 3), torch.zeros(4)).shape
        torch.Size([2, 4])
    """
    check_tensors("linear", x=x, weight=weight)
    if bias is not None:
        check_tensors("linear", bias=bias)
    return _linear(x, weight, bias)
