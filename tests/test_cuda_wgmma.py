"""Products by the warpgroups of Hopper GPUs: what they take, and that it is exact.

On the host the copy engine, its barriers and the products are what block_on_host.h and
hopper_on_host.h say they are. On a GPU of 9.0 they are taken, unless something else is forced.
"""

import itertools

import pytest
import torch
from accuracy import double, small_integers
from devices import GPU, cuda_kernels, cuda_on_host, using
from layouts import channels_last, contiguous, in_layout
from test_conv2d import reference

import torchconv
from torchconv import backends

# float32 as TF32, and as two of them, which is as accurate as float32.
TYPES = {
    "bfloat16": (torch.bfloat16, "tf32"),
    "float16": (torch.float16, "tf32"),
    "tf32": (torch.float32, "tf32"),
    "tf32x3": (torch.float32, "tf32x3"),
}
types = pytest.mark.parametrize("name", TYPES)
ALL = ("out", "grad_x", "grad_weight")
# (x, filters and kernel, stride, padding on the left, right, top and bottom, dilation), and what is
# taken in NCHW and in channels_last; of few channels only what can be read as it lies.
CASES = {
    "3x3": (((2, 64, 8, 8), (64, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "1x1": (((2, 64, 14, 16), (72, 1, 1), 1, (0, 0, 0, 0), 1), ALL, ALL),
    "3x1": (((2, 64, 9, 40), (64, 3, 1), 1, (0, 0, 1, 1), 1), ALL, ALL),
    "several-tiles": (((3, 64, 9, 16), (136, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "four-sided": (((2, 64, 10, 16), (128, 3, 5), 1, (2, 1, 0, 3), 1), ALL, ALL),
    "dilation": (((1, 64, 16, 40), (64, 3, 3), 1, (2, 2, 2, 2), 2), ALL, ALL),
    "stride": (((2, 64, 11, 32), (72, 3, 3), 2, (1, 1, 1, 1), 1), ALL, ALL),
    "stride-of-rows": (((2, 64, 11, 9), (64, 3, 1), (3, 1), (0, 0, 1, 0), 1), ALL, ALL),
    "patches": (((2, 64, 12, 16), (64, 2, 2), 2, (0, 0, 0, 0), 1), ALL, ALL),
    "few-channels": (((1, 24, 6, 8), (8, 3, 3), 1, (0, 0, 0, 0), 1), ("out", "grad_weight"), ALL),
    "gaps": (((2, 64, 7, 8), (64, 1, 1), 2, (0, 0, 0, 0), 1), ALL, ALL),
    "unread": (((2, 64, 1, 1), (64, 1, 1), 3, (1, 1, 1, 1), 1), ALL, ALL),
    "odd-rows": (((1, 64, 7, 7), (64, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "padded-channels": (((1, 80, 6, 8), (40, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "wide-copies": (((1, 32, 30, 12), (16, 1, 1), (9, 1), (0, 1, 0, 0), 1), ALL[1:], ALL[1:]),
    "odd-channels": (((2, 21, 6, 9), (19, 1, 1), 1, (0, 0, 0, 0), 1), ALL, ALL),
}


def pair(value):
    return list(value) if isinstance(value, tuple) else [value] * 2


@pytest.mark.slow
@pytest.mark.parametrize("layout", [contiguous, channels_last])
@types
@pytest.mark.parametrize("case", CASES)
def test_convolutions_of_warpgroups_are_exact(case, name, layout):
    dtype, float32 = TYPES[name]
    (x, (filters, *kernel), stride, padding, dilation), *taken = CASES[case]
    shapes = x, (filters, x[1], *kernel), (filters,)
    x, weight, bias = (
        in_layout(layout, small_integers(*shape, dtype=dtype, most=1).requires_grad_())
        for shape in shapes
    )
    values = double(x, weight, bias)
    expected = reference(*values, stride, padding, dilation)
    grad_out = in_layout(layout, small_integers(*expected.shape, dtype=dtype, most=1))
    results = expected, *torch.autograd.grad(expected, values[:2], grad_out.double())
    geometry = pair(stride), list(padding), pair(dilation), float32 == "tf32x3"
    found = []
    for what, result in zip(ALL, results, strict=True):
        own = layout(torch.full(result.shape, torch.nan, dtype=dtype))
        tensors = {"grad_x": x, "grad_weight": weight, "out": grad_out, what: own}
        given = [tensors[name].detach() for name in ("grad_x", "grad_weight", "out")]
        if cuda_on_host().hopper_conv2d(what, *given, bias.detach(), *geometry):
            found.append(what)
            assert torch.equal(own, result.to(dtype)), what
        else:
            assert own.isnan().all(), what
    if dtype != torch.float32 or case != "few-channels":
        assert tuple(found) == taken[layout is channels_last]


def check_conv2d(name, x, weight, groups=1):
    """conv2d and its gradients by warpgroups on the host, of tensors of these sizes."""
    dtype, float32 = TYPES[name]
    x, weight = (small_integers(*t, dtype=dtype, most=1).requires_grad_() for t in (x, weight))
    values = double(x, weight)
    expected = torch.nn.functional.conv2d(*values, padding=1, groups=groups)
    grad_out = small_integers(*expected.shape, dtype=dtype, most=1)
    with using("cuda_on_host"), cuda_kernels(algorithm="wgmma", float32=float32):
        out = torchconv.conv2d(x, weight, padding=1, groups=groups)
        grads = torch.autograd.grad(out, (x, weight), grad_out)
    results = expected, *torch.autograd.grad(expected, values, grad_out.double())
    for found, result in zip((out, *grads), results, strict=True):
        assert torch.equal(found, result.to(dtype))


@pytest.mark.slow
@types
def test_images_are_copied_in_portions(name):
    cuda_on_host().set_most_copied_bytes(5000)  # about one of these images
    try:
        check_conv2d(name, (5, 32, 6, 7), (24, 32, 3, 3))
    finally:
        cuda_on_host().set_most_copied_bytes(1 << 30)


@pytest.mark.slow
@types
def test_few_groups_are_gone_through_one_after_the_other(name):
    check_conv2d(name, (2, 48, 7, 6), (40, 24, 3, 3), groups=2)


@pytest.mark.slow
@types
@pytest.mark.parametrize(
    "shape", [(64, 64, 64), (65, 72, 40), (130, 264, 200), (8, 8, 2056), (3, 5, 7)], ids=str
)
def test_matrices_of_warpgroups_are_exact(name, shape):
    dtype, float32 = TYPES[name]
    rows, cols, depth = shape
    for a_turned, b_turned in itertools.product([False, True], repeat=2):
        a = small_integers(*((depth, rows) if a_turned else (rows, depth)), dtype=dtype)
        b = small_integers(*((cols, depth) if b_turned else (depth, cols)), dtype=dtype)
        a, b = a.t() if a_turned else a, b.t() if b_turned else b
        out = torch.full((rows, cols), torch.nan, dtype=dtype)
        assert cuda_on_host().hopper_matmul(out, a, b, float32 == "tf32x3")
        assert torch.equal(out, (a.double() @ b.double()).to(dtype))


@pytest.mark.slow
@types
def test_stacks_of_matrices_of_warpgroups_are_exact(name):
    """The same matrix for all, too, and more dimensions than a product has for them."""
    dtype, float32 = TYPES[name]
    with using("cuda_on_host"), cuda_kernels(algorithm="wgmma", float32=float32):
        for a, b in (
            ((3, 65, 40), (3, 40, 72)), ((3, 65, 40), (40, 72)), ((65, 40), (2, 40, 72)),
            ((2, 3, 9, 16), (3, 16, 8)), ((2, 1, 9, 16), (3, 16, 8)),
        ):  # fmt: skip
            a, b = small_integers(*a, dtype=dtype), small_integers(*b, dtype=dtype)
            assert torch.equal(torchconv.matmul(a, b), (a.double() @ b.double()).to(dtype))


@pytest.mark.slow
def test_split_float32_is_as_accurate_as_float32():
    a, b = torch.randn(70, 300) * 1e3, torch.randn(300, 40)
    out = torch.empty(70, 40)
    assert cuda_on_host().hopper_matmul(out, a, b, True)
    expected = a.double() @ b.double()
    error = (out - expected).abs() / (a.double().abs() @ b.double().abs())
    assert error.max() < 2**-22


@pytest.mark.slow
def test_split_float32_keeps_infinity_and_nan():
    inf, nan = torch.inf, torch.nan
    a = torch.tensor([[inf, 1.0], [-inf, 2.0], [nan, 1.0], [3.0, 1e38], [inf, -inf], [1.5, 0.5]])
    b = torch.tensor([[2.5, 0.0, inf, -1.0], [1.0, 3.0, 1.0, -inf]])
    out = torch.empty(6, 4)
    assert cuda_on_host().hopper_matmul(out, a, b, True)
    torch.testing.assert_close(out, a @ b, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "float32", "groups"),
    [
        (torch.float64, "automatic", 1),
        (torch.float32, "fma", 1),
        (torch.float32, "automatic", 12),  # too many to go through one after the other
        (torch.bfloat16, "automatic", 12),
    ],
)
def test_what_warpgroups_cannot_take_goes_to_other_kernels(dtype, float32, groups):
    x = small_integers(2, 144, 7, 6, dtype=dtype, most=1)
    weight = small_integers(108, 144 // groups, 3, 3, dtype=dtype, most=1)
    with using("cuda_on_host"), cuda_kernels(algorithm="wgmma", float32=float32):
        out = torchconv.conv2d(x, weight, groups=groups)
    expected = torch.nn.functional.conv2d(x.double(), weight.double(), groups=groups)
    assert torch.equal(out, expected.to(dtype))


@pytest.mark.parametrize("where", [GPU])
@types
def test_warpgroups_of_a_gpu_agree_with_the_other_kernels(where, name):
    dtype, float32 = TYPES[name]
    if torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("no GPU of compute capability 9.0")
    x = small_integers(4, 128, 28, 32, dtype=dtype, most=1).cuda()
    weight = small_integers(256, 128, 3, 3, dtype=dtype, most=1).cuda()
    for layout in (contiguous, channels_last):
        given = [in_layout(layout, t.requires_grad_()) for t in (x, weight)]
        results = []
        for algorithm in ("product", "wgmma"):
            with backends.cuda_kernels(algorithm=algorithm, float32=float32):
                out = torchconv.conv2d(*given, padding=1)
                grads = torch.autograd.grad(out, given, torch.ones_like(out))
                results.append([out, *grads])
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)
