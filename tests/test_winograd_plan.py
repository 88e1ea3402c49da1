"""Where Winograd's algorithm is taken, in how much scratch, and who may forbid it."""

import pytest
import torch
from accuracy import FLOATS
from convolutions import Convolution
from layouts import channels_last, contiguous

import torchconv
from torchconv import backends


def taken(x, weight, dtype=torch.float32, layout=contiguous, **options):
    """The algorithms of the three kernels."""
    x, weight = (layout(torch.empty(s, dtype=dtype, device="meta")) for s in (x, weight))
    return [p.algorithm for p in backends.explain_conv2d(x, weight, **options).values()]


# Layers of VGG, ResNet, U-Net and AlexNet.
@pytest.mark.parametrize(
    ("channels", "filters", "size", "kernel", "algorithm"),
    [
        (64, 64, 224, 3, "winograd_4x4"),
        (128, 128, 56, 3, "winograd_4x4"),
        (256, 256, 14, 3, "winograd_4x4"),
        (512, 512, 7, 3, "winograd_4x4"),
        (128, 64, 388, 3, "winograd_4x4"),
        (384, 256, 13, 3, "winograd_4x4"),
        (96, 256, 27, 5, "winograd_2x2"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_layers_of_many_channels_take_it(isa, channels, filters, size, kernel, algorithm, dtype):
    for batch in (1, 64):
        for layout in (contiguous, channels_last):
            x, weight = (batch, channels, size, size), (filters, channels, kernel, kernel)
            assert set(taken(x, weight, dtype, layout, padding=kernel // 2)) == {algorithm}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", [contiguous, channels_last])
def test_what_is_chosen_is_what_runs(isa, dtype, layout):
    shape = Convolution((2, 64, 28, 28), (64, 64, 3, 3), padding=(1, 1, 1, 1))
    assert set(taken(shape.x, shape.weight, dtype, layout, padding=1)) == {"winograd_4x4"}
    tensors = shape.operands(dtype, layout)
    with backends.conv2d_algorithm("winograd_4x4"):
        forced = shape.run(*tensors)
    with backends.conv2d_algorithm("channels"):
        direct = shape.run(*tensors)
    for got, expected, other in zip(shape.run(*tensors), forced, direct, strict=True):
        assert torch.equal(got, expected)
        assert not torch.equal(got, other)


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
@pytest.mark.parametrize("algorithm", ["winograd_2x2", "winograd_4x4"])
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
    with pytest.raises(TypeError, match="winograd: expected strict to be a bool, but got 1"):
        backends.winograd(strict=1)


def test_deterministic_algorithms_change_nothing():
    x, weight = torch.randn(2, 64, 14, 14), torch.randn(64, 64, 3, 3)
    expected = torchconv.conv2d(x, weight, padding=1)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(torchconv.conv2d(x, weight, padding=1), expected)
    finally:
        torch.use_deterministic_algorithms(False)
