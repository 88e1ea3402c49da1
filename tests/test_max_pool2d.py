"""max_pool2d: values, indices and gradients exactly as torch's, over every kind of window."""

import pytest
import torch
from accuracy import FLOATS, INTEGERS
from layouts import LAYOUTS, channels_last, in_layout

import torchconv

ops = torch.ops.torchconv

# (shape of x, arguments in torch's functional order)
CASES = {
    "k2s2": ((2, 3, 8, 10), {"kernel_size": 2}),
    "k2s2-odd": ((2, 3, 9, 11), {"kernel_size": 2}),
    "k3s2": ((1, 5, 13, 33), {"kernel_size": 3, "stride": 2}),
    "k3s2p1": ((1, 17, 12, 35), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "k3s1p1": ((2, 3, 6, 67), {"kernel_size": 3, "stride": 1, "padding": 1}),
    # Rows and channels that a GPU loads by 16, 8 and 4 bytes.
    "k2s2-vectors": ((2, 16, 6, 64), {"kernel_size": 2}),
    "k3s2-vectors": ((1, 16, 9, 66), {"kernel_size": 3, "stride": 2}),
    "k3s2p1-vectors": ((1, 16, 9, 64), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "k2s2-halves": ((1, 4, 6, 28), {"kernel_size": 2}),
    "k3s2p1-quarters": ((1, 2, 7, 38), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "tall": ((1, 2, 12, 6), {"kernel_size": (5, 1), "stride": (2, 3)}),
    "wide": ((1, 2, 5, 40), {"kernel_size": (1, 4), "stride": 1, "padding": (0, 2)}),
    "dilation": ((1, 3, 11, 14), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 1}),
    "dilation-both": ((1, 2, 9, 20), {"kernel_size": (2, 3), "stride": 1, "dilation": (3, 4)}),
    "ceil": ((2, 3, 8, 9), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil-padding": (
        (1, 2, 7, 7),
        {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
    ),
    "ceil-over-input": ((1, 2, 2, 2), {"kernel_size": 3, "stride": 3, "ceil_mode": True}),
    "stride-over-kernel": ((1, 3, 12, 37), {"kernel_size": 2, "stride": 5}),
    "one-window": ((2, 3, 4, 5), {"kernel_size": (4, 5)}),
    "k1": ((1, 2, 5, 6), {"kernel_size": 1}),
    "15x17-one-byte": ((1, 2, 16, 20), {"kernel_size": (15, 17), "stride": 1}),
    "16x16-wide-offsets": ((1, 2, 17, 19), {"kernel_size": 16, "stride": 1, "padding": 3}),
    "empty-batch": ((0, 3, 8, 8), {"kernel_size": 2}),
    "unbatched": ((3, 9, 9), {"kernel_size": 3, "stride": 2}),
}
cases = pytest.mark.parametrize("case", CASES)


def with_indices(x, options, pool):
    return pool(x, **options, return_indices=True)


def few_values(shape, dtype):
    """Ties everywhere, and now and then NaN or an infinity."""
    x = torch.randint(0, 4, shape).to(dtype)
    chance = torch.rand(shape)
    x[chance < 0.03] = torch.nan
    x[(chance > 0.03) & (chance < 0.3)] = -torch.inf
    x[chance > 0.98] = torch.inf
    return x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@cases
def test_max_pool2d_equals_torch(kernels, dtype, layout, case):
    shape, options = CASES[case]
    for fill in (lambda: torch.randn(shape).to(dtype), lambda: few_values(shape, dtype)):
        x = in_layout(layout, fill()).requires_grad_()
        out, indices = with_indices(x, options, torchconv.max_pool2d)
        # On the CPU: torch's channels_last kernel of a GPU takes the first element of a window for
        # its maximum if all of them are -infinity, wherever the window is.
        expected, places = with_indices(x.cpu(), options, torch.nn.functional.max_pool2d)
        assert torch.equal(indices.cpu(), places)
        assert indices.dtype == torch.int64
        torch.testing.assert_close(out.cpu(), expected, rtol=0, atol=0, equal_nan=True)
        plain = torchconv.max_pool2d(x.detach(), **options)
        torch.testing.assert_close(plain.cpu(), expected, rtol=0, atol=0, equal_nan=True)


def any_integers(shape, dtype):
    """Now the whole range of the dtype, now ties."""
    info = torch.iinfo(dtype)
    few = torch.randint(0, 3, shape).to(dtype)
    return torch.where(torch.rand(shape) < 0.5, torch.randint(info.min, info.max, shape), few).to(
        dtype
    )


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", LAYOUTS)
@cases
def test_max_pool2d_of_integers_equals_torch(kernels, dtype, layout, case):
    shape, options = CASES[case]
    x = in_layout(layout, any_integers(shape, dtype))
    out, indices = with_indices(x, options, torchconv.max_pool2d)
    # As int64, since torch itself stops at 127 pixels of int8, and on the CPU, since there alone it
    # takes integers.
    expected, places = with_indices(x.long().cpu(), options, torch.nn.functional.max_pool2d)
    assert out.dtype == dtype
    assert torch.equal(out.cpu(), expected.to(dtype))
    assert torch.equal(indices.cpu(), places)
    assert torch.equal(torchconv.max_pool2d(x, **options), out)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_window_of_integers_wholly_in_the_padding_gives_the_least_one(kernels, dtype, layout):
    x = in_layout(layout, any_integers((1, 3, 1, 7), dtype))
    out = torchconv.max_pool2d(x, (2, 1), 1, (3, 0), (5, 1))
    assert torch.all(out == torch.iinfo(dtype).min)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
@cases
def test_max_pool2d_backward_equals_torch(kernels, dtype, layout, case):
    shape, options = CASES[case]
    x = in_layout(layout, few_values(shape, dtype)).requires_grad_()
    out = torchconv.max_pool2d(x, **options)
    on_cpu = x.detach().cpu().requires_grad_()  # as above
    expected = torch.nn.functional.max_pool2d(on_cpu, **options)
    # Whole numbers: an element that several windows chose has one sum, in whatever order.
    grad_out = in_layout(layout, torch.randint(-3, 4, out.shape).to(dtype))
    (grad,) = torch.autograd.grad(out, x, grad_out)
    (wanted,) = torch.autograd.grad(expected, on_cpu, grad_out.cpu())
    assert torch.equal(grad.cpu(), wanted)


@cases
@pytest.mark.parametrize("layout", LAYOUTS)
def test_max_pool2d_keeps_the_memory_format(device, case, layout):
    shape, options = CASES[case]
    x = layout(torch.randn(shape))
    ours = with_indices(x, options, torchconv.max_pool2d)
    torchs = with_indices(x, options, torch.nn.functional.max_pool2d)
    if x.dim() == 4 and x.numel():
        assert [t.stride() for t in ours] == [t.stride() for t in torchs]


@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": (3, 2), "stride": 1}])
@pytest.mark.parametrize("last", [False, True])
def test_images_that_lie_farther_apart_than_32_bits_count(kernels, options, last):
    """Of memory that is never touched in between, and that therefore takes no room on a CPU."""
    strides = (1, 40, 5) if last else (72, 9, 1)  # of channels, rows and columns
    images = torch.empty(2**31 + 1000, dtype=torch.float16).as_strided(
        (2, 5, 8, 8), (2**31, *strides)
    )
    x = images.copy_(torch.randn(2, 5, 8, 8)).requires_grad_()
    out, indices = with_indices(x, options, torchconv.max_pool2d)
    expected, places = with_indices(x, options, torch.nn.functional.max_pool2d)
    assert torch.equal(out, expected)
    assert torch.equal(indices, places)
    far = torch.empty(2**31 + 10_000, dtype=torch.float16)
    grad_out = far.as_strided(out.shape, (2**31, *out.stride()[1:])).copy_(torch.ones_like(out))
    (grad,) = torch.autograd.grad(out, x, grad_out)
    (wanted,) = torch.autograd.grad(expected, x, torch.ones_like(out))
    assert torch.equal(grad, wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": (900, 7), "stride": 1, "padding": (450, 3)},
        {"kernel_size": (2**27, 1), "stride": 1, "padding": (2**26, 0)},
        {"kernel_size": (1, 2**20), "stride": 2**30, "padding": (0, 2**19)},
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_much_larger_than_the_image(kernels, layout, options):
    x = layout(torch.randn(1, 2, 2, 3)).requires_grad_()
    on_cpu = x.detach().cpu().requires_grad_()
    out = torchconv.max_pool2d(x, **options)
    expected = torch.nn.functional.max_pool2d(on_cpu, **options)
    assert torch.equal(out.cpu(), expected)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(grad.cpu(), torch.autograd.grad(expected.sum(), on_cpu)[0])


@pytest.mark.parametrize("dim", range(4))
def test_offsets_may_be_expanded(kernels, dim):
    window = ([2, 2], [2, 2], [0, 0], [1, 1], False)
    x, grad_out = torch.randn(3, 2, 10, 16), torch.randn(3, 2, 5, 8)
    offsets = torch.randint(0, 4, grad_out.shape, dtype=torch.uint8)
    expanded = offsets.narrow(dim, 0, 1).expand_as(offsets)

    def results(offsets):
        yield ops.max_pool2d_backward(grad_out, offsets, x.shape[2:], *window)
        yield ops.max_pool2d_gather(x, offsets, *window)
        yield ops.max_pool2d_indices(offsets, x.shape[2:], *window)

    for ours, expected in zip(results(expanded), results(expanded.contiguous()), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("channels", [1, 5, 16, 33])
def test_channels_last_equals_contiguous(kernels, channels):
    x = torch.randn(2, channels, 9, 10)
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    plain = with_indices(x, options, torchconv.max_pool2d)
    last = with_indices(channels_last(x), options, torchconv.max_pool2d)
    assert torch.equal(plain[0], last[0])
    assert torch.equal(plain[1], last[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_window_wholly_in_the_padding_gives_minus_infinity(kernels, layout):
    # kernel 2, dilation 5, padding 3: the first window covers rows -3 and 2 of an image with 1 row.
    x = in_layout(layout, torch.randn(1, 3, 1, 7)).requires_grad_()
    options = {"kernel_size": (2, 1), "stride": 1, "padding": (3, 0), "dilation": (5, 1)}
    out, indices = with_indices(x, options, torchconv.max_pool2d)
    assert torch.all(out == -torch.inf)
    assert torch.all(indices == -1)
    (grad,) = torch.autograd.grad(out, x, torch.ones_like(out))
    assert torch.all(grad == 0)


@pytest.mark.parametrize("stride", [None, [], ()])
def test_no_stride_is_the_kernel_size(device, stride):
    x = torch.randn(1, 2, 9, 9)
    assert torch.equal(torchconv.max_pool2d(x, 3, stride), torch.nn.functional.max_pool2d(x, 3))


def test_unpooling_with_the_indices_restores_the_maxima(device):
    x = torch.randn(2, 3, 8, 8)
    out, indices = torchconv.max_pool2d(x, 2, return_indices=True)
    restored = torch.nn.functional.max_unpool2d(out, indices, 2)
    assert torch.equal(restored[restored != 0], x[restored != 0])
    assert torch.equal(torchconv.max_pool2d(restored.abs(), 2), out.abs())


def test_backward_does_not_trust_the_indices_that_the_user_holds(device):
    x = torch.randn(1, 2, 6, 6, requires_grad=True)
    out, indices = torchconv.max_pool2d(x, 2, return_indices=True)
    expected = torch.autograd.grad(torch.nn.functional.max_pool2d(x, 2).sum(), x)
    indices.fill_(1 << 40)
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], expected[0])


@pytest.mark.parametrize(("kernel", "dtype"), [(15, torch.uint8), (16, torch.int32)])
def test_max_pool2d_saves_one_byte_an_output(device, kernel, dtype):
    x = torch.randn(1, 2, 32, 32, requires_grad=True)
    out = torchconv.max_pool2d(x, kernel)
    (saved,) = out.grad_fn.saved_tensors
    assert saved.dtype == dtype
    assert saved.shape == out.shape


def test_no_offsets_are_kept_without_a_gradient(device):
    x = torch.randn(1, 2, 6, 6)
    assert torchconv.max_pool2d(x, 2).grad_fn is None
    with torch.no_grad():
        assert torchconv.max_pool2d(x.requires_grad_(), 2).grad_fn is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_random_offsets_given_to_the_raw_operators_do_no_harm(kernels, dtype, layout):
    kernel = 2 if dtype == torch.uint8 else 16
    window = ([kernel] * 2, [1, 1], [kernel // 2] * 2, [1, 1], False)
    side = 20 + 2 * (kernel // 2) - kernel + 1
    low = 0 if dtype == torch.uint8 else -(2**31)
    offsets = torch.randint(low, 255 if low == 0 else 2**31 - 1, (2, 3, side, side))
    offsets = layout(offsets.to(dtype))
    grad = ops.max_pool2d_backward(torch.ones(2, 3, side, side), offsets, [20, 20], *window)
    gathered = ops.max_pool2d_gather(torch.ones(2, 3, 20, 20), offsets, *window)
    indices = ops.max_pool2d_indices(offsets, [20, 20], *window)
    assert grad.sum() == gathered.sum() == (indices >= 0).sum()
    assert indices.min() >= -1
    assert indices.max() < 400


@pytest.mark.parametrize(
    "case", ["k2s2", "k3s2p1", "dilation", "ceil-padding", "16x16-wide-offsets"]
)
def test_max_pool2d_gradcheck(kernels, case):
    shape, options = CASES[case]
    # Distinct values, far enough apart that no step of gradcheck changes a maximum.
    count = torch.Size(shape).numel()
    x = torch.randperm(count, dtype=torch.float64).reshape(shape).requires_grad_()

    def pool(x):
        return torchconv.max_pool2d(x, **options)

    assert torch.autograd.gradcheck(pool, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(pool, x, fast_mode=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_maximum_of_booleans_is_whether_any_is_true(kernels, layout):
    x = layout((torch.rand(2, 5, 9, 10) < 0.2).to(torch.uint8))
    out, indices = torchconv.max_pool2d(x.bool(), 3, 2, 1, return_indices=True)
    expected, expected_indices = torchconv.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert out.dtype == torch.bool
    assert torch.equal(out, expected.bool())
    assert torch.equal(indices, expected_indices)
