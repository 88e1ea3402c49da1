"""Convolution layer."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from torchconv.ops._arguments import conv_padding, pair
from torchconv.ops.conv2d import conv2d


def _is_image(input: Any) -> bool:
    if isinstance(input, Tensor):
        return input.dim() in (3, 4)
    return hasattr(input, "__torch_function__")


def padded(layer: torch.nn.Conv2d, input: Tensor) -> tuple[Tensor, Any]:
    """The input as the operator takes it, and the padding that is left to the operator."""
    padding: Any = layer.padding
    # conv2d reports an input of the wrong rank. A proxy of torch.fx is padded like a Tensor.
    if layer.padding_mode == "zeros" or not _is_image(input):
        return input, padding
    amounts = layer._reversed_padding_repeated_twice
    if amounts is None:  # 'same' with a stride, which depends on the input
        amounts = _amounts(layer, padding, input.shape[-2:])
    return torch.nn.functional.pad(input, amounts, mode=layer.padding_mode), 0


def _amounts(layer: torch.nn.Conv2d, padding: Any, input_size: Sequence[int]) -> list[int]:
    """Left, right, top and bottom."""
    strides, dilations = (
        pair("conv2d", name, getattr(layer, name)) for name in ("stride", "dilation")
    )
    return conv_padding("conv2d", padding, input_size, layer.kernel_size, strides, dilations)


class Conv2d(torch.nn.Conv2d):
    """Convolution layer with the parameters of ``torch.nn.Conv2d``; see :func:`torchconv.conv2d`.

    Beyond torch's, ``padding='same'`` works with any stride, and padding may be different on all
    four sides.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One integer or (height, width).
        stride: One integer or (height, width).
        padding: One integer, (height, width), (left, right, top, bottom), ``'same'`` or
            ``'valid'``.
        dilation: One integer or (height, width).
        groups: Number of groups into which channels are divided.
        bias: Whether to add a learnable bias.
        padding_mode: ``'zeros'``, ``'reflect'``, ``'replicate'`` or ``'circular'``.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Example:
        >>> torchconv.nn.Conv2d(3, 8, 3, stride=2, padding="same")(torch.randn(1, 3, 7, 7)).shape
        torch.Size([1, 8, 4, 4])
    """

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
    ) -> None:
        # torch's own constructor would refuse what only this class can do, so it sees no padding.
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        try:
            amounts = _amounts(self, padding, (0, 0))  # raises for other types
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        if any(amount < 0 for amount in amounts):
            raise ValueError(f"conv2d: expected padding to be non-negative, but got {padding!r}")
        self.padding = (
            padding if isinstance(padding, str) else tuple(pair("conv2d", "padding", padding))
        )
        # What forward gives to F.pad, as in torch.nn.Conv2d; others may change it. 'same' with a
        # stride has no fixed amounts.
        depends = self.padding == "same" and any(step > 1 for step in self.stride)
        self._reversed_padding_repeated_twice: Any = None if depends else amounts

    def forward(self, input: Tensor) -> Tensor:
        """Maps ``Tensor[batch, in_channels, height, width]`` (or without batch) to the output."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = padded(self, input)
        return conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class LazyConv2d(torch.nn.LazyConv2d, Conv2d):  # type: ignore[misc]
    """A :class:`Conv2d` that takes ``in_channels`` from its first input.

    Args:
        out_channels: Channels of the output.
        kernel_size: One integer or (height, width).
        stride: As in :class:`Conv2d`, and so are the others.
        padding: One integer, (height, width), (left, right, top, bottom), ``'same'`` or
            ``'valid'``.
        dilation: One integer or (height, width).
        groups: Number of groups into which channels are divided.
        bias: Whether to add a learnable bias.
        padding_mode: ``'zeros'``, ``'reflect'``, ``'replicate'`` or ``'circular'``.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Example:
        >>> layer = torchconv.nn.LazyConv2d(8, 3, stride=2, padding="same")
        >>> layer(torch.randn(1, 3, 7, 7)).shape, type(layer).__name__
        (torch.Size([1, 8, 4, 4]), 'Conv2d')
    """

    cls_to_become = Conv2d
