"""The ``torch.autograd.Function`` of each operator.

``MaxPool2dFunction`` returns what its backward keeps, besides: (out, offsets). ``MatMulFunction``
takes tensors of at least two dimensions.

``apply`` takes the arguments of ``torch.ops.torchconv.<name>``, all of them, in order. It is what
torchconv's functions call where a derivative may be asked for; code for
``torch.compile(fullgraph=True)`` should call those, since Dynamo traces no Function that has a jvp.
"""

from torchconv.ops.conv2d import Conv2dFunction
from torchconv.ops.linear import LinearFunction
from torchconv.ops.matmul import MatMulFunction
from torchconv.ops.max_pool2d import MaxPool2dFunction
from torchconv.ops.relu import ReLUFunction
from torchconv.ops.sigmoid import SigmoidFunction

__all__ = [
    "Conv2dFunction",
    "LinearFunction",
    "MatMulFunction",
    "MaxPool2dFunction",
    "ReLUFunction",
    "SigmoidFunction",
]
