"""ReLU layer."""

import torch
from torch import Tensor

from torchconv.ops.relu import relu


class ReLU(torch.nn.ReLU):
    """ReLU layer; see :func:`torchconv.relu`.

    Args:
        inplace: Whether to overwrite the input with the result.

    Example:
        >>> torchconv.nn.ReLU()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Applies relu to ``Tensor[*]``."""
        return relu(input, self.inplace)
