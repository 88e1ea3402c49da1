"""Two-dimensional max-pooling and its gradient."""

from collections.abc import Sequence
from typing import Any, Literal, overload

from torch import Tensor

from torchconv.ops._arguments import check_tensors, overridable, with_batch
from torchconv.ops._derivatives import saved_primals
from torchconv.ops._operator import OperatorFunction, differentiates, operator, register
from torchconv.ops._vmap import fold, unfold
from torchconv.ops.pool_window import POOL_NAMES, PoolWindow, window_arguments

_max_pool2d = operator("max_pool2d")
_with_offsets = operator("max_pool2d_with_offsets")
_indices = operator("max_pool2d_indices")
_backward = operator("max_pool2d_backward")
_gather = operator("max_pool2d_gather")


@differentiates("max_pool2d_with_offsets")
class MaxPool2dFunction(OperatorFunction):
    """Differentiates max_pool2d from the offsets of the maxima in their windows.

    Returns (out, offsets). An offset is ``row * kernel_w + column`` in one byte (four for windows
    of more than 255 elements): with the output, all that backward keeps; neither x nor int64
    indices.
    """

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, *ctx.window = inputs
        _, offsets = output
        ctx.input_size = x.shape[2:]
        ctx.mark_non_differentiable(offsets)
        ctx.set_materialize_grads(False)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(offsets)
        ctx.save_for_forward(offsets)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if grad_out is None:
            return (None,) * 6
        (offsets,) = ctx.saved_tensors
        grad_x = _backward(grad_out, offsets, ctx.input_size, *ctx.window)
        return grad_x, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor, *_: None) -> tuple[Tensor, None]:
        (offsets,) = saved_primals(ctx)
        return _gather(x_t, offsets, *ctx.window), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, *window: Any
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        size = info.batch_size
        out, offsets = _with_offsets(fold(x, in_dims[0], 0, size), *window)
        return (unfold(out, 0, size)[0], unfold(offsets, 0, size)[0]), (0, 0)


@differentiates("max_pool2d_backward")
class MaxPool2dBackwardFunction(OperatorFunction):
    """Differentiates the scatter grad_x[place of the maximum] += grad_out: the gather below."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, offsets, *ctx.rest = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(offsets)
        ctx.save_for_forward(offsets)

    @staticmethod
    def backward(ctx: Any, grad_grad_x: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_grad_x is None:
            return (None,) * 8
        (offsets,) = ctx.saved_tensors
        _, *window = ctx.rest
        return _gather(grad_grad_x, offsets, *window), *(None,) * 7

    @staticmethod
    def jvp(ctx: Any, grad_out_t: Tensor, *_: None) -> Tensor:
        (offsets,) = saved_primals(ctx)
        return _backward(grad_out_t, offsets, *ctx.rest)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad_out: Tensor, offsets: Tensor, *rest: Any
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        grad_out, offsets = fold(grad_out, in_dims[0], 0, size), fold(offsets, in_dims[1], 0, size)
        return unfold(_backward(grad_out, offsets, *rest), 0, size)


@differentiates("max_pool2d_gather")
class MaxPool2dGatherFunction(OperatorFunction):
    """Differentiates the gather out = x[place of the maximum]: the scatter above."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, offsets, *ctx.window = inputs
        ctx.set_materialize_grads(False)
        ctx.input_size = x.shape[2:]
        ctx.save_for_backward(offsets)
        ctx.save_for_forward(offsets)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_out is None:
            return (None,) * 7
        (offsets,) = ctx.saved_tensors
        return _backward(grad_out, offsets, ctx.input_size, *ctx.window), *(None,) * 6

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor, *_: None) -> Tensor:
        (offsets,) = saved_primals(ctx)
        return _gather(x_t, offsets, *ctx.window)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, offsets: Tensor, *window: Any
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        x, offsets = fold(x, in_dims[0], 0, size), fold(offsets, in_dims[1], 0, size)
        return unfold(_gather(x, offsets, *window), 0, size)


@differentiates("max_pool2d_indices")
class MaxPool2dIndicesFunction(OperatorFunction):
    """Whole numbers have no derivative, but they have a vmap rule."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, _: Any) -> tuple[None, ...]:
        return (None,) * 7

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        return None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], offsets: Tensor, *rest: Any
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        return unfold(_indices(fold(offsets, in_dims[0], 0, size), *rest), 0, size)


register("max_pool2d", lambda *args: _with_offsets(*args)[0])


@overload
def max_pool2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = ...,
    padding: int | Sequence[int] = ...,
    dilation: int | Sequence[int] = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Tensor: ...
@overload
def max_pool2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = ...,
    padding: int | Sequence[int] = ...,
    dilation: int | Sequence[int] = ...,
    ceil_mode: bool = ...,
    return_indices: bool = ...,
) -> Tensor | tuple[Tensor, Tensor]: ...
@overridable
def max_pool2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Takes the maximum of each window.

    .. math::
        \text{out}_{n,c,p,q} = \max_{r,s} x_{n,\; c,\;
        p \cdot \text{stride} + r \cdot \text{dilation} - \text{padding},\;
        q \cdot \text{stride} + s \cdot \text{dilation} - \text{padding}}

    over the elements inside the image. The first of equal maxima counts, and NaN (the last one) as
    larger than any number. A window that dilation puts wholly into the padding gives -inf and index
    -1.

    Args:
        x: ``Tensor[batch, channels, height, width]``, or without batch; float32, float64,
            bfloat16, float16, integers or booleans, any strides.
        kernel_size: Size of the window, one integer or (height, width).
        stride: Step of the window; ``kernel_size`` if None.
        padding: Padding on both sides, at most half of the dilated window.
        dilation: Distance between the elements of the window.
        ceil_mode: Whether the last window may hang over the end (it must start inside).
        return_indices: Whether to return the places of the maxima as well.

    Returns:
        ``Tensor[batch, channels, out_h, out_w]`` in the memory format of ``x``, and with
        ``return_indices`` an int64 tensor of the same shape: the places of the maxima, counted over
        the flat, unpadded plane, as ``torch.nn.MaxUnpool2d`` takes them. out_h is floor (or ceil)
        of ((height + 2 · padding - dilation · (kernel_h - 1) - 1) / stride) + 1.

    Raises:
        RuntimeError: If shapes, dtypes or sizes do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> torchconv.max_pool2d(torch.arange(16.0).reshape(1, 1, 4, 4), 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """
    check_tensors("max_pool2d", x=x)
    x, unbatched = with_batch("max_pool2d", x, "channels")
    given = PoolWindow(kernel_size, stride, padding, dilation, ceil_mode)
    window = window_arguments("max_pool2d", given, POOL_NAMES)
    if not return_indices:
        out = _max_pool2d(x, *window)
        return out.squeeze(0) if unbatched else out
    out, offsets = _with_offsets(x, *window)
    indices = _indices(offsets, x.shape[2:], *window)
    return (out.squeeze(0), indices.squeeze(0)) if unbatched else (out, indices)
