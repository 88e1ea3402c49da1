"""Winograd's algorithm: its results, where it is taken, and who may forbid it."""

import os
import subprocess
import sys

import pytest
import torch
from accuracy import FLOATS, assert_sum_close, small_integers
from layouts import LAYOUTS, in_layout

import torchconv
from torchconv import backends

# x, weight, padding (left, right, top, bottom), groups
SHAPES = {
    "even-tiles": ((2, 16, 8, 12), (32, 16, 3, 3), [1, 1, 1, 1], 1),
    "tails-everywhere": ((3, 19, 13, 17), (37, 19, 3, 3), [1, 1, 1, 1], 1),
    "no-padding": ((2, 5, 9, 7), (6, 5, 3, 3), [0, 0, 0, 0], 1),
    "four-paddings": ((1, 7, 6, 9), (9, 7, 3, 3), [3, 0, 1, 5], 1),
    "one-pixel": ((2, 8, 1, 1), (4, 8, 3, 3), [1, 1, 1, 1], 1),
    "one-output": ((5, 6, 3, 3), (8, 6, 3, 3), [0, 0, 0, 0], 1),
    "blocks-of-channels": ((1, 260, 5, 9), (70, 260, 3, 3), [1, 1, 1, 1], 1),
    "spans-of-blocks": ((1, 1100, 3, 4), (33, 1100, 3, 3), [1, 1, 1, 1], 1),
    "long-rows": ((1, 4, 3, 130), (5, 4, 3, 3), [1, 1, 1, 1], 1),
    "small-images": ((70, 3, 4, 5), (6, 3, 3, 3), [1, 1, 1, 1], 1),
    "groups": ((2, 48, 8, 7), (36, 16, 3, 3), [1, 1, 1, 1], 3),
    "5x5": ((2, 11, 9, 14), (34, 11, 5, 5), [2, 2, 2, 2], 1),
    "5x5-no-padding": ((3, 6, 8, 7), (10, 3, 5, 5), [0, 0, 0, 0], 2),
}
KERNELS = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")
ALGORITHMS = ["winograd_2x2", "winograd_4x4"]
shapes = pytest.mark.parametrize("shape", SHAPES)
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


def operands(shape, dtype, layout, fill=torch.randn):
    x, weight, padding, groups = SHAPES[shape]
    meta = [torch.empty(s, device="meta") for s in (x, weight)]
    out = torch.ops.torchconv.conv2d(*meta, None, [1, 1], padding, [1, 1], groups).shape
    return [in_layout(layout, fill(*s, dtype=dtype)) for s in (x, weight, out)]


def run(shape, tensors, algorithm):
    """The convolution and its two gradients."""
    x, weight, grad_out = tensors
    _, _, padding, groups = SHAPES[shape]
    steps = ([1, 1], padding, [1, 1], groups)
    ops = torch.ops.torchconv
    with backends.conv2d_algorithm(algorithm):
        return [
            ops.conv2d(x, weight, None, *steps),
            ops.conv2d_backward_input(grad_out, weight, x.shape[2:], *steps),
            ops.conv2d_backward_weight(grad_out, x, weight.shape[2:], *steps),
        ]


def reference(shape, tensors):
    x, weight, grad_out = (t.double() for t in tensors)
    _, _, padding, groups = SHAPES[shape]
    x, weight = x.requires_grad_(), weight.requires_grad_()
    padded = torch.nn.functional.pad(x, padding)
    out = torch.nn.functional.conv2d(padded, weight, groups=groups)
    return [out.detach(), *torch.autograd.grad(out, (x, weight), grad_out)]


def is_small(shape, algorithm):
    """Whether F(2 x 2, 3 x 3) runs, whose transforms need no numbers but 0, ±1 and ±½."""
    return algorithm == "winograd_2x2" and SHAPES[shape][1][2] == 3


def results(shape, dtype, layout, algorithm):
    """What was computed, the same in float64, and the sum of the terms' absolute values."""
    tensors = operands(shape, dtype, layout)
    scales = reference(shape, [t.abs() for t in tensors])
    return zip(
        run(shape, tensors, algorithm), reference(shape, tensors), scales, KERNELS, strict=True
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
        if not is_small(shape, algorithm) or shape == "one-pixel":  # it meets one tap of nine
            scale = 5 * scale.max().expand_as(scale)
        elif kernel == "conv2d_backward_weight":
            scale = 2 * scale.amax((2, 3), keepdim=True).expand_as(scale)
        else:
            scale = 2 * torch.nn.functional.max_pool2d(scale, 3, 1, 1)
        assert_sum_close(got, expected, scale)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if is_small(s, "winograd_2x2")])
def test_small_tiles_are_exact_on_small_integers(isa, dtype, shape, layout):
    tensors = operands(shape, dtype, layout, small_integers)
    for kernel, got, expected in zip(
        KERNELS, run(shape, tensors, "winograd_2x2"), reference(shape, tensors), strict=True
    ):
        assert torch.equal(got, expected.to(dtype)), kernel


@algorithms
@shapes
def test_neither_threads_nor_the_batch_change_a_bit(isa, shape, algorithm):
    tensors = operands(shape, torch.float32, LAYOUTS[0])
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(run(shape, tensors, algorithm))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))
    x, weight, grad_out = tensors
    alone = run(shape, [x[-1:], weight, grad_out[-1:]], algorithm)
    for kernel in (0, 1):
        assert torch.equal(found[0][kernel][-1:], alone[kernel])


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
        got = torch.ops.torchconv.conv2d_backward_weight(grad_out, x, *args)
    with backends.conv2d_algorithm("channels"):
        expected = torch.ops.torchconv.conv2d_backward_weight(grad_out.double(), x.double(), *args)
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


# ---- where it is taken -------------------------------------------------------------------------


