"""Bad input: one sentence each, the same on the CPU and on the meta device.

Every case runs in this very process: nothing may crash it.
"""

import re

import numpy as np
import pytest
import torch

import torchconv

ops = torch.ops.torchconv
HUGE = 2**62


def x(*shape, dtype=torch.float32, device="cpu"):
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
        "but got [3, 8]",
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
        "conv2d: expected in_channels to be divisible by groups == 2, but got 3",
    ),
    "conv2d out_channels by groups": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 1, 3, 3)), groups=3),
        "conv2d: expected out_channels to be divisible by groups == 3, but got 4",
    ),
    "conv2d channels": (
        lambda to: torchconv.conv2d(to(x()), to(w(4, 4, 3, 3))),
        "conv2d: expected weight.size(1) == 3 (in_channels / groups), but got 4",
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
        lambda to: ops.conv2d_backward_input(to(x(4, 6, 7)), to(w()), [8, 9], *GEOMETRY),
        "conv2d_backward_input: expected grad_out to have 4 dimensions [batch, out_channels, "
        "height, width], but got [4, 6, 7]",
    ),
    "conv2d_backward_input grad_out shape": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 6)), to(w()), [8, 9], *GEOMETRY),
        "conv2d_backward_input: expected grad_out to have shape [2, 4, 6, 7], but got [2, 4, 6, 6]",
    ),
    "conv2d_backward_input input_size": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 7)), to(w()), [8], *GEOMETRY),
        "conv2d_backward_input: expected input_size to have 2 values (height, width), but got [8]",
    ),
    "conv2d_backward_input input_size negative": (
        lambda to: ops.conv2d_backward_input(to(x(2, 4, 6, 7)), to(w()), [8, -9], *GEOMETRY),
        "conv2d_backward_input: expected input_size to be non-negative, but got [8, -9]",
    ),
    "conv2d_backward_input groups": (
        lambda to: ops.conv2d_backward_input(
            to(x(2, 4, 6, 7)), to(w()), [8, 9], ONES, NONE, ONES, -1
        ),
        "conv2d_backward_input: expected groups to be positive, but got -1",
    ),
    "conv2d_backward_input dtype": (
        lambda to: ops.conv2d_backward_input(
            to(x(2, 4, 6, 7)), to(w(dtype=torch.float64)), [8, 9], *GEOMETRY
        ),
        "conv2d_backward_input: expected weight.dtype == float32 (grad_out.dtype), but got float64",
    ),
    "conv2d_backward_weight grad_out shape": (
        lambda to: ops.conv2d_backward_weight(to(x(1, 4, 6, 7)), to(x()), [3, 3], *GEOMETRY),
        "conv2d_backward_weight: expected grad_out to have shape [2, 4, 6, 7], but got "
        "[1, 4, 6, 7]",
    ),
    "conv2d_backward_weight kernel_size": (
        lambda to: ops.conv2d_backward_weight(to(x(2, 4, 6, 7)), to(x()), [3, 0], *GEOMETRY),
        "conv2d_backward_weight: expected kernel_size to be positive, but got [3, 0]",
    ),
    "conv2d_backward_weight groups zero": (
        lambda to: ops.conv2d_backward_weight(
            to(x(2, 4, 6, 7)), to(x()), [3, 3], ONES, NONE, ONES, 0
        ),
        "conv2d_backward_weight: expected groups to be positive, but got 0",
    ),
    "conv2d_backward_weight channels by groups": (
        lambda to: ops.conv2d_backward_weight(
            to(x(2, 4, 6, 7)), to(x()), [3, 3], ONES, NONE, ONES, 2
        ),
        "conv2d_backward_weight: expected in_channels to be divisible by groups == 2, but got 3",
    ),
    "conv2d_backward_bias rank": (
        lambda to: ops.conv2d_backward_bias(to(x(4))),
        "conv2d_backward_bias: expected grad_out to have 4 dimensions [batch, out_channels, "
        "height, width], but got [4]",
    ),
    # max_pool2d
    "max_pool2d rank": (
        lambda to: torchconv.max_pool2d(to(x(8, 9)), 2),
        "max_pool2d: expected x to have 4 dimensions [batch, channels, height, width], "
        "but got [8, 9]",
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
        "max_pool2d: expected padding to be at most half of the dilated kernel, 1, but got 2",
    ),
    "max_pool2d dilation zero": (
        lambda to: torchconv.max_pool2d(to(x()), 2, dilation=(0, 1)),
        "max_pool2d: expected dilation to be positive, but got [0, 1]",
    ),
    "max_pool2d kernel over input": (
        lambda to: torchconv.max_pool2d(to(x()), 9),
        "max_pool2d: expected the dilated kernel to fit into the padded input of 8, but got 9",
    ),
    "max_pool2d ceil kernel over input": (
        lambda to: torchconv.max_pool2d(to(x()), 19, stride=2, ceil_mode=True),
        "max_pool2d: expected the dilated kernel to fit into the padded input of 8, but got 19",
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
    "max_pool2d integer": (
        lambda to: torchconv.max_pool2d(to(x(dtype=torch.int32)), 2),
        "max_pool2d: expected x.dtype to be float32, float64, bfloat16 or float16, but got int32",
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
    "relu_backward shape": (
        lambda to: ops.relu_backward(to(x(3)), to(x(3, 1))),
        "relu_backward: expected out to have shape [3], but got [3, 1]",
    ),
    "relu_backward integer": (
        lambda to: ops.relu_backward(*[to(x(3, dtype=torch.int64))] * 2),
        "relu_backward: expected grad_out.dtype to be float32, float64, bfloat16 or float16, "
        "but got int64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("case", CASES)
def test_refusal_is_one_sentence_on_every_device(case, device):
    call, sentence = CASES[case]
    with pytest.raises(RuntimeError) as error:
        call(lambda tensor: tensor.to(device))
    message = str(error.value)
    assert message.startswith(sentence)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda a, b: torchconv.conv2d(a, b),
            "conv2d: expected weight.device == cpu (x.device), but",
        ),
        (
            lambda a, b: torchconv.conv2d(b, a),
            "conv2d: expected weight.device == meta (x.device), bu",
        ),
        (
            lambda a, b: torchconv.conv2d(a, a, b[0, 0, 0]),
            "conv2d: expected bias.device == cpu (x.de",
        ),
        (
            lambda a, b: torchconv.matmul(a, b),
            "matmul: expected b.device == cpu (a.device), but got m",
        ),
        (
            lambda a, b: torchconv.linear(a, b[0, 0]),
            "linear: expected weight.device == cpu (x.device)",
        ),
        (
            lambda a, b: ops.sigmoid_backward(a, b),
            "sigmoid_backward: expected out.device == cpu (gra",
        ),
        (
            lambda a, b: ops.max_pool2d_backward(a, b.byte(), [6, 6], *WINDOW),
            "max_pool2d_backward: expected offsets.device == cpu (grad_out.device), but got meta",
        ),
    ],
)
def test_mixed_devices_are_refused(call, sentence):
    with pytest.raises(RuntimeError, match=re.escape(sentence)):
        call(x(3, 3, 3, 3), x(3, 3, 3, 3, device="meta"))


