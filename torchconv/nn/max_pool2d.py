"""Max-pooling layer."""

import torch
from torch import Tensor

from torchconv.ops.max_pool2d import max_pool2d


class MaxPool2d(torch.nn.MaxPool2d):
    """Max-pooling layer; see :func:`torchconv.max_pool2d`.

    Args:
        kernel_size: One integer or (height, width).
        stride: Step of the window; ``kernel_size`` if None.
        padding: Padding on both sides, at most half of the dilated window.
        dilation: Distance between the elements of the window.
        return_indices: Whether to return the places of the maxima as well.
        ceil_mode: Whether the last window may hang over the end.

    Example:
        >>> torchconv.nn.MaxPool2d(2)(torch.randn(1, 3, 8, 8)).shape
        torch.Size([1, 3, 4, 4])
    """

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Pools ``Tensor[batch, channels, height, width]``, or without batch."""
        return max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )
