"""The classes of fused layers: each computes the fused form while its group is intact."""

from typing import Any

import torch
from torch import Tensor

import torchconv.nn as layers
from torchconv.fusion._group import Group, library_class
from torchconv.nn.conv2d import padded
from torchconv.ops.conv2d_act_pool import conv2d_act_pool


class Fused(torch.nn.Module):
    """A layer that takes part in a fused block."""

    _fusion: Group

    def _get_name(self) -> str:
        return f"Fused{library_class(type(self)).__name__}"


class Block(Fused):
    """A convolution that also computes the activation and the pooling after it.

    Attributes:
        activation: ``'relu'``, ``'sigmoid'`` or None.
        pool: The window, as :func:`torchconv.conv2d_act_pool` takes it.
    """

    activation: str | None
    pool: Any

    def forward(self, input: Tensor) -> Tensor:
        """The convolution, and what follows it unless it is on its own again."""
        if not self._fusion.is_intact():
            return super().forward(input)
        conv: Any = self
        input, padding = padded(conv, input)
        return conv2d_act_pool(
            input,
            conv.weight,
            conv.bias,
            conv.stride,
            padding,
            conv.dilation,
            conv.groups,
            conv.activation,
            conv.pool,
        )

    def extra_repr(self) -> str:
        """The convolution's arguments and the other two."""
        return f"{super().extra_repr()}, activation={self.activation!r}, pool={self.pool!r}"


class Follower(Fused):
    """An activation or a pooling that the convolution before it computes."""

    def forward(self, input: Tensor) -> Any:
        """The input, unless the layer is on its own again."""
        return input if self._fusion.is_intact() else super().forward(input)


class _TorchConv2d(Block, torch.nn.Conv2d):
    pass


class _Conv2d(Block, layers.Conv2d):
    pass


class _TorchReLU(Follower, torch.nn.ReLU):
    pass


class _ReLU(Follower, layers.ReLU):
    pass


class _TorchSigmoid(Follower, torch.nn.Sigmoid):
    pass


class _Sigmoid(Follower, layers.Sigmoid):
    pass


class _TorchMaxPool2d(Follower, torch.nn.MaxPool2d):
    pass


class _MaxPool2d(Follower, layers.MaxPool2d):
    pass


FUSED = {
    library_class(cls): cls
    for cls in (
        _TorchConv2d,
        _Conv2d,
        _TorchReLU,
        _ReLU,
        _TorchSigmoid,
        _Sigmoid,
        _TorchMaxPool2d,
        _MaxPool2d,
    )
}
