"""Fully connected layer."""

import torch
from torch import Tensor

from torchconv.ops.linear import linear


class Linear(torch.nn.Linear):
    """Fully connected layer, as ``torch.nn.Linear``; see :func:`torchconv.linear`.

    Args:
        in_features: Size of the last dimension of the input.
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learnable bias.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Example:
        >>> torchconv.nn.Linear(3, 4)(torch.randn(2, 3)).shape
        torch.Size([2, 4])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Maps ``Tensor[*, in_features]`` to ``Tensor[*, out_features]``."""
        return linear(input, self.weight, self.bias)


class LazyLinear(torch.nn.LazyLinear, Linear):
    """A :class:`Linear` that takes ``in_features`` from its first input.

    Args:
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learnable bias.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Example:
        >>> layer = torchconv.nn.LazyLinear(4)
        >>> layer(torch.randn(2, 3)).shape, type(layer).__name__
        (torch.Size([2, 4]), 'Linear')
    """

    cls_to_become = Linear
