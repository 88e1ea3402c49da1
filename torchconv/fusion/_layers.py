"""The classes of fused layers: each computes the fused form while its group is intact."""

from typing import Any

import torch
from torch import Tensor

import torchconv.nn as layers
from torchconv.fusion._group import Group, library_class
from torchconv.nn.conv_act_pool2d import conv_act_pool, tail_repr


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
        """Computes the block, or the convolution alone if the group has changed."""
        if not self._fusion.is_intact():
            return super().forward(input)
        conv: Any = self
        return conv_act_pool(conv, input, conv.weight, conv.bias)

    def extra_repr(self) -> str:
        """The convolution's arguments and the other two."""
        return f"{super().extra_repr()}, {tail_repr(self)}"


class Follower(Fused):
    """An activation or a pooling that the convolution before it computes."""

    def forward(self, input: Tensor) -> Any:
        """Returns the input, or the layer's result if the group has changed."""
        return input if self._fusion.is_intact() else super().forward(input)


class FusedTorchConv2d(Block, torch.nn.Conv2d):
    pass


class FusedConv2d(Block, layers.Conv2d):
    pass


class FusedTorchReLU(Follower, torch.nn.ReLU):
    pass


class FusedReLU(Follower, layers.ReLU):
    pass


class FusedTorchSigmoid(Follower, torch.nn.Sigmoid):
    pass


class FusedSigmoid(Follower, layers.Sigmoid):
    pass


class FusedTorchMaxPool2d(Follower, torch.nn.MaxPool2d):
    pass


class FusedMaxPool2d(Follower, layers.MaxPool2d):
    pass


FUSED = {
    library_class(cls): cls
    for cls in (
        FusedTorchConv2d,
        FusedConv2d,
        FusedTorchReLU,
        FusedReLU,
        FusedTorchSigmoid,
        FusedSigmoid,
        FusedTorchMaxPool2d,
        FusedMaxPool2d,
    )
}
