"""Depthwise convolution, which has kernels of its own: geometry, layouts, sums, infinities."""

import itertools
from functools import partial

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

# (channels, multiplier, input, kernel, arguments)
CASES = {
    "mobilenet": (20, 1, (14, 14), (3, 3), {"padding": 1}),
    "mobilenet-stride": (9, 1, (28, 30), (3, 3), {"padding": 1, "stride": 2}),
    "narrow": (35, 1, (7, 7), (3, 3), {"padding": 1}),
    "one-row": (5, 1, (1, 40), (3, 3), {"padding": 1}),
    "one-column": (5, 1, (40, 1), (3, 3), {"padding": 1}),
    "valid": (17, 1, (9, 37), (3, 3), {}),
    "padding-over-kernel": (3, 1, (4, 5), (3, 3), {"padding": 4}),
    "5x5": (18, 1, (11, 19), (5, 5), {"padding": 2}),
    "5x5-stride": (6, 1, (15, 17), (5, 5), {"padding": (1, 2, 2, 1), "stride": 2}),
    "7x7": (6, 1, (16, 18), (7, 7), {"padding": 3}),
    "31x31": (3, 1, (20, 24), (31, 31), {"padding": 15}),
    "global": (40, 1, (7, 7), (7, 7), {}),
    "1x1": (33, 1, (5, 6), (1, 1), {}),
    "dilation": (4, 1, (17, 40), (3, 3), {"padding": 2, "dilation": 2}),
    "wide-dilation": (3, 1, (41, 43), (3, 3), {"padding": 18, "dilation": 18}),
    "stride-3": (5, 1, (16, 20), (4, 3), {"padding": (0, 1, 2, 1), "stride": (3, 2)}),
    "stride-over-kernel": (5, 1, (13, 14), (2, 2), {"stride": (4, 5)}),
    "stride-dilation": (5, 1, (15, 22), (3, 2), {"stride": 2, "dilation": (3, 2), "padding": 3}),
    "tiles": (32, 1, (14, 14), (3, 3), {"padding": 1}),
    "tiles-uneven": (37, 1, (9, 17), (3, 3), {"padding": (1, 0, 2, 1)}),
    "tiles-stride": (40, 1, (15, 16), (3, 3), {"padding": 1, "stride": 2}),
    "tiles-stride-valid": (21, 1, (12, 17), (3, 3), {"stride": 2}),
    "tiles-stride-far-padding": (16, 1, (6, 5), (3, 3), {"padding": (2, 3, 4, 1), "stride": 2}),
    "tiles-of-one-pixel": (17, 1, (1, 1), (3, 3), {"padding": 1}),
    "planes-too-large-to-turn": (17, 1, (20, 18), (3, 3), {"padding": 1}),
    "two-bands": (2, 1, (90, 131), (3, 3), {"padding": 1}),
    "two-blocks": (280, 1, (5, 6), (3, 3), {"padding": 1}),
    "multiplier": (6, 3, (9, 20), (3, 3), {"padding": 1}),
    "multiplier-stride": (5, 2, (12, 33), (3, 3), {"padding": 1, "stride": 2}),
    "too-wide-for-scratch": (2, 1, (3, 50_000), (3, 3), {"padding": 1}),
}
cases = pytest.mark.parametrize("case", CASES)


def inputs(case, dtype, fill=torch.randn, batch=2):
    channels, multiplier, size, kernel, options = CASES[case]
    filters = channels * multiplier
    tensors = fill((batch, channels, *size)), fill((filters, 1, *kernel)), fill((filters,))
    return [t.to(dtype).requires_grad_() for t in tensors], {**options, "groups": channels}


def reference(x, weight, bias, padding=0, **options):
    """torch's own convolution, with four-sided padding done by hand."""
    if isinstance(padding, tuple):
        x, padding = torch.nn.functional.pad(x, padding), 0
    return torch.nn.functional.conv2d(x, weight, bias, padding=padding, **options)


def all_results(x, weight, bias, grad_out, **options):
    out = torchconv.conv2d(x, weight, bias, **options)
    return [out.detach(), *torch.autograd.grad(out, (x, weight, bias), grad_out)]


