"""Layers in place of torch.nn's, with the same parameters and state_dict keys, and two others."""

from torchconv.nn.conv2d import Conv2d, LazyConv2d
from torchconv.nn.conv_act_pool2d import ConvActPool2d
from torchconv.nn.linear import LazyLinear, Linear
from torchconv.nn.matmul import MatMul
from torchconv.nn.max_pool2d import MaxPool2d
from torchconv.nn.relu import ReLU
from torchconv.nn.sigmoid import Sigmoid

__all__ = [
    "Conv2d",
    "ConvActPool2d",
    "LazyConv2d",
    "LazyLinear",
    "Linear",
    "MatMul",
    "MaxPool2d",
    "ReLU",
    "Sigmoid",
]
