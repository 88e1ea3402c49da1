"""What the tests of fused models look at and change, and a model in two parts."""

import torch
from fusible import Finish

from torchconv.fusion import Block


class ChainLayers:
    """The first layer of each kind in a model; None if it has none."""

    def __init__(self, model):
        layers = list(model.modules())
        self.conv = next(m for m in layers if isinstance(m, torch.nn.Conv2d))
        self.relu = next((m for m in layers if isinstance(m, torch.nn.ReLU)), None)
        self.pool = next((m for m in layers if isinstance(m, torch.nn.MaxPool2d)), None)


def wrap_forward(layer):
    """Sets a forward on the object, as accelerate does; it returns 2 * forward(x) - 0.1."""
    forward = layer.forward
    layer.forward = lambda x: 2 * forward(x) - 0.1


def block_of(model):
    return next((m for m in model.modules() if isinstance(m, Block)), None)


def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 14, 14, dtype=torch.float64)


class TailInChild(torch.nn.Module):
    """A child without the convolution calls relu and max_pool2d."""

    def __init__(self):
        super().__init__()
        self.conv, self.finish = torch.nn.Conv2d(3, 4, 3), Finish()

    def forward(self, x):
        return self.finish(self.conv(x))
