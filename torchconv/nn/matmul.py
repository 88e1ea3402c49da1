"""Matrix product as a layer."""

import torch
from torch import Tensor

from torchconv.ops.matmul import matmul


class MatMul(torch.nn.Module):
    """Matrix product as a layer without parameters; see :func:`torchconv.matmul`.

    Example:
        >>> torchconv.nn.MatMul()(torch.ones(2, 3), torch.ones(3, 4)).shape
        torch.Size([2, 4])
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiplies ``Tensor[*, n, k]`` by ``Tensor[*, k, m]``."""
        return matmul(a, b)
