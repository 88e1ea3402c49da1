"""The operators as functions, with torch's names and torch's order of arguments."""

from torchconv.ops.conv2d import conv2d
from torchconv.ops.conv2d_act_pool import conv2d_act_pool
from torchconv.ops.linear import linear
from torchconv.ops.matmul import matmul
from torchconv.ops.max_pool2d import max_pool2d
from torchconv.ops.relu import relu
from torchconv.ops.sigmoid import sigmoid

__all__ = ["conv2d", "conv2d_act_pool", "linear", "matmul", "max_pool2d", "relu", "sigmoid"]
