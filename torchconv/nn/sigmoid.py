"""Sigmoid layer."""

import torch
from torch import Tensor

from torchconv.ops.sigmoid import sigmoid


class Sigmoid(torch.nn.Sigmoid):
    """Sigmoid layer; see :func:`torchconv.sigmoid`.

    Example:
        >>> torchconv.nn.Sigmoid()(torch.zeros(2))
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Applies sigmoid to ``Tensor[*]``."""
        return sigmoid(input)
