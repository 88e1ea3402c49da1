"""The ``torch.autograd.Function`` of each operator.

``MaxPool2dFunction`` and ``Conv2dActPoolFunction`` return what their backwards keep, besides: (out,
offsets). ``MatMulFunction`` takes tensors of at least two dimensions.

``apply`` takes the arguments of ``torch.ops.torchconv.<name>``, all of them, in order. It is what
torchconv's functions call where a derivative may be asked for; code for
``torch.compile(fullgraph=True)`` should call those, since Dynamo traces no Function that has a jvp.
"""

from torchconv.ops.conv2d import Conv2dFunction
from torchconv.ops.conv2d_act_pool import Conv2dActPoolFunction
from torchconv.ops.linear import LinearFunction
from torchconv.ops.matmul import MatMulFunction
from torchconv.ops.max_pool2d import MaxPool2dFunction
from torchconv.ops.relu import ReLUFunction
from torchconv.ops.sigmoid import SigmoidFunction

__all__ = [
    "Conv2dActPoolFunction",
    "Conv2dFunction",
    "LinearFunction",
    "MatMulFunction",
    "MaxPool2dFunction",
    "ReLUFunction",
    "SigmoidFunction",
]
