"""Convolution, activation and max-pooling in one call."""

from collections.abc import Sequence

from torch import Tensor

from torchconv.ops._arguments import overridable
from torchconv.ops.conv2d import conv2d
from torchconv.ops.max_pool2d import max_pool2d
from torchconv.ops.pool_window import PoolWindow, window_arguments
from torchconv.ops.relu import relu
from torchconv.ops.sigmoid import sigmoid

_ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, None: lambda x: x}


@overridable
def conv2d_act_pool(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    activation: str | None = "relu",
    pool: int | Sequence[int] | PoolWindow = 2,
) -> Tensor:
    r"""Convolves, activates and takes maxima: ``max_pool2d(activation(conv2d(x)))``.

    Args:
        x: ``Tensor[batch, in_channels, height, width]``, or without batch.
        weight: ``Tensor[out_channels, in_channels / groups, kernel_h, kernel_w]``.
        bias: ``Tensor[out_channels]`` or None.
        stride: As in :func:`torchconv.conv2d`, and so are the next three.
        padding: Zeros around the image.
        dilation: Distance between the elements of the kernel.
        groups: Number of groups into which channels are divided.
        activation: ``'relu'``, ``'sigmoid'`` or None.
        pool: The window, one integer, (height, width) or a :class:`torchconv.PoolWindow`.

    Returns:
        ``Tensor[batch, out_channels, pooled_h, pooled_w]``.

    Raises:
        RuntimeError: If shapes, dtypes, devices or sizes do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> x, weight = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
        >>> torchconv.conv2d_act_pool(x, weight, padding=1).shape
        torch.Size([1, 4, 4, 4])
    """
    if activation not in _ACTIVATIONS:
        raise RuntimeError(
            "conv2d_act_pool: expected activation to be 'relu', 'sigmoid' or None, "
            f"but got {activation!r}"
        )
    out = conv2d(x, weight, bias, stride, padding, dilation, groups)
    return max_pool2d(_ACTIVATIONS[activation](out), *window_arguments("conv2d_act_pool", pool))