@pytest.mark.parametrize("layout", [contiguous, channels_last])
@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_depthwise_matches_float64(isa, dtype, case, layout):
    (x, *others), options = inputs(case, dtype)
    assert_matches_float64(
        partial(torchconv.conv2d, **options),
        partial(reference, **options),
        [in_layout(layout, x), *others],
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_depthwise_is_exact_on_small_integers_in_any_layout(kernels, dtype, case, layout):
    if kernels == "cuda_on_host" and case == "too-wide-for-scratch":
        pytest.skip("a GPU has no such scratch, and its fibers would sum a bias for a minute")

    def whole(shape):
        return small_integers(*shape, dtype=torch.float32, most=1)

    given, options = inputs(case, dtype, fill=whole)
    given = [in_layout(layout, t) for t in given]
    values = double(*given)
    expected = reference(*values, **options)
    grad_out = in_layout(layout, whole(expected.shape).to(dtype))
    wanted = [expected, *torch.autograd.grad(expected, values, grad_out.double())]
    for result, value in zip(all_results(*given, grad_out, **options), wanted, strict=True):
        assert torch.equal(result, value.to(dtype))


@pytest.mark.parametrize("layout", [contiguous, channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@cases
def test_depthwise_result_depends_neither_on_threads_nor_on_the_batch(isa, dtype, case, layout):
    given, options = inputs(case, dtype, batch=3)
    given[0] = in_layout(layout, given[0])
    grad_out = layout(torch.randn_like(torchconv.conv2d(*given, **options)))
    whole = same_on_any_threads(lambda: all_results(*given, grad_out, **options))
    x, *others = given
    for i in range(3):
        alone = all_results(x[i : i + 1], *others, grad_out[i : i + 1], **options)
        for one, many in zip(alone[:2], whole[:2], strict=True):
            assert torch.equal(one[0], many[i])


@pytest.mark.parametrize("layout", [contiguous, channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(8, 3, 160, 160), (4, 18, 100, 99), (300, 17, 14, 14)])
def test_depthwise_weight_gradient_of_long_sums_keeps_its_accuracy(kernels, dtype, layout, shape):
    x, grad_out = (layout(torch.rand(shape).to(dtype)) for _ in range(2))
    channels = shape[1]
    grad = torch.ops.torchconv.conv2d_backward_weight(
        grad_out, x, [3, 3], [1, 1], [1] * 4, [1, 1], channels, False
    )
    expected = torch.nn.grad.conv2d_weight(
        x.double(), (channels, 1, 3, 3), grad_out.double(), padding=1, groups=channels
    )
    assert_sum_close(grad, expected, expected)


@pytest.mark.parametrize("layout", [contiguous, channels_last])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [14, 20])
def test_depthwise_gradients_multiply_only_what_belongs_together(isa, layout, stride, size):
    """An infinity reaches the results that its tap or pixel takes part in, and no other."""
    channels = 18
    x, weight = layout(torch.randn(1, channels, size, size)), torch.randn(channels, 1, 3, 3)
    options = {"stride": stride, "groups": channels}  # no padding, whose zeros do count
    grad_out = layout(torch.randn_like(torchconv.conv2d(x, weight, **options)))
    geometry = [stride, stride], [0] * 4, [1, 1], channels
    for row, col in itertools.product((0, 1, 9, size - 2, size - 1), repeat=2):
        infinite = x.clone(memory_format=torch.preserve_format)
        infinite[..., row, col] = torch.inf
        grad = torch.ops.torchconv.conv2d_backward_weight(
            grad_out, infinite, [3, 3], *geometry, False
        )
        out_size = grad_out.shape[-1]
        for r, s in itertools.product(range(3), repeat=2):
            (p, p_off), (q, q_off) = divmod(row - r, stride), divmod(col - s, stride)
            met = p_off == q_off == 0 and 0 <= p < out_size and 0 <= q < out_size
            assert torch.all(grad[:, 0, r, s].isfinite() != met)
    if stride == 2:  # the middle tap meets the odd pixels alone
        weight[:, :, 1, 1] = torch.inf
        grad = torch.ops.torchconv.conv2d_backward_input(
            grad_out, weight, [size, size], *geometry, False
        )
        finite = grad.isfinite()
        assert torch.all(finite[..., ::2, :])
        assert torch.all(finite[..., :, ::2])
        assert not torch.any(
            finite[..., 1 : 2 * grad_out.shape[-1] : 2, 1 : 2 * grad_out.shape[-1] : 2]
        )
