"""conv2d and its gradients: against float64, exactly on whole numbers, in every layout."""

from functools import partial

import numpy as np
import pytest
import torch
from accuracy import (
    FLOATS,
    assert_matches_float64,
    assert_sum_close,
    double,
    same_on_any_threads,
    small_integers,
)
from layouts import LAYOUTS, channels_last, contiguous, in_layout

import torchconv

# (x, weight, arguments): tile edges, every argument alone, and the odd ones together.
CASES = {
    "1x1": ((2, 5, 7, 9), (6, 5, 1, 1), {}),
    "1x1-stride": ((2, 5, 8, 9), (6, 5, 1, 1), {"stride": 2}),
    "3x3": ((2, 3, 8, 9), (4, 3, 3, 3), {}),
    "3x3-same": ((1, 3, 17, 16), (13, 3, 3, 3), {"padding": 1}),
    "5x5-lenet": ((3, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    "7x7-first-layer": ((1, 3, 33, 31), (17, 3, 7, 7), {"stride": 2, "padding": 3}),
    "11x11-stride-4": ((1, 3, 43, 47), (5, 3, 11, 11), {"stride": 4}),
    "tall": ((2, 3, 12, 5), (4, 3, 5, 1), {"padding": (2, 0)}),
    "wide": ((2, 3, 5, 12), (4, 3, 1, 5), {"stride": (1, 2), "padding": (0, 2)}),
    "dilation": ((2, 4, 13, 15), (6, 4, 3, 3), {"dilation": (2, 3), "padding": (2, 3)}),
    "dilation-stride": ((1, 2, 14, 15), (3, 2, 3, 2), {"dilation": 3, "stride": (3, 2)}),
    "stride-over-kernel": ((2, 2, 13, 14), (3, 2, 2, 2), {"stride": (4, 5)}),
    "four-sided": ((2, 3, 6, 7), (4, 3, 3, 2), {"padding": (1, 2, 0, 3), "stride": 2}),
    "padding-over-kernel": ((1, 2, 3, 4), (3, 2, 2, 2), {"padding": 4, "stride": 3}),
    "groups": ((2, 6, 9, 8), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise": ((2, 7, 9, 10), (7, 1, 3, 3), {"groups": 7, "padding": 1, "stride": 2}),
    "depthwise-multiplier": ((1, 3, 6, 6), (6, 1, 3, 3), {"groups": 3}),
    "patches": ((2, 3, 8, 12), (10, 3, 4, 3), {"stride": (4, 3)}),
    "kernel-is-input": ((3, 4, 5, 6), (2, 4, 5, 6), {}),
    "many-taps": ((1, 37, 9, 9), (5, 37, 3, 3), {"padding": 1}),
    "many-channels": ((1, 9, 6, 5), (100, 9, 2, 2), {}),
    "many-pixels": ((1, 2, 20, 41), (13, 2, 3, 3), {"padding": 1}),
    "one-pixel-taps": ((8, 2, 1, 1), (16, 2, 1, 2), {"padding": (0, 1)}),
    "one-pixel": ((5, 3, 1, 1), (4, 3, 1, 1), {}),
    "empty-batch": ((0, 3, 8, 8), (4, 3, 3, 3), {"padding": 1}),
    "unbatched": ((3, 8, 9), (4, 3, 3, 3), {"padding": 1}),
}
cases = pytest.mark.parametrize("case", CASES)


def reference(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    """torch's own convolution, after padding by hand where it has no such argument."""
    if isinstance(padding, tuple) and len(padding) == 4:
        x, padding = torch.nn.functional.pad(x, padding), 0
    return torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def inputs(case, dtype, bias=True, fill=torch.randn):
    x, weight, options = CASES[case]
    tensors = [fill(x), fill(weight), fill(weight[:1]) if bias else None]
    return [t if t is None else t.to(dtype).requires_grad_() for t in tensors], options


def gradients(out, inputs, grad_out):
    return torch.autograd.grad(out, [t for t in inputs if t is not None], grad_out)


@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_conv2d_matches_float64(kernels, dtype, case):
    given, options = inputs(case, dtype)
    assert_matches_float64(
        partial(torchconv.conv2d, **options), partial(reference, **options), given
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_conv2d_is_exact_on_small_integers_in_any_layout(kernels, dtype, case, layout):
    def whole(shape):
        return small_integers(*shape, dtype=torch.float32, most=1)

    given, options = inputs(case, dtype, fill=whole)
    given = [in_layout(layout, t) for t in given]
    out = torchconv.conv2d(*given, **options)
    values = double(*given)
    expected = reference(*values, **options)
    assert torch.equal(out, expected.to(dtype))
    grad_out = in_layout(layout, whole(out.shape).to(dtype))
    wanted = gradients(expected, values, grad_out.double())
    for grad, value in zip(gradients(out, given, grad_out), wanted, strict=True):
        assert torch.equal(grad, value.to(dtype))


@pytest.mark.parametrize("x_layout", [contiguous, channels_last])
@pytest.mark.parametrize("weight_layout", [contiguous, channels_last])
@pytest.mark.parametrize("dtype", FLOATS)
def test_conv2d_returns_the_memory_format_that_torch_returns(dtype, x_layout, weight_layout):
    x = x_layout(torch.randn(2, 4, 6, 7).to(dtype)).requires_grad_()
    weight = weight_layout(torch.randn(8, 4, 3, 3).to(dtype)).requires_grad_()
    ours, torchs = torchconv.conv2d(x, weight), torch.nn.functional.conv2d(x, weight)
    assert ours.stride() == torchs.stride()
    strides = []
    for out in (ours, torchs):
        x.grad = weight.grad = None
        out.backward(torch.ones_like(out))
        strides.append((x.grad.stride(), weight.grad.stride()))
    assert strides[0] == strides[1]


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 3)], ids=str)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [(6, 7), (9, 8), (1, 10)], ids=str)
def test_same_padding_follows_tensorflow(stride, kernel, dilation, size):
    x, weight = torch.randn(1, 2, *size), torch.randn(3, 2, kernel, kernel)
    out = torchconv.conv2d(x, weight, None, stride, "same", dilation)
    steps = (stride, stride) if isinstance(stride, int) else stride
    assert out.shape[2:] == tuple(-(-n // s) for n, s in zip(size, steps, strict=True))
    amounts = []  # (before, after), width first, from the rule in TensorFlow's documentation
    for n, s in reversed(list(zip(size, steps, strict=True))):
        extent = (kernel - 1) * dilation + 1
        total = max(extent - s, 0) if n % s == 0 else max(extent - n % s, 0)
        amounts += [total // 2, total - total // 2]
    torch.testing.assert_close(out, reference(x, weight, None, stride, tuple(amounts), dilation))
    if stride == 1:
        torch.testing.assert_close(
            out, torch.nn.functional.conv2d(x, weight, None, 1, "same", dilation)
        )


def test_valid_padding_is_none():
    x, weight = torch.randn(1, 2, 6, 7), torch.randn(3, 2, 3, 3)
    assert torch.equal(
        torchconv.conv2d(x, weight, padding="valid"), torchconv.conv2d(x, weight, padding=0)
    )


def test_arguments_may_be_lists_or_single():
    x, weight = torch.randn(1, 2, 9, 9), torch.randn(3, 2, 3, 3)
    expected = torchconv.conv2d(x, weight, None, (2, 2), (1, 1), (2, 2))
    assert torch.equal(torchconv.conv2d(x, weight, None, [2], [1], torch.Size([2, 2])), expected)
    two, one = np.int64(2), np.array([1, 1])
    assert torch.equal(torchconv.conv2d(x, weight, None, two, one, two), expected)


def test_conv2d_result_depends_neither_on_threads_nor_on_the_batch(kernels):
    x, weight = torch.randn(5, 16, 30, 31), torch.randn(24, 16, 3, 3, requires_grad=True)
    x.requires_grad_()

    def all_results(x):
        out = torchconv.conv2d(x, weight, padding=1)
        return out, *torch.autograd.grad(out, (x, weight), torch.ones_like(out))

    whole = same_on_any_threads(lambda: all_results(x))
    for i in range(5):
        alone = all_results(x[i : i + 1].detach().requires_grad_())
        assert torch.equal(alone[0][0], whole[0][i])
        assert torch.equal(alone[1][0], whole[1][i])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_conv2d_weight_gradient_of_long_sums_keeps_its_accuracy(kernels, dtype):
    x, grad_out = torch.rand(8, 2, 160, 160).to(dtype), torch.rand(8, 3, 160, 160).to(dtype)
    grad = torch.ops.torchconv.conv2d_backward_weight(
        grad_out, x, [3, 3], [1, 1], [1] * 4, [1, 1], 1, False
    )
    expected = torch.nn.grad.conv2d_weight(x.double(), (3, 2, 3, 3), grad_out.double(), padding=1)
    assert_sum_close(grad, expected, expected)
    bias = torch.ops.torchconv.conv2d_backward_bias(grad_out, None)
    assert_sum_close(bias, grad_out.double().sum((0, 2, 3)), grad_out.double().sum((0, 2, 3)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("groups", [1, 3])
def test_conv2d_weight_gradient_in_chunks_is_exact(kernels, dtype, groups, layout):
    # 3 * 47 * 53 terms make several chunks, the last one shorter.
    x = in_layout(layout, small_integers(3, 6, 47, 53, dtype=dtype, most=1))
    grad_out = in_layout(layout, small_integers(3, 9, 47, 53, dtype=dtype, most=1))
    grad = torch.ops.torchconv.conv2d_backward_weight(
        grad_out, x, [3, 3], [1, 1], [1] * 4, [1, 1], groups, False
    )
    expected = torch.nn.grad.conv2d_weight(
        x.double(), (9, 6 // groups, 3, 3), grad_out.double(), padding=1, groups=groups
    )
    assert torch.equal(grad, expected.to(dtype))


@pytest.mark.parametrize(
    "case", ["3x3", "wide", "dilation-stride", "four-sided", "groups", "depthwise", "unbatched"]
)
def test_conv2d_gradcheck(kernels, case):
    x, weight, options = CASES[case]
    smaller = (*x[:-2], min(x[-2], 9), min(x[-1], 9))
    shapes = [(1, *smaller[1:]) if len(x) == 4 else smaller, weight, weight[:1]]
    given = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def call(*tensors):
        return torchconv.conv2d(*tensors, **options)

    assert torch.autograd.gradcheck(call, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, given, fast_mode=True)


@pytest.mark.parametrize(("channels", "filters"), [(0, 4), (3, 0), (0, 0)])
def test_conv2d_without_channels_sums_nothing(kernels, channels, filters):
    # torch has no word on this; an empty sum is zero.
    x = torch.randn(2, channels, 5, 6, requires_grad=True)
    weight = torch.randn(filters, channels, 3, 3, requires_grad=True)
    bias = torch.randn(filters, requires_grad=True)
    out = torchconv.conv2d(x, weight, bias)
    assert torch.equal(out, bias.view(1, -1, 1, 1).expand(2, filters, 3, 4))
    out.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
    assert torch.equal(weight.grad, torch.zeros_like(weight))
    assert torch.equal(bias.grad, torch.full_like(bias, 24))


@pytest.mark.parametrize("needed", range(8))
def test_conv2d_computes_only_the_gradients_asked_for(needed):
    given, options = inputs("3x3-same", torch.float64)
    for bit, tensor in enumerate(given):
        tensor.requires_grad_(bool(needed >> bit & 1))
    out = torchconv.conv2d(*given, **options)
    assert out.requires_grad == (needed > 0)
    if not needed:
        return
    kept = {t.data_ptr() for t in out.grad_fn.saved_tensors if t is not None}
    x, weight, _ = given
    assert (x.data_ptr() in kept) == weight.requires_grad
    assert (weight.data_ptr() in kept) == x.requires_grad
    out.sum().backward()
    values = double(*given)
    reference(*values, **options).sum().backward()
    for tensor, value in zip(given, values, strict=True):
        assert (tensor.grad is None) == (value.grad is None)
        if value.grad is not None:
            torch.testing.assert_close(tensor.grad, value.grad)


def test_a_frozen_weight_does_not_keep_the_input_alive():
    x = torch.randn(1, 3, 8, 8, requires_grad=True) * 1
    weight = torch.randn(4, 3, 3, 3)
    out = torchconv.conv2d(x, weight)
    references = [t.data_ptr() for t in out.grad_fn.saved_tensors if t is not None]
    assert references == [weight.data_ptr()]


def test_changing_a_saved_tensor_in_place_is_noticed():
    x, weight = torch.randn(1, 3, 8, 8) * 1, torch.randn(4, 3, 3, 3, requires_grad=True)
    out = torchconv.conv2d(x, weight)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
