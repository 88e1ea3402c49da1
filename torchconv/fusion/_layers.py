"""The classes of fused layers: each computes the fused form while its group is intact."""

from typing import Any

import torch
from torch import Tensor

import torchconv.nn as layers
from torchconv.fusion._group import FUSED_CLASSES, GROUP, Group, library_class
from torchconv.nn.conv_act_pool2d import conv_act_pool, tail_repr


class Fused(torch.nn.Module):
    """A layer that takes part in a fused block."""

    _torchconv_fusion: Group | None = None  # of a new object of this class: it is not fused

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
        conv: Any = self
        group = self._torchconv_fusion
        if torch.compiler.is_compiling():
            _ = conv._conv_forward, conv._call_impl  # so that Dynamo notices new ones
        if group is None or not group.should_fuse(input):
            return super().forward(input)
        return group.tag(conv_act_pool(conv, input, conv.weight, conv.bias))

    def extra_repr(self) -> str:
        """The convolution's arguments and the other two."""
        text = super().extra_repr()
        return f"{text}, {tail_repr(self)}" if GROUP in self.__dict__ else text


class Follower(Fused):
    """An activation or a pooling that the convolution before it computes."""

    def forward(self, input: Tensor) -> Any:
        """Returns the input, or the layer's result if the group has changed."""
        group = self._torchconv_fusion
        if group is not None and group.is_block_output(input):
            return input
        return super().forward(input)


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
FUSED_CLASSES.update(FUSED.values())
