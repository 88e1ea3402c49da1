"""Every algorithm of conv2d, forced: exact on whole numbers, equal bits, and what a plan tells."""

import re

import pytest
import torch
from accuracy import FLOATS, small_integers
from layouts import LAYOUTS, in_layout

import torchconv
from torchconv import backends

# x, weight, stride, padding (left, right, top, bottom), dilation, groups
SHAPES = {
    "1x1": ((3, 40, 6, 7), (37, 40, 1, 1), [1, 1], [0, 0, 0, 0], [1, 1], 1),
    "1x1-stride": ((2, 33, 9, 8), (65, 33, 1, 1), [2, 3], [0, 0, 0, 0], [1, 1], 1),
    "3x3": ((2, 19, 14, 13), (34, 19, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "3x3-small-images": ((5, 8, 4, 5), (20, 8, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "3x3-stride-2": ((2, 9, 15, 16), (14, 9, 3, 3), [2, 2], [1, 1, 1, 1], [1, 1], 1),
    "2x4-stride-3-2": ((1, 7, 16, 17), (6, 7, 2, 4), [3, 2], [0, 3, 2, 1], [1, 1], 1),
    "first-layer": ((2, 3, 31, 29), (18, 3, 7, 7), [2, 2], [3, 3, 3, 3], [1, 1], 1),
    "wide-rows": ((1, 2, 3, 500), (3, 2, 2, 3), [1, 1], [1, 1, 0, 0], [1, 1], 1),
    "far-taps": ((1, 3, 12, 40), (5, 3, 2, 2), [1, 2], [0, 0, 0, 0], [9, 31], 1),
    "many-taps": ((1, 2, 20, 22), (4, 2, 17, 18), [1, 1], [2, 1, 0, 3], [1, 1], 1),
    "more-taps-than-fit": ((1, 70, 24, 20), (13, 70, 17, 18), [1, 1], [0, 0, 0, 0], [1, 1], 1),
    "long-sum": ((1, 520, 5, 5), (6, 520, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "groups": ((2, 12, 9, 8), (20, 3, 3, 3), [1, 2], [1, 0, 1, 2], [2, 1], 4),
    "groups-of-4": ((2, 24, 13, 21), (24, 4, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 6),
    "groups-stride-2": ((2, 32, 15, 14), (16, 8, 3, 3), [2, 2], [1, 1, 1, 1], [1, 1], 4),
    "groups-of-32": ((3, 64, 7, 7), (70, 32, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 2),
    "groups-of-pixels": ((2, 15, 6, 9), (10, 3, 1, 1), [1, 1], [0, 0, 0, 0], [1, 1], 5),
    "groups-far-taps": ((1, 6, 30, 33), (4, 3, 2, 3), [3, 2], [4, 0, 0, 7], [9, 11], 2),
    "groups-wide-rows": ((2, 4, 5, 1500), (6, 2, 3, 2), [1, 1], [1, 1, 1, 0], [1, 1], 2),
    "groups-many-blocks": ((37, 4, 34, 35), (4, 2, 3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 2),
    "depthwise": ((2, 9, 8, 11), (9, 1, 3, 3), [2, 1], [1, 1, 1, 1], [1, 1], 9),
}
PLAIN = ([1, 1], [0, 0, 0, 0], [1, 1])  # stride, padding, dilation
KERNELS = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")
ALGORITHMS = ["channels", "pixels", "grouped"]
shapes = pytest.mark.parametrize("shape", SHAPES)


def operands(shape, dtype, layout, fill):
    x, weight, stride, padding, dilation, groups = SHAPES[shape]
    meta = [torch.empty(s, device="meta") for s in (x, weight)]
    out = torch.ops.torchconv.conv2d(*meta, None, stride, padding, dilation, groups)
    return [in_layout(layout, fill(*s, dtype=dtype)) for s in (x, weight, out.shape)]


def run(shape, tensors):
    """The convolution and its two gradients."""
    x, weight, grad_out = tensors
    steps = SHAPES[shape][2:]
    ops = torch.ops.torchconv
    return [
        ops.conv2d(x, weight, None, *steps),
        ops.conv2d_backward_input(grad_out, weight, x.shape[2:], *steps),
        ops.conv2d_backward_weight(grad_out, x, weight.shape[2:], *steps),
    ]


def reference(shape, tensors):
    x, weight, grad_out = (t.double() for t in tensors)
    _, _, stride, padding, dilation, groups = SHAPES[shape]
    x, weight = x.requires_grad_(), weight.requires_grad_()
    padded = torch.nn.functional.pad(x, padding)
    out = torch.nn.functional.conv2d(padded, weight, None, stride, 0, dilation, groups)
    return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@shapes
def test_every_algorithm_is_exact_on_small_integers(isa, dtype, shape, layout, algorithm):
    tensors = operands(shape, dtype, layout, small_integers)
    with backends.conv2d_algorithm(algorithm):
        results = run(shape, tensors)
    for kernel, got, expected in zip(KERNELS, results, reference(shape, tensors), strict=True):
        assert torch.equal(got, expected.to(dtype)), kernel


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@shapes
def test_every_algorithm_matches_float64(isa, shape, algorithm):
    tensors = operands(shape, torch.float32, LAYOUTS[0], torch.randn)
    with backends.conv2d_algorithm(algorithm):
        results = run(shape, tensors)
    magnitudes = reference(shape, [t.abs() for t in tensors])
    for got, expected, sum_of_terms in zip(
        results, reference(shape, tensors), magnitudes, strict=True
    ):
        error = (got.double() - expected).abs() / sum_of_terms.clamp(min=1e-30)
        assert error.max() < 16 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@shapes
def test_no_algorithm_lets_threads_or_the_batch_change_a_bit(isa, shape, algorithm):
    tensors = operands(shape, torch.float32, LAYOUTS[0], torch.randn)
    threads = torch.get_num_threads()
    with backends.conv2d_algorithm(algorithm):
        try:
            results = []
            for number in (1, 2, 3):
                torch.set_num_threads(number)
                results.append(run(shape, tensors))
        finally:
            torch.set_num_threads(threads)
        alone = run(shape, [tensors[0][-1:], tensors[1], tensors[2][-1:]])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))
    for kernel in (0, 1):
        assert torch.equal(results[0][kernel][-1:], alone[kernel])


@shapes
def test_algorithms_add_the_same_terms_in_the_same_order(isa, shape):
    tensors = operands(shape, torch.float32, LAYOUTS[0], torch.randn)
    results = []
    for algorithm in ALGORITHMS:
        with backends.conv2d_algorithm(algorithm):
            results.append(run(shape, tensors))
    for kernel in (0, 1):  # blocks of the weight gradient do not depend on the algorithm, lanes do
        for other in results[1:]:
            assert torch.equal(results[0][kernel], other[kernel]), KERNELS[kernel]


@pytest.mark.parametrize("width", [4, 14, 30])
def test_infinite_weights_meet_the_same_with_any_number_of_threads(isa, width):
    x, weight = torch.randn(2, 3, 32, width), torch.full((5, 3, 3, 3), torch.inf)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(torchconv.conv2d(x, weight, padding=1))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=0, atol=0, equal_nan=True)


def test_strided_gradients_multiply_no_zeros_between_steps(isa):
    weight = torch.full((4, 3, 1, 1), torch.inf)
    grad_x = torch.ops.torchconv.conv2d_backward_input(
        torch.ones(1, 4, 3, 3), weight, [6, 6], [2, 2], [0, 0, 0, 0], [1, 1], 1
    )
    assert not grad_x.isnan().any()
    assert grad_x[..., ::2, ::2].isinf().all()
    assert not grad_x[..., 1::2, 1::2].any()


def test_explain_conv2d_tells_what_runs():
    x, weight = torch.empty(4, 64, 28, 28), torch.empty(64, 64, 3, 3)
    plans = backends.explain_conv2d(x, weight, padding="same")
    assert list(plans) == ["forward", "backward_input", "backward_weight"]
    assert all(p.algorithm == "winograd_4x4" and p.items > 0 for p in plans.values())
    assert all(p.images > 1 and p.rows == p.columns == 4 for p in plans.values())
    plans = backends.explain_conv2d(x, weight, stride=2)
    assert all(p.algorithm == "channels" and p.items > 0 for p in plans.values())
    with backends.conv2d_algorithm("pixels"):
        assert backends.explain_conv2d(x, weight)["forward"].algorithm == "pixels"
    grouped = backends.explain_conv2d(x, torch.empty(64, 4, 3, 3), groups=16)
    assert grouped["backward_weight"].algorithm == "grouped"
    depthwise = backends.explain_conv2d(x.to("meta"), weight[:, :1], groups=64)
    assert {p.algorithm for p in depthwise.values()} == {"depthwise"}


# Large in every way that could make scratch grow.
@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((64, 512, 56, 56), (512, 512, 3, 3), {"padding": 1}),
        ((256, 3, 224, 224), (64, 3, 7, 7), {"stride": 2}),
        ((1, 4, 8192, 8192), (4, 4, 3, 3), {"dilation": 2000}),
        ((1, 8, 1024, 1024), (8, 8, 301, 301), {}),
        ((1, 16, 4, 300_000), (16, 16, 1, 255), {"stride": 3}),
        ((1, 8192, 7, 7), (8192, 8192, 1, 1), {}),
        ((1, 3, 1024, 1024), (768, 3, 16, 16), {"stride": 16}),
    ],
    ids=str,
)
def test_scratch_is_a_few_mebibytes_for_every_shape(x, weight, options):
    x, weight = torch.empty(x, device="meta"), torch.empty(weight, device="meta")
    for dtype in (torch.float32, torch.float64):
        plans = backends.explain_conv2d(x.to(dtype), weight.to(dtype), **options)
        for kernel, plan in plans.items():
            assert plan.scratch_bytes < 16 * 2**20, (kernel, plan)


@pytest.mark.parametrize(
    ("x", "weight"),
    [((0, 3, 8, 8), (4, 3, 3, 3)), ((1, 3, 8, 8), (0, 3, 3, 3)), ((1, 0, 8, 8), (4, 0, 3, 3))],
    ids=str,
)
def test_nothing_needs_no_plan(x, weight):
    plans = backends.explain_conv2d(torch.ones(x), torch.ones(weight))
    assert {p.algorithm for p in plans.values()} == {"none"}


def test_depthwise_gradient_without_output_channels_is_zero(isa):
    grad_out, weight = torch.ones(1, 0, 6, 6), torch.ones(0, 1, 3, 3)
    none = ([1, 1], [0] * 4, [1, 1], 4)
    assert not torch.ops.torchconv.conv2d_backward_input(grad_out, weight, [8, 8], *none).any()


@pytest.mark.parametrize(
    ("channels", "kernel", "stride"),
    [(1, 1, 1000), (3, 3, 2**13), (1, 1, 2**31), (3, 3, 2**40), (1, 1, 2**61), (4, 2, 2**61)],
)
@pytest.mark.parametrize("algorithm", ["automatic", *ALGORITHMS])
def test_large_strides_take_little_scratch(isa, channels, kernel, stride, algorithm):
    x = torch.ones(1, channels, 8, 8)
    steps = ([stride] * 2, [stride, 0, stride, 0], [1, 1], 1)
    with backends.conv2d_algorithm(algorithm):
        out = torch.ops.torchconv.conv2d(x, torch.ones(16, channels, kernel, kernel), None, *steps)
        grad = torch.ops.torchconv.conv2d_backward_weight(out, x, [kernel] * 2, *steps)
    assert out[0, 0, -1, -1] == channels * kernel**2
    assert torch.equal(grad, torch.full_like(grad, channels * kernel**2))


@pytest.mark.parametrize("layout", LAYOUTS[:2])
@pytest.mark.parametrize("stride", [2**31, 2**61])
@pytest.mark.parametrize("algorithm", ["automatic", *ALGORITHMS])
def test_groups_with_large_strides(isa, stride, layout, algorithm):
    x, weight = (in_layout(layout, torch.ones(s)) for s in ((1, 32, 5, 5), (32, 4, 3, 3)))
    steps = ([stride] * 2, [stride, 0, stride, 0], [1, 1], 8)
    with backends.conv2d_algorithm(algorithm):
        out = torch.ops.torchconv.conv2d(x, weight, None, *steps)
        grad = torch.ops.torchconv.conv2d_backward_weight(out, x, [3, 3], *steps)
        grad_x = torch.ops.torchconv.conv2d_backward_input(out, weight, [5, 5], *steps)
    assert torch.equal(out[..., -1, -1], torch.full((1, 32), 36.0))
    assert torch.equal(grad, torch.full_like(grad, 36))
    assert torch.equal(grad_x[..., :3, :3], torch.full((1, 32, 3, 3), 4 * 36.0))


@pytest.mark.parametrize("algorithm", ["automatic", *ALGORITHMS])
def test_dilation_of_a_single_tap_means_nothing(isa, algorithm):
    with backends.conv2d_algorithm(algorithm):
        out = torch.ops.torchconv.conv2d(
            torch.ones(1, 4, 1, 1), torch.ones(16, 4, 1, 1), None, [1, 1], [0] * 4, [1, 2**40], 1
        )
    assert torch.equal(out, torch.full_like(out, 4))


def test_an_unknown_algorithm_is_refused():
    names = "automatic, channels, pixels, depthwise, grouped, winograd_2x2, winograd_4x4"
    expected = f"conv2d_algorithm: expected name to be one of {names}"
    with (
        pytest.raises(ValueError, match=re.escape(expected) + ", but got 'winograd'"),
        backends.conv2d_algorithm("winograd"),
    ):
        pass
    assert torchconv._C.get_conv2d_algorithm() == "automatic"


def test_explain_conv2d_refuses_what_conv2d_refuses():
    with pytest.raises(RuntimeError, match=r"conv2d: expected weight.size\(1\) == 3"):
        backends.explain_conv2d(torch.empty(1, 3, 8, 8), torch.empty(4, 4, 3, 3))
    with pytest.raises(TypeError, match="explain_conv2d: expected x to be a Tensor"):
        backends.explain_conv2d([1], torch.empty(4, 4, 3, 3))


@pytest.mark.parametrize("algorithm", ["automatic", *ALGORITHMS])
@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_infinities_reach_the_taps_that_meet_them_and_no_other(isa, layout, algorithm):
    """Pixels that no output has, between the rows of a strip, are not multiplied even by zero."""
    x = torch.ones(1, 8, 9, 11)
    x[:, 1, -1, -1] = torch.inf
    x, grad_out = in_layout(layout, x), in_layout(layout, torch.ones(1, 8, 7, 9))
    with backends.conv2d_algorithm(algorithm):
        grad = torch.ops.torchconv.conv2d_backward_weight(grad_out, x, [3, 3], *PLAIN, 2)
    expected = torch.full_like(grad, 63)
    expected[:4, 1, 2, 2] = torch.inf
    assert torch.equal(grad, expected)