UNARY = [
    torchconv.sigmoid,
    torchconv.relu,
    lambda t: torchconv.max_pool2d(t, 1),
    lambda t: torchconv.matmul(t, t),
    lambda t: torchconv.conv2d(t, t),
]


@pytest.mark.parametrize("call", UNARY, ids=["sigmoid", "relu", "max_pool2d", "matmul", "conv2d"])
@pytest.mark.parametrize(
    ("convert", "kind"),
    [
        (lambda t: t.to_sparse(), "layout Sparse"),
        (lambda t: t.to_mkldnn(), "layout Mkldnn"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.quint8), "a quantized tensor"),
    ],
    ids=["sparse", "mkldnn", "quantized"],
)
def test_tensors_without_strides_are_refused(call, convert, kind):
    with pytest.raises(RuntimeError) as error:
        call(convert(torch.zeros(1, 1, 2, 2)))
    pattern = r"\w+: expected \w+ to be a dense \(strided\) tensor on the CPU, but got " + kind
    assert re.match(pattern, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("convert", [torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_csc])
def test_compressed_tensors_are_refused(convert):
    with pytest.raises(RuntimeError, match=r"linear: expected x to be a dense \(strided\) tensor"):
        torchconv.linear(convert(torch.eye(3)), torch.eye(3))


@pytest.mark.filterwarnings("ignore:.*nested")
def test_nested_tensors_are_refused():
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(RuntimeError, match=r"sigmoid: expected x to be a dense .* a nested tensor"):
        torchconv.sigmoid(nested)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: torchconv.sigmoid([1.0]), "sigmoid: expected x to be a Tensor, but got list"),
        (lambda: torchconv.relu(np.ones(3)), "relu: expected x to be a Tensor, but got ndarray"),
        (
            lambda: torchconv.conv2d(x(), None),
            "conv2d: expected weight to be a Tensor, but got None",
        ),
        (
            lambda: torchconv.conv2d(x(), w(), 1),
            "conv2d: expected bias to be a Tensor, but got int",
        ),
        (lambda: torchconv.linear(x(3), 2), "linear: expected weight to be a Tensor, but got int"),
        (lambda: torchconv.matmul(x(3), "b"), "matmul: expected b to be a Tensor, but got str"),
        (
            lambda: torchconv.conv2d(x(), w(), stride=1.5),
            "conv2d: expected stride to hold integers, but got 1.5",
        ),
        (
            lambda: torchconv.conv2d(x(), w(), dilation=None),
            "conv2d: expected dilation to hold integers, but got None",
        ),
        (
            lambda: torchconv.conv2d(x(), w(), groups="2"),
            "conv2d: expected groups to hold integers, but got '2'",
        ),
        (
            lambda: torchconv.conv2d(x(), w(), stride=True),
            "conv2d: expected stride to hold integers, but got True",
        ),
        (
            lambda: torchconv.conv2d(x(), w(), padding=b"ab"),
            "conv2d: expected padding to hold integers, but got b'ab'",
        ),
        (
            lambda: torchconv.max_pool2d(x(), 2, ceil_mode=None),
            "max_pool2d: expected ceil_mode to be a bool, but got None",
        ),
        (
            lambda: torchconv.max_pool2d(x(), [2, None]),
            "max_pool2d: expected kernel_size to hold integers, but got None",
        ),
    ],
)
def test_wrong_python_types_are_type_errors(call, sentence):
    with pytest.raises(TypeError, match=re.escape(sentence)):
        call()


