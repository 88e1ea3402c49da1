"""Convolution, activation and max-pooling as one layer."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from torchconv.nn.conv2d import Conv2d, padded
from torchconv.ops.conv2d_act_pool import conv2d_act_pool
from torchconv.ops.pool_window import PoolWindow, check_window

_ACTIVATIONS = ("relu", "sigmoid", None)


def conv_act_pool(layer: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The block of a convolution layer that has an activation and a pool."""
    input, padding = padded(layer, input)
    return conv2d_act_pool(
        input,
        weight,
        bias,
        layer.stride,
        padding,
        layer.dilation,
        layer.groups,
        layer.activation,
        layer.pool,
    )


def tail_repr(layer: Any) -> str:
    """The two arguments beside the convolution's."""
    return f"activation={layer.activation!r}, pool={layer.pool!r}"


class ConvActPool2d(Conv2d):
    """Convolution, activation and max-pooling in one; see :func:`torchconv.conv2d_act_pool`.

    It computes what :class:`Conv2d`, :class:`ReLU` or :class:`Sigmoid`, and :class:`MaxPool2d`
    compute one after the other, with the parameters and ``state_dict`` keys of the first.
    :func:`torchconv.fuse` makes three such layers compute this block.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One integer or (height, width).
        stride: As in :class:`Conv2d`, and so are the next seven.
        padding: One integer, (height, width), (left, right, top, bottom), ``'same'`` or
            ``'valid'``.
        dilation: One integer or (height, width).
        groups: Number of groups into which channels are divided.
        bias: Whether to add a learnable bias.
        padding_mode: ``'zeros'``, ``'reflect'``, ``'replicate'`` or ``'circular'``.
        device: Device of the parameters.
        dtype: Type of the parameters.
        activation: ``'relu'``, ``'sigmoid'`` or None.
        pool: The window of the pooling: one integer, (height, width) or a
            :class:`torchconv.PoolWindow`.

    Raises:
        ValueError: If ``activation`` or ``pool`` is none of these; the rest as in :class:`Conv2d`.

    Example:
        >>> block = torchconv.nn.ConvActPool2d(3, 8, 3, padding=1, activation="sigmoid")
        >>> block
        ConvActPool2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), \
activation='sigmoid', pool=2)
        >>> block(torch.randn(1, 3, 8, 8)).shape
        torch.Size([1, 8, 4, 4])
    """

    activation: Literal["relu", "sigmoid"] | None
    pool: int | Sequence[int] | PoolWindow

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: Literal["relu", "sigmoid"] | None = "relu",
        pool: int | Sequence[int] | PoolWindow = 2,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(
                "conv2d_act_pool: expected activation to be 'relu', 'sigmoid' or None, "
                f"but got {activation!r}"
            )
        check_window("conv2d_act_pool", pool)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.activation = activation
        self.pool = pool

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv_act_pool(self, input, weight, bias)

    def extra_repr(self) -> str:
        """The convolution's arguments, as torch.nn.Conv2d prints them, and the other two."""
        return f"{super().extra_repr()}, {tail_repr(self)}"
