"""Results of Winograd's algorithm, forced: against float64, exact, and in equal bits."""

import pytest
import torch
from accuracy import FLOATS, assert_sum_close, same_on_any_threads, small_integers
from convolutions import KERNELS, Convolution
from layouts import LAYOUTS, in_layout

import torchconv
from torchconv import backends

SHAPES = {
    "even-tiles": Convolution((2, 16, 8, 12), (32, 16, 3, 3), padding=(1, 1, 1, 1)),
    "tails-everywhere": Convolution((3, 19, 13, 17), (37, 19, 3, 3), padding=(1, 1, 1, 1)),
    "no-padding": Convolution((2, 5, 9, 7), (6, 5, 3, 3)),
    "four-paddings": Convolution((1, 7, 6, 9), (9, 7, 3, 3), padding=(3, 0, 1, 5)),
    "one-pixel": Convolution((2, 8, 1, 1), (4, 8, 3, 3), padding=(1, 1, 1, 1)),
    "one-output": Convolution((5, 6, 3, 3), (8, 6, 3, 3)),
    "blocks-of-channels": Convolution((1, 260, 5, 9), (70, 260, 3, 3), padding=(1, 1, 1, 1)),
    "spans-of-blocks": Convolution((1, 1100, 3, 4), (33, 1100, 3, 3), padding=(1, 1, 1, 1)),
    "long-rows": Convolution((1, 4, 3, 130), (5, 4, 3, 3), padding=(1, 1, 1, 1)),
    "small-images": Convolution((70, 3, 4, 5), (6, 3, 3, 3), padding=(1, 1, 1, 1)),
    "groups": Convolution((2, 48, 8, 7), (36, 16, 3, 3), padding=(1, 1, 1, 1), groups=3),
    "5x5": Convolution((2, 11, 9, 14), (34, 11, 5, 5), padding=(2, 2, 2, 2)),
    "5x5-no-padding": Convolution((3, 6, 8, 7), (10, 3, 5, 5), groups=2),
}
ALGORITHMS = ["winograd_2x2", "winograd_4x4"]
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


def run(shape, tensors, algorithm):
    with backends.conv2d_algorithm(algorithm):
        return shape.run(*tensors)


def is_small(shape, algorithm):
    """Whether F(2 x 2, 3 x 3) runs, whose transforms need no numbers but 0, ±1 and ±½."""
    return algorithm == "winograd_2x2" and shape.weight[2] == 3


SMALL = {name: shape for name, shape in SHAPES.items() if is_small(shape, "winograd_2x2")}


def results(shape, dtype, layout, algorithm):
    """What was computed, the same in float64, and the sum of the terms' absolute values."""
    tensors = shape.operands(dtype, layout)
    scales = shape.reference(*[t.abs() for t in tensors])
    return zip(
        run(shape, tensors, algorithm), shape.reference(*tensors), scales, KERNELS, strict=True
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@algorithms
@shapes
def test_it_matches_float64(isa, dtype, shape, layout, algorithm):
    """A tile is transformed as a whole, so what bounds an error is the largest of the sums that
    share one. Of F(2 x 2, 3 x 3), whose factors are small, it is at most twice that of direct sums.
    """
    for got, expected, scale, kernel in results(shape, dtype, layout, algorithm):
        assert got.dtype == dtype, kernel
        if not is_small(shape, algorithm) or shape.x[2:] == (1, 1):  # it meets one tap of nine
            scale = 5 * scale.max().expand_as(scale)
        elif kernel == "conv2d_backward_weight":
            scale = 2 * scale.amax((2, 3), keepdim=True).expand_as(scale)
        else:
            scale = 2 * torch.nn.functional.max_pool2d(scale, 3, 1, 1)
        assert_sum_close(got, expected, scale)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SMALL.values(), ids=SMALL)
def test_small_tiles_are_exact_on_small_integers(isa, dtype, shape, layout):
    tensors = shape.operands(dtype, layout, small_integers)
    for kernel, got, expected in zip(
        KERNELS, run(shape, tensors, "winograd_2x2"), shape.reference(*tensors), strict=True
    ):
        assert torch.equal(got, expected.to(dtype)), kernel


@algorithms
@shapes
def test_neither_threads_nor_the_batch_change_a_bit(isa, shape, algorithm):
    tensors = shape.operands()
    found = same_on_any_threads(lambda: run(shape, tensors, algorithm))
    x, weight, grad_out = tensors
    alone = run(shape, [x[-1:], weight, grad_out[-1:]], algorithm)
    for kernel in (0, 1):
        assert torch.equal(found[kernel][-1:], alone[kernel])


@algorithms
def test_the_bias_is_added(isa, algorithm):
    x, weight, bias = torch.randn(2, 5, 7, 6), torch.randn(40, 5, 3, 3), torch.randn(80)[::2]
    with backends.conv2d_algorithm(algorithm):
        for layout in LAYOUTS[:2]:
            x = in_layout(layout, x)
            with_bias = torchconv.conv2d(x, weight, bias, padding=1)
            without = torchconv.conv2d(x, weight, None, padding=1)
            assert torch.equal(with_bias, without + bias[:, None, None])


@algorithms
def test_long_sums_of_tiles(isa, algorithm):
    """So many tiles that their sums are cut into chunks, and these into spans of blocks."""
    x, grad_out = torch.randn(60, 16, 44, 43), torch.randn(60, 16, 44, 43)
    args = ([3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1)
    with backends.conv2d_algorithm(algorithm):
        plan = backends.explain_conv2d(x, torch.empty(16, 16, 3, 3), padding=1)["backward_weight"]
        tiles = 60 * (44 // plan.rows) ** 2
        assert plan.chunks > 1
        assert tiles / plan.chunks / plan.images > 16
        got = torch.ops.torchconv.conv2d_backward_weight(grad_out, x, *args, False)
    with backends.conv2d_algorithm("channels"):
        expected = torch.ops.torchconv.conv2d_backward_weight(
            grad_out.double(), x.double(), *args, False
        )
    error = (got - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 3e-6


@algorithms
@pytest.mark.parametrize("kernel", [3, 5])
def test_gradcheck(algorithm, kernel):
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 2, kernel, kernel, dtype=torch.float64, requires_grad=True)

    def conv2d(x, weight):
        return torchconv.conv2d(x, weight, padding=1, groups=2)

    with backends.conv2d_algorithm(algorithm):
        assert torch.autograd.gradcheck(conv2d, (x, weight), fast_mode=True)
        assert torch.autograd.gradgradcheck(conv2d, (x, weight), fast_mode=True)