def taken(x, weight, dtype=torch.float32, channels_last=False, **options):
    """The algorithms of the three kernels."""
    x, weight = (torch.empty(s, dtype=dtype, device="meta") for s in (x, weight))
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    return [p.algorithm for p in backends.explain_conv2d(x, weight, **options).values()]


# Layers of VGG, ResNet, U-Net and AlexNet.
@pytest.mark.parametrize(
    ("channels", "filters", "size"),
    [(64, 64, 224), (128, 128, 56), (256, 256, 14), (512, 512, 7), (128, 64, 388), (384, 256, 13)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_layers_of_many_channels_take_it(isa, channels, filters, size, dtype):
    for batch in (1, 64):
        for channels_last in (False, True):
            x, weight = (batch, channels, size, size), (filters, channels, 3, 3)
            assert set(taken(x, weight, dtype, channels_last, padding=1)) == {"winograd_4x4"}


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((8, 64, 56, 56), (64, 64, 3, 3), {"stride": 2}),
        ((8, 64, 56, 56), (64, 64, 3, 3), {"dilation": 2}),
        ((8, 64, 56, 56), (64, 64, 3, 5), {}),
        ((8, 64, 56, 56), (64, 64, 7, 7), {}),
        ((8, 64, 56, 56), (64, 64, 1, 1), {}),
        ((8, 3, 224, 224), (64, 3, 3, 3), {}),
        ((8, 64, 56, 56), (64, 4, 3, 3), {"groups": 16}),
        ((8, 64, 56, 56), (64, 1, 3, 3), {"groups": 64}),
        ((8, 32, 3, 3), (32, 32, 3, 3), {}),
        ((8, 4096, 14, 14), (4096, 4096, 3, 3), {}),
    ],
    ids=str,
)
def test_others_stay_direct(x, weight, options):
    assert not any("winograd" in name for name in taken(x, weight, **options))


def test_images_decide_and_not_how_many(isa):
    for size in range(1, 20):
        for channels in (16, 32, 64):
            x, weight = (channels, size, size), (channels, channels, 3, 3)
            alone = taken((1, *x), weight, padding=1)
            for batch in (2, 7, 1000):
                found = taken((batch, *x), weight, padding=1)
                for kernel in range(3):
                    is_winograd = ["winograd" in plans[kernel] for plans in (alone, found)]
                    assert is_winograd[0] == is_winograd[1]
                    assert not is_winograd[0] or alone[kernel] == found[kernel]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("outs", [16, 2112, 2**17, 2**40])
@pytest.mark.parametrize("channels", [1, 17, 2048])
@algorithms
def test_scratch_is_small_for_any_number_of_channels(isa, algorithm, channels, outs, dtype):
    x, weight = ((8, channels, 56, 56), (outs, channels, 3, 3))
    x, weight = (torch.empty(s, dtype=dtype, device="meta") for s in (x, weight))
    with backends.conv2d_algorithm(algorithm):
        for kernel, plan in backends.explain_conv2d(x, weight, padding=1).items():
            assert 0 <= plan.scratch_bytes < 16 * 2**20, (kernel, plan)


# ---- policy ------------------------------------------------------------------------------------

LAYER = ((1, 64, 28, 28), (64, 64, 3, 3))


def test_it_can_be_forbidden():
    assert backends.allow_winograd is True
    backends.allow_winograd = False
    try:
        assert not any("winograd" in name for name in taken(*LAYER))
        assert backends.allow_winograd is False
    finally:
        backends.allow_winograd = True
    assert set(taken(*LAYER)) == {"winograd_4x4"}


def test_strict_accuracy_allows_small_tiles_only():
    assert backends.strict_accuracy is False
    backends.strict_accuracy = True
    try:
        assert set(taken(*LAYER)) == {"winograd_2x2"}
        five = taken((1, 64, 28, 28), (64, 64, 5, 5))
        assert not any("winograd" in name for name in five)
    finally:
        backends.strict_accuracy = False


def test_a_block_may_have_its_own_policy():
    with backends.winograd(strict=True):
        assert set(taken(*LAYER)) == {"winograd_2x2"}
        with backends.winograd(allow=False):
            assert not any("winograd" in name for name in taken(*LAYER))
            with backends.winograd(strict=False):
                assert backends.allow_winograd is False
        assert backends.strict_accuracy is True
    assert (backends.allow_winograd, backends.strict_accuracy) == (True, False)


@pytest.mark.parametrize("name", ["allow_winograd", "strict_accuracy"])
def test_only_booleans_are_a_policy(name):
    with pytest.raises(TypeError, match=f"backends: expected {name} to be a bool, but got 'no'"):
        setattr(backends, name, "no")
    with pytest.raises(TypeError, match="backends: expected strict to be a bool, but got 1"):
        backends.winograd(strict=1)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TORCHCONV_ALLOW_WINOGRAD", "0", "False False"),
        ("TORCHCONV_ALLOW_WINOGRAD", "false", "False False"),
        ("TORCHCONV_ALLOW_WINOGRAD", "1", "True False"),
        ("TORCHCONV_ALLOW_WINOGRAD", "", "True False"),
        ("TORCHCONV_STRICT_ACCURACY", "1", "True True"),
    ],
)
def test_the_environment_sets_the_policy(variable, value, expected):
    code = "from torchconv import backends as b; print(b.allow_winograd, b.strict_accuracy)"
    environment = {**os.environ, variable: value}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == expected


def test_deterministic_algorithms_change_nothing():
    x, weight = torch.randn(2, 64, 14, 14), torch.randn(64, 64, 3, 3)
    expected = torchconv.conv2d(x, weight, padding=1)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(torchconv.conv2d(x, weight, padding=1), expected)
    finally:
        torch.use_deterministic_algorithms(False)
