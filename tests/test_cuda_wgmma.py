"""Products by the warpgroups of Hopper GPUs: what they take, and that it is exact.

On the host the copy engine, its barriers and the products are what block_on_host.h and
hopper_on_host.h say they are. On a GPU they are forced, where it is one of 9.0.
"""

import itertools

import pytest
import torch
from accuracy import double, small_integers
from devices import GPU, cuda_on_host, using
from layouts import channels_last, contiguous, in_layout
from test_conv2d import reference

import torchconv
from torchconv import backends

TYPES = [torch.bfloat16, torch.float16, torch.float32]  # that as TF32
types = pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: str(dtype)[6:])
ALL = ("out", "grad_x", "grad_weight")
# (x, filters and kernel, stride, padding on the left, right, top and bottom, dilation); and what is
# taken of 16 bits: in NCHW, where rows have to be multiples of 16 bytes, and in channels_last. Of
# float32 it is what TF32 can read as it lies.
CASES = {
    "3x3": (((2, 64, 8, 8), (64, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "1x1": (((2, 64, 14, 16), (72, 1, 1), 1, (0, 0, 0, 0), 1), ALL, ALL),
    "several-tiles": (((3, 64, 9, 16), (136, 3, 3), 1, (1, 1, 1, 1), 1), ALL, ALL),
    "four-sided": (((2, 64, 10, 16), (128, 3, 5), 1, (2, 1, 0, 3), 1), ("out",), ALL),
    "dilation": (((1, 64, 16, 40), (64, 3, 3), 1, (2, 2, 2, 2), 2), ALL, ALL),
    "stride": (((2, 64, 11, 32), (72, 3, 3), 2, (1, 1, 1, 1), 1), ("grad_x",), ALL),
    "patches": (((2, 64, 12, 16), (64, 2, 2), 2, (0, 0, 0, 0), 1), ("grad_x",), ALL),
    "few-channels": (((1, 24, 6, 8), (8, 3, 3), 1, (0, 0, 0, 0), 1), ("out",), ("out", "grad_x")),
    "odd-rows": (((1, 64, 7, 7), (64, 3, 3), 1, (1, 1, 1, 1), 1), (), ALL),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", [contiguous, channels_last])
@types
@pytest.mark.parametrize("case", CASES)
def test_convolutions_of_warpgroups_are_exact(case, dtype, layout):
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
    geometry = [stride] * 2, list(padding), [dilation] * 2
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
    if dtype != torch.float32:
        assert tuple(found) == taken[layout is channels_last]


@pytest.mark.slow
@types
@pytest.mark.parametrize(
    "shape", [(64, 64, 64), (65, 72, 40), (130, 264, 200), (8, 8, 2056)], ids=str
)
def test_matrices_of_warpgroups_are_exact(dtype, shape):
    rows, cols, depth = shape
    for a_turned, b_turned in itertools.product([False, True], repeat=2):
        a = small_integers(*((depth, rows) if a_turned else (rows, depth)), dtype=dtype)
        b = small_integers(*((cols, depth) if b_turned else (depth, cols)), dtype=dtype)
        a, b = a.t() if a_turned else a, b.t() if b_turned else b
        out = torch.full((rows, cols), torch.nan, dtype=dtype)
        whole = all(max(t.stride()) * t.element_size() % 16 == 0 for t in (a, b))
        along_sum = not a_turned and b_turned
        taken = whole and (along_sum or dtype != torch.float32)
        assert cuda_on_host().hopper_matmul(out, a, b) == taken
        if taken:
            assert torch.equal(out, (a.double() @ b.double()).to(dtype))


@pytest.mark.slow
def test_what_warpgroups_cannot_take_goes_to_other_kernels():
    """Groups, strict float32 and float64: the result is there in any case."""
    x, weight = torch.randn(2, 48, 9, 9), torch.randn(32, 24, 3, 3)
    expected = torch.nn.functional.conv2d(x, weight, groups=2)
    with using("cuda_on_host"):
        cuda_on_host().set_choice("algorithm", "wgmma")
        try:
            torch.testing.assert_close(torchconv.conv2d(x, weight, groups=2), expected)
        finally:
            cuda_on_host().set_choice("algorithm", "automatic")


@pytest.mark.parametrize("where", [GPU])
@types
def test_warpgroups_of_a_gpu_agree_with_the_other_kernels(where, dtype):
    if torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("no GPU of compute capability 9.0")
    x = small_integers(4, 128, 28, 32, dtype=dtype, most=1).cuda()
    weight = small_integers(256, 128, 3, 3, dtype=dtype, most=1).cuda()
    for layout in (contiguous, channels_last):
        given = [in_layout(layout, t.requires_grad_()) for t in (x, weight)]
        results = []
        for algorithm in ("product", "wgmma"):
            with backends.cuda_kernels(algorithm=algorithm, float32="tf32"):
                out = torchconv.conv2d(*given, padding=1)
                grads = torch.autograd.grad(out, given, torch.ones_like(out))
                results.append([out, *grads])
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)
