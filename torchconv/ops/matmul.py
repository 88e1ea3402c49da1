"""Matrix product: out[..., i, j] = Σ_k a[..., i, k] · b[..., k, j]."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchconv._torch import is_known_true
from torchconv.ops._arguments import check_tensors, overridable
from torchconv.ops._derivatives import product_rule, save, saved, saved_primals
from torchconv.ops._operator import OperatorFunction, differentiates, operator
from torchconv.ops._vmap import leading

matrix_product = operator("matmul")


def as_rows(x: Tensor) -> Tensor:
    """``Tensor[*, columns]`` as ``Tensor[rows, columns]``."""
    return x if x.dim() == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def product_summed_to(shape: Sequence[int], a: Tensor, b: Tensor) -> Tensor:
    """``a · b``, summed over the leading dimensions that ``shape`` does not have or has as 1.

    These join the dimension that the product sums over, so that nothing is rounded in between.
    """
    if a.dim() == b.dim() == len(shape) == 2:
        return matrix_product(a, b)
    rank = max(a.dim(), b.dim())
    a, b = (x.reshape(*[1] * (rank - x.dim()), *x.shape) for x in (a, b))
    target = [1] * (rank - len(shape)) + list(shape)
    summed = [
        dim
        for dim in range(rank - 2)
        if is_known_true(target[dim] == 1)
        and not (is_known_true(a.shape[dim] == 1) and is_known_true(b.shape[dim] == 1))
    ]
    if summed:
        kept = [dim for dim in range(rank - 2) if dim not in summed]
        depth = math.prod(a.shape[dim] for dim in (*summed, rank - 1))
        a = a.permute(*kept, rank - 2, *summed, rank - 1)
        b = b.permute(*kept, *summed, rank - 2, rank - 1)
        a = a.reshape(*a.shape[: len(kept) + 1], depth)
        b = b.reshape(*b.shape[: len(kept)], depth, b.shape[-1])
    return matrix_product(a, b).reshape(shape)


@differentiates("matmul", autocast=True)
class MatMulFunction(OperatorFunction):
    """Differentiates the product of two tensors of at least two dimensions.

    With G the gradient of the output, the gradients are G · bᵀ and aᵀ · G, summed over the
    dimensions that were broadcast. Being products themselves, they can be differentiated again.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        a, b = inputs
        ctx.set_materialize_grads(False)
        ctx.a_shape, ctx.b_shape = a.shape, b.shape
        needs_a, needs_b = ctx.needs_input_grad
        save(ctx, a if needs_b else None, b if needs_a else None)
        ctx.save_for_forward(a, b)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if grad_out is None:
            return None, None
        a, b = saved(ctx)
        grad_a = grad_b = None
        if ctx.needs_input_grad[0]:
            grad_a = product_summed_to(ctx.a_shape, grad_out, b.mT)
        if ctx.needs_input_grad[1]:
            grad_b = product_summed_to(ctx.b_shape, a.mT, grad_out)
        return grad_a, grad_b

    @staticmethod
    def jvp(ctx: Any, a_t: Tensor | None, b_t: Tensor | None) -> Tensor | None:
        return product_rule(matrix_product, *saved_primals(ctx), a_t, b_t)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], a: Tensor, b: Tensor) -> tuple[Tensor, int]:
        """Vmap's dimension is one more to broadcast; it must be the first one of the result."""
        a_dim, b_dim = in_dims
        rank = max(a.dim() - (a_dim is not None), b.dim() - (b_dim is not None))
        a, b = leading(a, a_dim, info.batch_size, rank), leading(b, b_dim, info.batch_size, rank)
        return matrix_product(a, b), 0


@overridable
def matmul(a: Tensor, b: Tensor) -> Tensor:
    r"""Multiplies two tensors as torch.matmul does.

    .. math:: \text{out}_{\dots ij} = \sum_k a_{\dots ik} \, b_{\dots kj}

    A one-dimensional ``a`` counts as a row and a one-dimensional ``b`` as a column; that dimension
    is absent from the result. Leading dimensions broadcast. Transposed and sliced operands are read
    where they are, without a copy. 16-bit types are summed in float32 and rounded once.

    Args:
        a: ``Tensor[*, n, k]`` or ``Tensor[k]``; float32, float64, bfloat16 or float16.
        b: ``Tensor[*, k, m]`` or ``Tensor[k]``, of the same dtype and device.

    Returns:
        ``Tensor[*, n, m]``, contiguous.

    Raises:
        RuntimeError: If shapes, dtypes or devices do not fit together.

    Example:
        >>> torchconv.matmul(torch.ones(2, 3), torch.ones(3, 4)).shape
        torch.Size([2, 4])
    """
    check_tensors("matmul", a=a, b=b)
    if a.dim() == 0 or b.dim() == 0:
        name, rank = ("a", a.dim()) if a.dim() == 0 else ("b", b.dim())
        raise RuntimeError(f"matmul: expected {name} to have at least 1 dimension, but got {rank}")
    out = matrix_product(
        a.unsqueeze(0) if a.dim() == 1 else a, b.unsqueeze(1) if b.dim() == 1 else b
    )
    out = out.squeeze(-1) if b.dim() == 1 else out
    return out.squeeze(-1 if b.dim() == 1 else -2) if a.dim() == 1 else out
