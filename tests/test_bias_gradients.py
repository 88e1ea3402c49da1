"""linear_backward_bias and conv2d_backward_bias: grad_out summed over all but its channels."""

import pytest
import torch
from accuracy import FLOATS, assert_sum_close, small_integers
from layouts import LAYOUTS, in_layout

ops = torch.ops.torchconv

# Runs of 16 bytes that are whole and that are not; channels that neighbouring threads share, or
# that are too few for it; terms that are cut into parts.
IMAGES = {
    "one-element": (1, 1, 1, 1),
    "no-terms": (0, 3, 4, 5),
    "no-channels": (2, 0, 4, 5),
    "few-channels": (3, 5, 7, 9),
    "many-channels": (3, 40, 4, 8),
    "channels-beside-runs": (2, 67, 5, 3),
    "one-row": (4, 19, 1, 33),
    "one-column": (4, 19, 33, 1),
    "parts": (2, 3, 130, 150),
    "parts-of-many-channels": (3, 33, 40, 40),
}


def expanded(x):
    return x[:1, :, :1, :1].expand(x.shape) if x.numel() else x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", [*LAYOUTS, expanded])
@pytest.mark.parametrize("size", IMAGES.values(), ids=IMAGES)
def test_conv2d_backward_bias_is_exact(kernels, size, layout, dtype):
    grad_out = in_layout(layout, small_integers(*size, dtype=dtype, most=1))
    expected = grad_out.double().sum((0, 2, 3)).to(dtype)  # in float16, too: rounded once
    assert torch.equal(ops.conv2d_backward_bias(grad_out, None), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("offset_dtype", [torch.uint8, torch.int32], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", IMAGES.values(), ids=IMAGES)
def test_conv2d_backward_bias_leaves_out_what_was_flattened(
    kernels, size, layout, offset_dtype, dtype
):
    grad_out = in_layout(layout, small_integers(*size, dtype=dtype, most=1))
    offsets = torch.randint(-1, 3, size).to(offset_dtype)
    counted = (offsets != torch.tensor(-1).to(offset_dtype)).double()
    expected = (grad_out.double() * counted).sum((0, 2, 3)).to(dtype)
    for lie_as in (grad_out, offsets):  # alike, and each its own way
        laid_out = torch.empty_like(lie_as, dtype=offset_dtype).copy_(offsets)
        assert torch.equal(ops.conv2d_backward_bias(grad_out, laid_out), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", [*LAYOUTS, expanded])
@pytest.mark.parametrize("size", [(7, 5), (3, 40, 16), (0, 4), (3, 0), (300, 67), (9000, 19)])
def test_linear_backward_bias_is_exact(kernels, size, layout, dtype):
    if layout is expanded:
        grad_out = small_integers(1, size[-1], dtype=dtype, most=1)
        grad_out = grad_out.expand(size) if size[-1] else grad_out.new_empty(size)
    else:
        grad_out = in_layout(layout, small_integers(*size, dtype=dtype, most=1))
    expected = grad_out.double().flatten(0, -2).sum(0).to(dtype)
    assert torch.equal(ops.linear_backward_bias(grad_out), expected)


def test_nothing_is_left_out_but_what_was_flattened(kernels):
    grad_out = torch.full((2, 20, 3, 8), float("inf"))
    grad_out[1, 3, 2, 1] = float("nan")
    total = ops.conv2d_backward_bias(grad_out, None)
    assert total.isnan().nonzero().flatten().tolist() == [3]
    assert total.isinf().sum() == 19
    flattened = torch.full(grad_out.shape, 255, dtype=torch.uint8)
    assert torch.equal(ops.conv2d_backward_bias(grad_out, flattened), torch.zeros(20))


@pytest.mark.parametrize("size", [(64, 2, 60, 60), (64, 24, 20, 20)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_sums_of_many_terms_keep_their_accuracy(kernels, size, layout):
    grad_out = in_layout(layout, torch.rand(size))
    expected = grad_out.double().sum((0, 2, 3))
    assert_sum_close(ops.conv2d_backward_bias(grad_out, None), expected, expected)


@pytest.mark.parametrize("strides", [(2**30, 20, 5, 1), (2**30, 1, 100, 20)], ids=str)
def test_places_beyond_32_bits(kernels, strides):
    memory = torch.empty(2**30 + 400, dtype=torch.bfloat16)  # hardly any of it is touched
    grad_out = memory.as_strided((2, 20, 4, 5), strides)
    grad_out.copy_(small_integers(2, 20, 4, 5, dtype=torch.bfloat16, most=1))
    expected = grad_out.double().sum((0, 2, 3)).to(torch.bfloat16)
    assert torch.equal(ops.conv2d_backward_bias(grad_out, None), expected)
