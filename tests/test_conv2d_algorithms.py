"""Every algorithm of conv2d, forced: exact on whole numbers, equal bits, and what a plan tells."""

import re

import pytest
import torch
from accuracy import FLOATS, same_on_any_threads, small_integers
from convolutions import KERNELS, Convolution
from layouts import LAYOUTS, in_layout

import torchconv
from torchconv import backends

SHAPES = {
    "1x1": Convolution((3, 40, 6, 7), (37, 40, 1, 1)),
    "1x1-stride": Convolution((2, 33, 9, 8), (65, 33, 1, 1), stride=(2, 3)),
    "3x3": Convolution((2, 19, 14, 13), (34, 19, 3, 3), padding=(1, 1, 1, 1)),
    "3x3-small-images": Convolution((5, 8, 4, 5), (20, 8, 3, 3), padding=(1, 1, 1, 1)),
    "3x3-stride-2": Convolution((2, 9, 15, 16), (14, 9, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    "2x4-stride-3-2": Convolution(
        (1, 7, 16, 17), (6, 7, 2, 4), stride=(3, 2), padding=(0, 3, 2, 1)
    ),
    "first-layer": Convolution((2, 3, 31, 29), (18, 3, 7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),
    "wide-rows": Convolution((1, 2, 3, 500), (3, 2, 2, 3), padding=(1, 1, 0, 0)),
    "far-taps": Convolution((1, 3, 12, 40), (5, 3, 2, 2), stride=(1, 2), dilation=(9, 31)),
    "many-taps": Convolution((1, 2, 20, 22), (4, 2, 17, 18), padding=(2, 1, 0, 3)),
    "more-taps-than-fit": Convolution((1, 70, 24, 20), (13, 70, 17, 18)),
    "long-sum": Convolution((1, 520, 5, 5), (6, 520, 3, 3), padding=(1, 1, 1, 1)),
    "groups": Convolution(
        (2, 12, 9, 8), (20, 3, 3, 3), stride=(1, 2), padding=(1, 0, 1, 2), dilation=(2, 1), groups=4
    ),
    "groups-of-4": Convolution((2, 24, 13, 21), (24, 4, 3, 3), padding=(1, 1, 1, 1), groups=6),
    "groups-stride-2": Convolution(
        (2, 32, 15, 14), (16, 8, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1), groups=4
    ),
    "groups-of-32": Convolution((3, 64, 7, 7), (70, 32, 3, 3), padding=(1, 1, 1, 1), groups=2),
    "groups-of-pixels": Convolution((2, 15, 6, 9), (10, 3, 1, 1), groups=5),
    "groups-far-taps": Convolution(
        (1, 6, 30, 33),
        (4, 3, 2, 3),
        stride=(3, 2),
        padding=(4, 0, 0, 7),
        dilation=(9, 11),
        groups=2,
    ),
    "groups-wide-rows": Convolution((2, 4, 5, 1500), (6, 2, 3, 2), padding=(1, 1, 1, 0), groups=2),
    "groups-many-blocks": Convolution(
        (37, 4, 34, 35), (4, 2, 3, 3), padding=(1, 1, 1, 1), groups=2
    ),
    "depthwise": Convolution(
        (2, 9, 8, 11), (9, 1, 3, 3), stride=(2, 1), padding=(1, 1, 1, 1), groups=9
    ),
}
PLAIN = ([1, 1], [0, 0, 0, 0], [1, 1])  # stride, padding, dilation
ALGORITHMS = ["channels", "pixels", "grouped"]
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@shapes
def test_every_algorithm_is_exact_on_small_integers(isa, dtype, shape, layout, algorithm):
    tensors = shape.operands(dtype, layout, small_integers)
    with backends.conv2d_algorithm(algorithm):
        results = shape.run(*tensors)
    for kernel, got, expected in zip(KERNELS, results, shape.reference(*tensors), strict=True):
        assert torch.equal(got, expected.to(dtype)), kernel


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@shapes
def test_every_algorithm_matches_float64(isa, shape, algorithm):
    tensors = shape.operands()
    with backends.conv2d_algorithm(algorithm):
        results = shape.run(*tensors)
    magnitudes = shape.reference(*[t.abs() for t in tensors])
    for got, expected, sum_of_terms in zip(
        results, shape.reference(*tensors), magnitudes, strict=True
    ):
        error = (got.double() - expected).abs() / sum_of_terms.clamp(min=1e-30)
        assert error.max() < 16 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@shapes
def test_no_algorithm_lets_threads_or_the_batch_change_a_bit(isa, shape, algorithm):
    tensors = shape.operands()
    x, weight, grad_out = tensors
    with backends.conv2d_algorithm(algorithm):
        results = same_on_any_threads(lambda: shape.run(*tensors))
        alone = shape.run(x[-1:], weight, grad_out[-1:])
    for kernel in (0, 1):
        assert torch.equal(results[kernel][-1:], alone[kernel])


@shapes
def test_algorithms_add_the_same_terms_in_the_same_order(isa, shape):
    tensors = shape.operands()
    results = []
    for algorithm in ALGORITHMS:
        with backends.conv2d_algorithm(algorithm):
            results.append(shape.run(*tensors))
    for kernel in (0, 1):  # blocks of the weight gradient do not depend on the algorithm, lanes do
        for other in results[1:]:
            assert torch.equal(results[0][kernel], other[kernel]), KERNELS[kernel]


@pytest.mark.parametrize("width", [4, 14, 30])
def test_infinite_weights_meet_the_same_with_any_number_of_threads(isa, width):
    x, weight = torch.randn(2, 3, 32, width), torch.full((5, 3, 3, 3), torch.inf)
    same_on_any_threads(lambda: torchconv.conv2d(x, weight, padding=1))


def test_strided_gradients_multiply_no_zeros_between_steps(isa):
    weight = torch.full((4, 3, 1, 1), torch.inf)
    grad_x = torch.ops.torchconv.conv2d_backward_input(
        torch.ones(1, 4, 3, 3), weight, [6, 6], [2, 2], [0, 0, 0, 0], [1, 1], 1, False
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
    assert not torch.ops.torchconv.conv2d_backward_input(
        grad_out, weight, [8, 8], *none, False
    ).any()


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
        grad = torch.ops.torchconv.conv2d_backward_weight(out, x, [kernel] * 2, *steps, False)
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
        grad = torch.ops.torchconv.conv2d_backward_weight(out, x, [3, 3], *steps, False)
        grad_x = torch.ops.torchconv.conv2d_backward_input(out, weight, [5, 5], *steps, False)
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
    with pytest.raises(RuntimeError, match=r"conv2d: expected x.size\(1\) == 4"):
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
        grad = torch.ops.torchconv.conv2d_backward_weight(grad_out, x, [3, 3], *PLAIN, 2, False)
    expected = torch.full_like(grad, 63)
    expected[:4, 1, 2, 2] = torch.inf
    assert torch.equal(grad, expected)
