"""Convolution, pooling, linear and activation layers on kernels written by hand."""

# torch comes first: its libraries hold the symbols that the compiled part asks for.
import torch as _torch  # noqa: F401

from torchconv import _load

# The operators must exist before the modules below describe how they are differentiated.
build_info = _load.load()
__version__: str = build_info["version"]

from torchconv import autograd, backends, functional, fusion, nn  # noqa: E402
from torchconv.functional import (  # noqa: E402
    conv2d,
    conv2d_act_pool,
    linear,
    matmul,
    max_pool2d,
    relu,
    sigmoid,
)
from torchconv.fusion import fuse, unfuse  # noqa: E402
from torchconv.ops.pool_window import PoolWindow  # noqa: E402

__all__ = [
    "PoolWindow",
    "autograd",
    "backends",
    "build_info",
    "conv2d",
    "conv2d_act_pool",
    "functional",
    "fuse",
    "fusion",
    "linear",
    "matmul",
    "max_pool2d",
    "nn",
    "relu",
    "sigmoid",
    "unfuse",
]
