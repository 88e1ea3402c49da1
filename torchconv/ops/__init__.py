"""One module per operator; importing them tells torch how each operator is differentiated."""

from torchconv.ops import (  # noqa: F401
    _flops,
    conv2d,
    conv2d_act_pool,
    conv2d_act_pool_backward,
    conv2d_backward,
    linear,
    matmul,
    max_pool2d,
    relu,
    sigmoid,
)
