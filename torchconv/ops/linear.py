"""Fully connected layer: out = x · weightᵀ + bias."""

from typing import Any

from torch import Tensor

from torchconv.ops._arguments import check_tensors, overridable
from torchconv.ops._derivatives import product_rule, save, saved, saved_primals, total
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import fold, leading, unfold
from torchconv.ops.matmul import as_rows, matrix_product

_linear = operator("linear")
_linear_backward_bias = operator("linear_backward_bias")


@differentiates("linear", autocast=True)
class LinearFunction(OperatorFunction):
    """Differentiates linear: with G the gradient of the output, G · weight, Gᵀ · x and Σ G."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.set_materialize_grads(False)
        ctx.x_shape, ctx.out_shape = x.shape, output.shape
        needs_x, needs_weight, _ = ctx.needs_input_grad
        save(ctx, x if needs_weight else None, weight if needs_x else None)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_out is None:
            return None, None, None
        x, weight = saved(ctx)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_x = matrix_product(as_rows(grad_out), weight).reshape(ctx.x_shape)
        if needs_weight:
            grad_weight = matrix_product(as_rows(grad_out).mT, as_rows(x))
        if needs_bias:
            grad_bias = _linear_backward_bias(grad_out)
        return grad_x, grad_weight, grad_bias

    @staticmethod
    def jvp(
        ctx: Any, x_t: Tensor | None, weight_t: Tensor | None, bias_t: Tensor | None
    ) -> Tensor | None:
        return total(
            product_rule(_linear, *saved_primals(ctx), x_t, weight_t, None),
            None if bias_t is None else bias_t.expand(ctx.out_shape),
        )

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, int]:
        """Vmap's dimension becomes rows of x, output features, or the batch of a matrix product."""
        x_dim, weight_dim, bias_dim = in_dims
        size = info.batch_size
        x = x if x_dim is None else x.movedim(x_dim, 0)
        if weight_dim is None and bias_dim is None:
            return _linear(x, weight, bias), 0
        if x_dim is None and weight_dim is not None:
            weight = fold(weight, weight_dim, 0, size)
            bias = None if bias is None else fold(bias, bias_dim, 0, size)
            return unfold(_linear(x, weight, bias), x.dim() - 1, size)
        if weight_dim is None:
            out = _linear(x, weight, None)
        else:
            rows = x.unsqueeze(1) if x.dim() == 2 else x.flatten(1, -2)
            out = matrix_product(rows, weight.movedim(weight_dim, 0).mT)
            out = out.reshape(*x.shape[:-1], out.shape[-1])
        rank = x.dim() - (x_dim is not None)
        return (out if bias is None else out + leading(bias, bias_dim, size, rank)), 0


@differentiates("linear_backward_bias")
class LinearBackwardBiasFunction(OperatorFunction):
    """Differentiates grad_bias = Σ grad_out over all but the last dimension."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.set_materialize_grads(False)
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad_grad_bias: Tensor | None) -> Tensor | None:
        return None if grad_grad_bias is None else grad_grad_bias.expand(ctx.shape)

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor) -> Tensor:
        return _linear_backward_bias(grad_out_t)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], grad_out: Tensor) -> tuple[Tensor, int]:
        last = grad_out.dim() - 2
        folded = fold(grad_out, in_dims[0], last, info.batch_size)
        return unfold(_linear_backward_bias(folded), 0, info.batch_size)


@overridable
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
