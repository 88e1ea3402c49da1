"""The table of refusals: a bad call, and the sentence that it gets on every device."""

import torch

import torchconv
from torchconv import PoolWindow

ops = torch.ops.torchconv
HUGE = 2**62


def x(*shape, dtype=torch.float32, device=None):
    return torch.zeros(shape or (2, 3, 8, 9), dtype=dtype, device=device)


def w(*shape, **kwargs):
    return x(*(shape or (4, 3, 3, 3)), **kwargs)


def expanded(*shape):
    """A tensor of any size that takes four bytes."""
    return torch.zeros(1).expand(shape)


ONES, NONE = [1, 1], [0, 0, 0, 0]
GEOMETRY = (ONES, NONE, ONES, 1)
WINDOW = ([2, 2], [2, 2], [0, 0], [1, 1], False)
OFFSETS = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)

# (call, sentence). A call takes a function that puts a tensor on the device in question.
CASES = {
    # conv2d: ranks and lists
    "conv2d x rank": (
        lambda to: torchconv.conv2d(to(x(3, 8)), to(w())),
        "conv2d: expected x to have 4 dimensions [batch, in_channels, height, width], "
        "or 3 without batch, but got [3, 8]",
    ),
    "conv2d op x rank": (
        lambda to: ops.conv2d(to(x(3, 8, 9)), to(w()), None, *GEOMETRY),
        "conv2d: expected x to have 4 dimensions [batch, in_channels, height, width], "
        "but got [3, 8, 9]",
    ),
    "conv2d weight rank": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 3, 3))),
        "conv2d: expected weight to have 4 dimensions [out_channels, in_channels / groups, "
        "kernel_h, kernel_w], but got [4, 3, 3]",
    ),
    "conv2d stride length": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=(1, 1, 1)),
        "conv2d: expected stride to have 2 values (height, width), but got [1, 1, 1]",
    ),
    "conv2d dilation length": (
        lambda to: torchconv.conv2d(to(x()), to(w()), dilation=[]),
        "conv2d: expected dilation to have 2 values (height, width), but got []",
    ),
    "conv2d op padding length": (
        lambda to: ops.conv2d(to(x()), to(w()), None, ONES, ONES, ONES, 1),
        "conv2d: expected padding to have 4 values (left, right, top, bottom), but got [1, 1]",
    ),
    # conv2d: values
    "conv2d stride zero": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=(1, 0)),
        "conv2d: expected stride to be positive, but got [1, 0]",
    ),
    "conv2d stride negative": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=-(2**63)),
        "conv2d: expected stride to be positive, but got [-9223372036854775808, ",
    ),
    "conv2d same with huge negative stride": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=-(2**63), padding="same"),
        "conv2d: expected stride to be positive, but got [-9223372036854775808, ",
    ),
    "conv2d same with stride zero": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=0, padding="same"),
        "conv2d: expected stride to be positive, but got [0, 0]",
    ),
    "conv2d dilation zero": (
        lambda to: torchconv.conv2d(to(x()), to(w()), dilation=0),
        "conv2d: expected dilation to be positive, but got [0, 0]",
    ),
    "conv2d padding negative": (
        lambda to: torchconv.conv2d(to(x()), to(w()), padding=(0, -1, 2, 3)),
        "conv2d: expected padding to be non-negative, but got [0, -1, 2, 3]",
    ),
    "conv2d groups zero": (
        lambda to: torchconv.conv2d(to(x()), to(w()), groups=0),
        "conv2d: expected groups to be positive, but got 0",
    ),
    "conv2d in_channels by groups": (
        lambda to: torchconv.conv2d(to(x()), to(w()), groups=2),
        "conv2d: expected x.size(1) == 6 (weight.size(1) · groups), but got 3",
    ),
    "conv2d out_channels by groups": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 1, 3, 3)), groups=3),
        "conv2d: expected out_channels to be divisible by groups == 3, but got 4",
    ),
    "conv2d channels": (
        lambda to: torchconv.conv2d(to(x(2, 4, 8, 9)), to(w())),
        "conv2d: expected x.size(1) == 3 (weight.size(1) · groups), but got 4",
    ),
    "conv2d channels without batch": (
        lambda to: torchconv.conv2d(to(x(4, 8, 9)), to(w())),
        "conv2d: expected x.size(0) == 3 (weight.size(1) · groups), but got 4",
    ),
    "conv2d_act_pool channels without batch": (
        lambda to: torchconv.conv2d_act_pool(to(x(3, 8, 9)), to(w()), groups=2),
        "conv2d_act_pool: expected x.size(0) == 6 (weight.size(1) · groups), but got 3",
    ),
    "conv2d empty kernel": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 3, 0, 3))),
        "conv2d: expected kernel_size to be positive, but got [0, 3]",
    ),
    "conv2d kernel over input": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 3, 3, 11)), padding=(1, 0)),
        "conv2d: expected the dilated kernel to fit into the padded input of size [10, 9], "
        "but got [3, 11]",
    ),
    "conv2d dilated kernel over input": (
        lambda to: torchconv.conv2d(to(x()), to(w()), dilation=4),
        "conv2d: expected the dilated kernel to fit into the padded input of size [8, 9], "
        "but got [9, 9]",
    ),
    "conv2d bias shape": (
        lambda to: torchconv.conv2d(to(x()), to(w()), to(x(3))),
        "conv2d: expected bias to have shape [4], but got [3]",
    ),
    # conv2d: overflow
    "conv2d padding overflow": (
        lambda to: torchconv.conv2d(to(x()), to(w()), padding=HUGE),
        "conv2d: expected sizes whose sums fit in 64 bits, but got 4611686018427387904 + 46116860",
    ),
    "conv2d dilation overflow": (
        lambda to: torchconv.conv2d(to(x()), to(w()), dilation=HUGE),
        "conv2d: expected sizes whose products fit in 64 bits, but got 2 * 4611686018427387904",
    ),
    "conv2d output overflow": (
        lambda to: torchconv.conv2d(to(x()), to(w()), padding=2**40),
        "conv2d: expected sizes whose products fit in 64 bits, but got ",
    ),
    "conv2d over 64 bits": (
        lambda to: torchconv.conv2d(to(x()), to(w()), stride=2**70),
        "conv2d: expected stride to fit in 64 bits, but got 1180591620717411303424",
    ),
    # conv2d: types
    "conv2d integer x": (
        lambda to: torchconv.conv2d(to(x(dtype=torch.int64)), to(w(dtype=torch.int64))),
        "conv2d: expected x.dtype to be float32, float64, bfloat16 or float16, but got int64",
    ),
    "conv2d complex x": (
        lambda to: torchconv.conv2d(to(x(dtype=torch.complex64)), to(w(dtype=torch.complex64))),
        "conv2d: expected x.dtype to be float32, float64, bfloat16 or float16, but got complex64",
    ),
    "conv2d weight dtype": (
        lambda to: torchconv.conv2d(to(x()), to(w(dtype=torch.float64))),
        "conv2d: expected weight.dtype == float32 (x.dtype), but got float64",
    ),
    "conv2d bias dtype": (
        lambda to: torchconv.conv2d(to(x()), to(w()), to(x(4, dtype=torch.float16))),
        "conv2d: expected bias.dtype == float32 (x.dtype), but got float16",
    ),
    # conv2d's gradients, called directly
    "conv2d_backward_input grad_out rank": (
        lambda to: ops.conv2d_backward_input(to(x(4, 6, 7)), to(w()), [8, 9], *GEOMETRY, False),
        "conv2d_backward_input: expected grad_out to have 4 dimensions [batch, out_channels, "
        "height, width], but got [4, 6, 7]",
    ),
    "conv2d_backward_input grad_out shape": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 6)), to(w()), [8, 9], *GEOMETRY, False),
        "conv2d_backward_input: expected grad_out to have shape [2, 4, 6, 7], but got [2, 4, 6, 6]",
    ),
    "conv2d_backward_input input_size": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 7)), to(w()), [8], *GEOMETRY, False),
        "conv2d_backward_input: expected input_size to have 2 values (height, width), but got [8]",
    ),
    "conv2d_backward_input input_size negative": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 7)), to(w()), [8, -9], *GEOMETRY, False),
        "conv2d_backward_input: expected input_size to be non-negative, but got [8, -9]",
    ),
    "conv2d_backward_input groups": (
        lambda to: ops.conv2d_backward_input(
            to(x(2, 4, 6, 7)), to(w()), [8, 9], ONES, NONE, ONES, -1, False
        ),
        "conv2d_backward_input: expected groups to be positive, but got -1",
    ),
    "conv2d_backward_input dtype": (
        lambda to: ops.conv2d_backward_input(
            to(x(2, 4, 6, 7)), to(w(dtype=torch.float64)), [8, 9], *GEOMETRY, False
        ),
        "conv2d_backward_input: expected weight.dtype == float32 (grad_out.dtype), but got float64",
    ),
    "conv2d_backward_weight grad_out shape": (
        lambda to: ops.conv2d_backward_weight(to(x(1, 4, 6, 7)), to(x()), [3, 3], *GEOMETRY, False),
        "conv2d_backward_weight: expected grad_out to have shape [2, 4, 6, 7], but got "
        "[1, 4, 6, 7]",
    ),
    "conv2d_backward_weight kernel_size": (
        lambda to: ops.conv2d_backward_weight(to(x(2, 4, 6, 7)), to(x()), [3, 0], *GEOMETRY, False),
        "conv2d_backward_weight: expected kernel_size to be positive, but got [3, 0]",
    ),
    "conv2d_backward_weight groups zero": (
        lambda to: ops.conv2d_backward_weight(
            to(x(2, 4, 6, 7)), to(x()), [3, 3], ONES, NONE, ONES, 0, False
        ),
        "conv2d_backward_weight: expected groups to be positive, but got 0",
    ),
    "conv2d_backward_weight channels by groups": (
        lambda to: ops.conv2d_backward_weight(
            to(x(2, 4, 6, 7)), to(x()), [3, 3], ONES, NONE, ONES, 2, False
        ),
        "conv2d_backward_weight: expected in_channels to be divisible by groups == 2, but got 3",
    ),
    "conv2d_backward_bias rank": (
        lambda to: ops.conv2d_backward_bias(to(x(4)), None),
        "conv2d_backward_bias: expected grad_out to have 4 dimensions [batch, out_channels, "
        "height, width], but got [4]",
    ),
    "conv2d_backward_bias offsets dtype": (
        lambda to: ops.conv2d_backward_bias(to(x()), to(x())),
        "conv2d_backward_bias: expected offsets.dtype to be uint8 or int32, but got float32",
    ),
    "conv2d_backward_bias offsets shape": (
        lambda to: ops.conv2d_backward_bias(to(x(2, 3, 6, 7)), to(x(2, 3, 6, 6).byte())),
        "conv2d_backward_bias: expected offsets to have shape [2, 3, 6, 7], but got [2, 3, 6, 6]",
    ),
    # max_pool2d
    "max_pool2d rank": (
        lambda to: torchconv.max_pool2d(to(x(8, 9)), 2),
        "max_pool2d: expected x to have 4 dimensions [batch, channels, height, width], "
        "or 3 without batch, but got [8, 9]",
    ),
    "conv2d_act_pool rank": (
        lambda to: torchconv.conv2d_act_pool(to(x(8, 9)), to(w())),
        "conv2d_act_pool: expected x to have 4 dimensions [batch, in_channels, height, width], "
        "or 3 without batch, but got [8, 9]",
    ),
    "max_pool2d kernel length": (
        lambda to: torchconv.max_pool2d(to(x()), (2, 2, 2), stride=1),
        "max_pool2d: expected kernel_size to have 2 values (height, width), but got [2, 2, 2]",
    ),
    "max_pool2d kernel zero": (
        lambda to: torchconv.max_pool2d(to(x()), (2, 0), stride=1),
        "max_pool2d: expected kernel_size to be positive, but got [2, 0]",
    ),
    "max_pool2d stride zero": (
        lambda to: torchconv.max_pool2d(to(x()), 2, stride=0),
        "max_pool2d: expected stride to be positive, but got [0, 0]",
    ),
    "max_pool2d padding negative": (
        lambda to: torchconv.max_pool2d(to(x()), 2, padding=-1),
        "max_pool2d: expected padding to be non-negative, but got [-1, -1]",
    ),
    "max_pool2d padding too large": (
        lambda to: torchconv.max_pool2d(to(x()), 3, padding=2),
        "max_pool2d: expected padding to be at most half of the dilated window, 1, but got 2",
    ),
    "max_pool2d dilation zero": (
        lambda to: torchconv.max_pool2d(to(x()), 2, dilation=(0, 1)),
        "max_pool2d: expected dilation to be positive, but got [0, 1]",
    ),
    "max_pool2d kernel over input": (
        lambda to: torchconv.max_pool2d(to(x()), 9),
        "max_pool2d: expected the dilated window to fit into the padded size 8 of x, but got 9",
    ),
    "max_pool2d ceil kernel over input": (
        lambda to: torchconv.max_pool2d(to(x()), 19, stride=2, ceil_mode=True),
        "max_pool2d: expected the dilated window to fit into the padded size 8 of x, but got 19",
    ),
    "conv2d_act_pool window": (
        lambda to: torchconv.conv2d_act_pool(to(x()), to(w()), pool=PoolWindow(2, stride=0)),
        "conv2d_act_pool: expected pool.stride to be positive, but got [0, 0]",
    ),
    "conv2d_act_pool window padding": (
        lambda to: torchconv.conv2d_act_pool(to(x()), to(w()), pool=PoolWindow(2, padding=2)),
        "conv2d_act_pool: expected pool.padding to be at most half of the dilated window of "
        "pool, 1, but got 2",
    ),
    "conv2d_act_pool window length": (
        lambda to: torchconv.conv2d_act_pool(to(x()), to(w()), pool=(2, 2, 2)),
        "conv2d_act_pool: expected pool to have 2 values (height, width), but got [2, 2, 2]",
    ),
    "max_pool2d empty plane": (
        lambda to: torchconv.max_pool2d(to(x(2, 3, 0, 9)), 1),
        "max_pool2d: expected x to be empty in no dimension but the batch, but got [2, 3, 0, 9]",
    ),
    "max_pool2d huge window": (
        lambda to: torchconv.max_pool2d(to(x()), 2**16, padding=2**15),
        "max_pool2d: expected kernel_size to cover less than 2^31 elements, but got [65536, 65536]",
    ),
    "max_pool2d window overflow": (
        lambda to: torchconv.max_pool2d(to(x()), HUGE),
        "max_pool2d: expected sizes whose products fit in 64 bits, but got ",
    ),
    "max_pool2d dilation overflow": (
        lambda to: torchconv.max_pool2d(to(x()), 3, dilation=HUGE),
        "max_pool2d: expected sizes whose products fit in 64 bits, but got ",
    ),
    "max_pool2d stride overflow": (
        lambda to: torchconv.max_pool2d(to(x()), 2, stride=2**63 - 1, ceil_mode=True),
        "max_pool2d: expected sizes whose sums fit in 64 bits, but got 8 + 9223372036854775806",
    ),
    "max_pool2d complex": (
        lambda to: torchconv.max_pool2d(to(x(dtype=torch.complex64)), 2),
        "max_pool2d: expected x.dtype to be float32, float64, bfloat16, float16 or an integer, "
        "but got complex64",
    ),
    "max_pool2d_with_offsets rank": (
        lambda to: ops.max_pool2d_with_offsets(to(x(3, 8, 9)), *WINDOW),
        "max_pool2d: expected x to have 4 dimensions [batch, channels, height, "
        "width], but got [3, 8, 9]",
    ),
    "max_pool2d_backward grad_out shape": (
        lambda to: ops.max_pool2d_backward(to(x(2, 3, 4, 5)), to(OFFSETS), [8, 9], *WINDOW),
        "max_pool2d_backward: expected grad_out to have shape [2, 3, 4, 4], but got [2, 3, 4, 5]",
    ),
    "max_pool2d_backward offsets shape": (
        lambda to: ops.max_pool2d_backward(to(x(2, 3, 4, 4)), to(OFFSETS), [8, 12], *WINDOW),
        "max_pool2d_backward: expected offsets to have shape [2, 3, 4, 6], but got [2, 3, 4, 4]",
    ),
    "max_pool2d_backward offsets dtype": (
        lambda to: ops.max_pool2d_backward(to(x(2, 3, 4, 4)), to(OFFSETS.long()), [8, 9], *WINDOW),
        "max_pool2d_backward: expected offsets.dtype == uint8 (for this kernel_size), "
        "but got int64",
    ),
    "max_pool2d_backward dtype": (
        lambda to: ops.max_pool2d_backward(
            to(x(2, 3, 4, 4, dtype=torch.int32)), to(OFFSETS), [8, 9], *WINDOW
        ),
        "max_pool2d_backward: expected grad_out.dtype to be float32, float64, bfloat16 or "
        "float16, but got int32",
    ),
    "max_pool2d_gather offsets shape": (
        lambda to: ops.max_pool2d_gather(to(x(2, 3, 8, 8)), to(OFFSETS[:1]), *WINDOW),
        "max_pool2d_gather: expected offsets to have shape [2, 3, 4, 4], but got [1, 3, 4, 4]",
    ),
    "max_pool2d_indices rank": (
        lambda to: ops.max_pool2d_indices(to(OFFSETS[0]), [8, 8], *WINDOW),
        "max_pool2d_indices: expected offsets to have 4 dimensions [batch, channels, out_height, "
        "out_width], but got [3, 4, 4]",
    ),
    "max_pool2d_indices input_size zero": (
        lambda to: ops.max_pool2d_indices(to(OFFSETS), [8, 0], *WINDOW),
        "max_pool2d_indices: expected input_size to be positive, but got [8, 0]",
    ),
    "max_pool2d_indices input_size": (
        lambda to: ops.max_pool2d_indices(to(OFFSETS), [8], *WINDOW),
        "max_pool2d_indices: expected input_size to have 2 values (height, width), but got [8]",
    ),
    # matmul and linear
    "matmul scalar": (
        lambda to: torchconv.matmul(to(torch.tensor(1.0)), to(x(3, 4))),
        "matmul: expected a to have at least 1 dimension, but got 0",
    ),
    "matmul op vector": (
        lambda to: ops.matmul(to(x(3)), to(x(3, 4))),
        "matmul: expected a to have at least 2 dimensions, but got [3]",
    ),
    "matmul depth": (
        lambda to: torchconv.matmul(to(x(2, 3)), to(x(4, 5))),
        "matmul: expected b.size(-2) == 3 (a.size(-1)), but got 4",
    ),
    "matmul batch": (
        lambda to: torchconv.matmul(to(x(2, 2, 3)), to(x(3, 3, 5))),
        "matmul: expected batch dimensions of b to broadcast with those of a, [2, 2, 3], "
        "but got [3, 3, 5]",
    ),
    "matmul dtype": (
        lambda to: torchconv.matmul(to(x(2, 3)), to(x(3, 5, dtype=torch.bfloat16))),
        "matmul: expected b.dtype == float32 (a.dtype), but got bfloat16",
    ),
    "matmul integer": (
        lambda to: torchconv.matmul(*[to(x(3, 3, dtype=torch.int32))] * 2),
        "matmul: expected a.dtype to be float32, float64, bfloat16 or float16, but got int32",
    ),
    "matmul overflow": (
        lambda to: torchconv.matmul(to(expanded(2**40, 1)), to(expanded(1, 2**40))),
        "matmul: expected sizes whose products fit in 64 bits, but got ",
    ),
    "linear scalar": (
        lambda to: torchconv.linear(to(torch.tensor(1.0)), to(x(3, 4))),
        "linear: expected x to have at least 1 dimension, but got []",
    ),
    "linear weight rank": (
        lambda to: torchconv.linear(to(x(2, 3)), to(x(3))),
        "linear: expected weight to have 2 dimensions [out_features, in_features], but got [3]",
    ),
    "linear features": (
        lambda to: torchconv.linear(to(x(2, 3)), to(x(5, 4))),
        "linear: expected x.size(-1) == 4 (in_features, weight.size(1)), but got 3",
    ),
    "linear bias": (
        lambda to: torchconv.linear(to(x(2, 3)), to(x(5, 3)), to(x(5, 1))),
        "linear: expected bias to have shape [5], but got [5, 1]",
    ),
    "linear dtype": (
        lambda to: torchconv.linear(to(x(2, 3)), to(x(5, 3, dtype=torch.float64))),
        "linear: expected weight.dtype == float32 (x.dtype), but got float64",
    ),
    "linear_backward_bias scalar": (
        lambda to: ops.linear_backward_bias(to(torch.tensor(1.0))),
        "linear_backward_bias: expected grad_out to have at least 1 dimension, but got []",
    ),
    # activations
    "sigmoid complex": (
        lambda to: torchconv.sigmoid(to(x(3, dtype=torch.complex128))),
        "sigmoid: expected x.dtype to be float32, float64, bfloat16 or float16, but got complex128",
    ),
    "sigmoid_backward shape": (
        lambda to: ops.sigmoid_backward(to(x(3)), to(x(4))),
        "sigmoid_backward: expected out to have shape [3], but got [4]",
    ),
    "sigmoid_backward dtype": (
        lambda to: ops.sigmoid_backward(to(x(3)), to(x(3, dtype=torch.float64))),
        "sigmoid_backward: expected out.dtype == float32 (grad_out.dtype), but got float64",
    ),
    "relu bool": (
        lambda to: torchconv.relu(to(x(3, dtype=torch.bool))),
        "relu: expected x.dtype to be float32, float64, bfloat16, float16 or an integer, "
        "but got bool",
    ),
    "relu_with_mask rows": (
        lambda to: ops.relu_with_mask(to(x(3, 4)), 5),
        "relu_with_mask: expected the number of elements to be divisible by rows == 5, but got 12",
    ),
    "relu_with_mask no rows": (
        lambda to: ops.relu_with_mask(to(x(3)), 0),
        "relu_with_mask: expected rows to be positive, but got 0",
    ),
    "relu_backward shape": (
        lambda to: ops.relu_backward(to(x(3, 5)), to(x(1, 3).byte()), [5, 1]),
        "relu_backward: expected mask to have shape [1, 2], but got [1, 3]",
    ),
    "relu_backward rows": (
        lambda to: ops.relu_backward(to(x(7)), to(x(3, 1).byte()), [1]),
        "relu_backward: expected the number of elements to be divisible by rows == 3, but got 7",
    ),
    "relu_backward no rows": (
        lambda to: ops.relu_backward(to(x(3)), to(x(0, 1).byte()), [1]),
        "relu_backward: expected mask to have rows, but got [0, 1]",
    ),
    "relu_backward mask dtype": (
        lambda to: ops.relu_backward(to(x(3)), to(x(1, 1)), [1]),
        "relu_backward: expected mask.dtype == uint8, but got float32",
    ),
    "relu_backward strides": (
        lambda to: ops.relu_backward(to(x(3, 5)), to(x(1, 2).byte()), [1]),
        "relu_backward: expected strides to have 2 values (one for each dimension of grad_out), "
        "but got [1]",
    ),
    "relu_backward gaps": (
        lambda to: ops.relu_backward(to(x(3, 5)), to(x(1, 2).byte()), [10, 1]),
        "relu_backward: expected strides to be those of a dense tensor of sizes [3, 5], "
        "but got [10, 1]",
    ),
    "relu_backward integer": (
        lambda to: ops.relu_backward(*[to(x(3, dtype=torch.int64))] * 2, [1]),
        "relu_backward: expected grad_out.dtype to be float32, float64, bfloat16 or float16, "
        "but got int64",
    ),
}  # fmt: skip