@pytest.mark.parametrize("padding", ["SAME", "full", (1, 2, 3), ()])
def test_unknown_padding_is_refused(padding):
    sentence = "conv2d: expected padding to be an int, .* 'same' or 'valid', but got "
    with pytest.raises(RuntimeError, match=sentence + re.escape(repr(padding))):
        torchconv.conv2d(x(), w(), padding=padding)


MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: torchconv.conv2d(x(1, 1, 1, 5) + 1, w(1, 1, 1, 1), None, MOST, (2, 2, 0, 0)), 0),
        (
            lambda: torchconv.conv2d(
                x(1, 1, 1, 1) + 1, w(1, 1, 1, 1) + 1, stride=MOST, padding=(2**40, 0, 0, 0)
            ),
            0,
        ),
        (lambda: torchconv.max_pool2d(x(1, 1, 1, 5000) + 1, (1, 4000), (1, MOST), (0, 2000)), 1),
        (
            lambda: torchconv.max_pool2d(
                x(1, 1, 1, 2**20) + 1, (1, 2), (1, MOST), (0, 2**40), (1, 2**41)
            ),
            -torch.inf,
        ),
        (
            lambda: ops.conv2d_backward_input(
                x(1, 1, 1, 1) + 1, w(1, 1, 1, 1) + 1, [1, 5], [1, MOST], [200000, 2, 0, 0], ONES, 1
            ),
            0,
        ),
        (
            lambda: ops.conv2d_backward_weight(
                x(1, 1, 1, 1) + 1, x(1, 1, 5, 5) + 1, [3, 3], [MOST] * 2, [2000, 2000, 2, 2],
                ONES, 1,
            ),
            0,
        ),
        (
            lambda: ops.max_pool2d_backward(
                x(1, 1, 1, 1) + 1, torch.zeros(1, 1, 1, 1, dtype=torch.uint8), [1, 2**20],
                [1, 2], [1, MOST], [0, 2**40], [1, 2**41], False,
            ),
            0,
        ),
        (
            lambda: ops.max_pool2d_gather(
                x(1, 1, 1, 200) + 1, torch.full((1, 1, 1, 1), 100, dtype=torch.uint8),
                [1, 200], [1, MOST], [0, 100], ONES, False,
            ),
            1,
        ),
    ],
)  # fmt: skip
def test_the_largest_stride_reads_nothing_outside(isa, call, expected):
    out = call()
    assert torch.equal(out, torch.full_like(out, expected))


def test_scratch_that_cannot_be_counted_is_refused():
    with pytest.raises(RuntimeError, match=r"max_pool2d_backward: expected sizes whose pro|memory"):
        ops.max_pool2d_backward(
            expanded(1, 1, 1, 2**59), torch.zeros(1, dtype=torch.uint8).expand(1, 1, 1, 2**59),
            [1, 2**59], [1, 1], ONES, [0, 0], ONES, False,
        )  # fmt: skip
    large = torchconv.max_pool2d(expanded(1, 1, 1, 2**59), (2, 2**20), (1, 2**58), (1, 0))
    assert large.tolist() == [[[[0, 0]] * 2]]


def test_too_much_memory_is_an_exception():
    with pytest.raises(RuntimeError, match="memory"):
        torchconv.conv2d(x(1, 1, 3, 3), w(1, 1, 3, 3), padding=2**21)
