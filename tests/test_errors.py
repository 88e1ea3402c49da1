"""Bad input: one sentence each, the same on every device.

Every case runs in this very process: nothing may crash it.
"""

import re

import numpy as np
import pytest
import torch
from devices import GPU
from refusals import CASES, ONES, WINDOW, expanded, ops, w, x

import torchconv


@pytest.mark.parametrize("device", ["cpu", "meta", GPU], indirect=True)
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
        (lambda t: t.cpu().to_mkldnn(), "layout Mkldnn"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.quint8), "a quantized tensor"),
    ],
    ids=["sparse", "mkldnn", "quantized"],
)
def test_tensors_without_strides_are_refused(device, call, convert, kind):
    with pytest.raises(RuntimeError) as error:
        call(convert(torch.zeros(1, 1, 2, 2)))
    pattern = r"\w+: expected \w+ to be a dense \(strided\) tensor on the CPU.*, but got " + kind
    assert re.match(pattern, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (torchconv.relu, "relu"),
        (lambda t: torchconv.max_pool2d(t, 1), "max_pool2d"),
        (lambda t: torchconv.conv2d_act_pool(t, t), "conv2d_act_pool"),
    ],
)
def test_refusals_name_the_operator_that_is_called(device, call, name):
    x = torch.zeros(1, 1, 2, 2).to_sparse().requires_grad_()
    with pytest.raises(RuntimeError, match=f"^{name}: expected x to be a dense"):
        call(x)


@pytest.mark.parametrize("convert", [torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_csc])
def test_compressed_tensors_are_refused(device, convert):
    with pytest.raises(RuntimeError, match=r"linear: expected x to be a dense \(strided\) tensor"):
        torchconv.linear(convert(torch.eye(3)), torch.eye(3))


@pytest.mark.filterwarnings("ignore:.*nested")
def test_nested_tensors_are_refused(device):
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
    ("name", "call", "expected"),
    [
        (
            "conv2d",
            lambda: torchconv.conv2d(x(1, 1, 1, 5) + 1, w(1, 1, 1, 1), None, MOST, (2, 2, 0, 0)),
            0,
        ),
        (
            "conv2d",
            lambda: torchconv.conv2d(
                x(1, 1, 1, 1) + 1, w(1, 1, 1, 1) + 1, stride=MOST, padding=(2**40, 0, 0, 0)
            ),
            0,
        ),
        (
            "max_pool2d",
            lambda: torchconv.max_pool2d(x(1, 1, 1, 5000) + 1, (1, 4000), (1, MOST), (0, 2000)),
            1,
        ),
        (
            "max_pool2d",
            lambda: torchconv.max_pool2d(
                x(1, 1, 1, 2**20) + 1, (1, 2), (1, MOST), (0, 2**40), (1, 2**41)
            ),
            -torch.inf,
        ),
        (
            "conv2d_backward_input",
            lambda: ops.conv2d_backward_input(
                x(1, 1, 1, 1) + 1, w(1, 1, 1, 1) + 1, [1, 5], [1, MOST], [200000, 2, 0, 0],
                ONES, 1, False
            ),
            0,
        ),
        (
            "conv2d_backward_weight",
            lambda: ops.conv2d_backward_weight(
                x(1, 1, 1, 1) + 1, x(1, 1, 5, 5) + 1, [3, 3], [MOST] * 2, [2000, 2000, 2, 2],
                ONES, 1, False
            ),
            0,
        ),
        (
            "max_pool2d_backward",
            lambda: ops.max_pool2d_backward(
                x(1, 1, 1, 1) + 1, torch.zeros(1, 1, 1, 1, dtype=torch.uint8), [1, 2**20],
                [1, 2], [1, MOST], [0, 2**40], [1, 2**41], False,
            ),
            0,
        ),
        (
            "max_pool2d_gather",
            lambda: ops.max_pool2d_gather(
                x(1, 1, 1, 200) + 1, torch.full((1, 1, 1, 1), 100, dtype=torch.uint8),
                [1, 200], [1, MOST], [0, 100], ONES, False,
            ),
            1,
        ),
    ],
)  # fmt: skip
def test_the_largest_stride_reads_nothing_outside(kernels, name, call, expected):
    if "cuda" in kernels and name.startswith("conv2d"):  # whose places are counted in 32 bits
        with pytest.raises(RuntimeError, match=rf"{name}: expected .* less than 2\^29 on a GPU"):
            call()
        return
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


def test_too_much_memory_is_an_exception(device):
    with pytest.raises(RuntimeError, match="memory"):
        torchconv.conv2d(x(1, 1, 3, 3), w(1, 1, 3, 3), padding=2**21)
