"""Products on a GPU: every tile and kind of arithmetic, where indices lead, and plans."""

import itertools
import os
import random
import subprocess
import sys

import pytest
import torch
from accuracy import FLOATS, assert_sum_close, double, small_integers
from devices import cuda_kernels, cuda_on_host
from layouts import channels_last, contiguous, in_layout
from test_conv2d import CASES, reference

import torchconv
from torchconv import _C, backends

TILES = ("128x128", "128x64", "64x64")
ARITHMETIC = [
    *(pytest.param(dtype, "automatic", id=str(dtype)[6:]) for dtype in FLOATS[1:]),
    *(pytest.param(torch.float32, name, id=name) for name in ("tf32", "tf32x3", "fma")),
]
LARGER = {
    "several-tiles": ((2, 40, 12, 13), (136, 40, 3, 3), {"padding": 1}),
    "several-tiles-stride": ((3, 24, 17, 18), (72, 24, 3, 3), {"padding": 1, "stride": 2}),
    "several-tiles-groups": ((2, 48, 9, 9), (144, 24, 3, 3), {"padding": 1, "groups": 2}),
    "several-tiles-1x1": ((2, 136, 12, 12), (72, 136, 1, 1), {}),
}
SOME = ["3x3-same", "7x7-first-layer", "dilation-stride", "four-sided", "groups", "many-taps"]


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize(("dtype", "float32"), ARITHMETIC)
@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 32), (65, 70, 33), (130, 200, 100)], ids=str)
def test_every_product_is_exact_on_small_integers(cuda, dtype, float32, tile, shape):
    rows, cols, depth = shape
    with cuda_kernels(tile=tile, float32=float32):
        for a_turned, b_turned in itertools.product([False, True], repeat=2):
            a = small_integers(*((depth, rows) if a_turned else (rows, depth)), dtype=dtype)
            b = small_integers(*((cols, depth) if b_turned else (depth, cols)), dtype=dtype)
            a, b = a.t() if a_turned else a, b.t() if b_turned else b
            expected = (a.double() @ b.double()).to(dtype)
            assert torch.equal(torchconv.matmul(a, b), expected)


@pytest.mark.parametrize("layout", [contiguous, channels_last])
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize(("dtype", "float32"), ARITHMETIC)
@pytest.mark.parametrize("case", [*SOME, *LARGER])
def test_every_convolution_is_exact_on_small_integers(cuda, dtype, float32, tile, case, layout):
    x, weight, options = {**CASES, **LARGER}[case]
    given = [
        in_layout(layout, small_integers(*shape, dtype=dtype, most=1).requires_grad_())
        for shape in (x, weight, weight[:1])
    ]
    with cuda_kernels(tile=tile, float32=float32, algorithm="product"):
        out = torchconv.conv2d(*given, **options)
        grad_out = in_layout(layout, small_integers(*out.shape, dtype=dtype, most=1))
        gradients = torch.autograd.grad(out, given, grad_out)
    values = double(*given)
    expected = reference(*values, **options)
    assert torch.equal(out, expected.to(dtype))
    wanted = torch.autograd.grad(expected, values, grad_out.double())
    for grad, value in zip(gradients, wanted, strict=True):
        assert torch.equal(grad, value.to(dtype))


@pytest.mark.parametrize("float32", ["tf32x3", "fma"])
@pytest.mark.parametrize("depth", [5, 300, 5000])
def test_strict_float32_is_as_accurate_as_float32(cuda, float32, depth):
    a, b = torch.randn(70, depth), torch.randn(depth, 66)
    with cuda_kernels(float32=float32):
        out = torchconv.matmul(a, b)
    assert_sum_close(out, a.double() @ b.double(), a.double().abs() @ b.double().abs())


@pytest.mark.parametrize("float32", ["tf32", "tf32x3", "fma"])
def test_infinity_and_nan_stay_what_they_are(cuda, float32):
    inf, nan, large = torch.inf, torch.nan, 1e38
    a = torch.tensor([[inf, 1.0], [-inf, 2.0], [nan, 1.0], [large, large], [0.0, 3.0]])
    b = torch.tensor([[1.0, -0.3], [1.0, 0.7]])
    with cuda_kernels(float32=float32):
        out = torchconv.matmul(a, b)
    expected = a.double() @ b.double()
    assert torch.equal(out.isnan(), expected.isnan())
    tolerance = {"tf32": 1e-3}.get(float32, 1e-6)
    torch.testing.assert_close(out.double(), expected, rtol=tolerance, atol=0, equal_nan=True)


def test_padding_hides_what_lies_beside_an_image(cuda):
    around = torch.full((1, 2, 9, 9), torch.nan)
    around[:, :, 2:7, 2:7] = 1
    for dtype in FLOATS:
        x, weight = around[:, :, 2:7, 2:7].to(dtype), torch.ones(3, 2, 3, 3, dtype=dtype)
        inner = around.to(dtype)[:, :, 2:7, 2:7]
        assert torch.equal(
            torchconv.conv2d(inner, weight, padding=1), torchconv.conv2d(x, weight, padding=1)
        )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("pool", [2, (1, 3), torchconv.PoolWindow(2, stride=3), 3], ids=str)
@pytest.mark.parametrize("channels", [20, 500])
def test_pooling_at_once_is_convolution_and_pooling(cuda, dtype, pool, channels):
    """In every bit, NaN included; sums of 500 channels are too long for it in some types."""
    x, weight, bias = (
        torch.randn(s).to(dtype) for s in ((2, channels, 12, 11), (9, channels, 3, 3), 9)
    )
    x[0, 3, 3, 4] = torch.nan  # of one channel: the gradients of others are numbers
    given = [t.requires_grad_() for t in (x, weight, bias)]
    window = pool if isinstance(pool, torchconv.PoolWindow) else torchconv.PoolWindow(pool)
    with cuda_kernels(algorithm="product"):
        ours = torchconv.conv2d_act_pool(*given, padding=1, activation="relu", pool=window)
        out = torchconv.relu(torchconv.conv2d(*given, padding=1))
        expected = torchconv.max_pool2d(out, window.kernel_size, window.stride)
        grad_out = torch.randn_like(expected)
        gradients = torch.autograd.grad(ours, given, grad_out)
        wanted = torch.autograd.grad(expected, given, grad_out)
    for one, other in zip([ours, *gradients[:2]], [expected, *wanted[:2]], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(gradients[2], wanted[2], equal_nan=True)  # sums of pooled rows


def test_images_that_32_bits_cannot_count_are_refused(cuda):
    image = torch.zeros(1, 1, 1, 1).expand(1, 1, 1 << 15, 1 << 15)
    with pytest.raises(RuntimeError, match=r"conv2d: expected pixels of an image to be less than"):
        torchconv.conv2d(image, image)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_indices_lead_to_the_places_that_their_digits_say(seed):
    numbers = random.Random(seed)
    digits = [
        (
            numbers.randint(1, 5),
            numbers.randint(0, 7),
            numbers.randint(-2, 2),
            numbers.randint(0, 2),
        )
        for _ in range(3)
    ]
    if seed % 2:  # two digits that are one run of steps
        extent, *step = digits[2]
        digits[1] = (digits[1][0], *(extent * s for s in step))
    expected = [
        tuple(
            sum(n * digit[1 + i] for n, digit in zip(index, digits, strict=True)) for i in range(3)
        )
        for index in itertools.product(*(range(digit[0]) for digit in digits))
    ]
    assert cuda_on_host().places_of_axis(digits) == expected


@pytest.mark.slow
@pytest.mark.parametrize("element_bytes", [2, 4, 8])
@pytest.mark.parametrize("along_sum", [True, False])
def test_what_a_warp_reads_at_once_lies_in_different_banks(element_bytes, along_sum):
    """In units of 8 bytes, of which shared memory gives 16 at a time."""
    tile = cuda_on_host().places_in_tile(element_bytes, along_sum)  # [line][chunk], 64 indices
    places = sorted(place for line in tile for place in line)
    assert places == list(range(0, 64 * 64, 16))
    by_chunks = element_bytes == 2 or (element_bytes == 4 and along_sum)  # ldmatrix: 8 lines
    by_lanes = element_bytes == 4 or along_sum  # 4 lines, two chunks of each
    for first in range(0, len(tile), 8):
        for chunk in range(0, len(tile[0]), 2):
            if by_chunks:
                read = [tile[first + line][chunk] for line in range(8)]
            elif by_lanes:
                read = [tile[first + line][chunk + c] for line in range(4) for c in range(2)]
            else:
                continue
            assert len({place // 16 % 8 for place in read}) == 8


PLAIN = (torch.empty(32, 64, 56, 56, device="meta"), torch.empty(64, 64, 3, 3, device="meta"))


@pytest.fixture
def product():
    """No warpgroups, of which the plans for a GPU like an H200 would tell."""
    with backends.cuda_kernels(algorithm="product"):
        yield


def plans(x, weight, **options):
    return backends.explain_conv2d(x, weight, device="cuda", **options)


def test_plans_tell_the_arithmetic_and_follow_the_switches_of_tf32():
    x, weight = PLAIN
    for dtype, name, algorithm in (
        (torch.bfloat16, "bf16", "wgmma"),
        (torch.float16, "f16", "wgmma"),
        (torch.float64, "f64", "product"),
    ):
        for plan in plans(x.to(dtype), weight.to(dtype), padding=1).values():
            assert (plan.algorithm, plan.arithmetic) == (algorithm, name)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
        assert plans(x, weight)["forward"].arithmetic == "tf32"
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        assert plans(x, weight)["forward"].arithmetic == "tf32x3"
        with backends.cuda_kernels(float32="fma"):
            assert plans(x, weight)["forward"][:2] == ("product", "fma")


@pytest.mark.usefixtures("product")
def test_plans_take_large_tiles_where_there_are_enough():
    x = PLAIN[0].bfloat16()
    wide = torch.empty(256, 64, 3, 3, device="meta", dtype=torch.bfloat16)
    last = channels_last
    assert plans(last(x), last(wide), padding=1)["forward"].tile == "128x128"
    assert plans(x, wide, padding=1)["forward"].tile == "128x64"  # loaded element by element
    assert plans(last(x[:1, :, :7, :7]), last(wide), padding=1)["forward"].tile == "64x64"
    with backends.cuda_kernels(tile="64x64"):
        assert plans(last(x), last(wide), padding=1)["forward"].tile == "64x64"


@pytest.mark.usefixtures("product")
def test_plans_cut_long_sums_by_their_length_alone():
    x, weight = PLAIN
    plan = plans(x, weight, padding=1)["backward_weight"]
    assert plan.chunks > 1
    assert plan.workspace_bytes == plan.chunks * weight.numel() * 4 <= 64 << 20
    sizes = [*x.shape, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 56, 56]
    for processors, capability in ((20, 89), (132, 90), (148, 100)):
        explained = _C.explain_conv2d_cuda(sizes, "bfloat16", True, processors, capability)
        assert explained[2][3] == _C.explain_conv2d_cuda(sizes, "bfloat16", True, 132, 90)[2][3]
    assert plans(x, weight)["forward"].chunks == 1


def test_plans_split_the_input_gradient_by_the_strides():
    x, weight = PLAIN
    assert plans(x, weight, stride=2)["backward_input"].launches == 4
    assert plans(x, weight, stride=(1, 3))["backward_input"].launches == 3
    assert plans(x, torch.empty(64, 64, 4, 4), stride=4)["backward_input"].launches == 1


def test_plans_of_warpgroups_keep_a_gpu_busy_and_copy_only_what_they_must():
    x, weight = (t.bfloat16() for t in PLAIN)
    last = channels_last
    large = plans(last(x), last(weight), padding=1)
    assert large["forward"].chunks == 1
    assert large["forward"].workspace_bytes == 0
    assert large["backward_weight"].chunks > 1
    deep = torch.empty(1, 512, 7, 7, device="meta", dtype=torch.bfloat16)
    many = torch.empty(512, 512, 3, 3, device="meta", dtype=torch.bfloat16)
    small = plans(last(deep), last(many), padding=1)["forward"]
    assert (small.tile, small.chunks > 1) == ("128x64", True)
    halves = plans(last(deep), last(many[:, :256]), padding=1, groups=2)["forward"]
    assert (halves.algorithm, halves.launches) == ("wgmma", 2)
    # Rows of 3 x 3 windows begin within 16 bytes, those of 1 x 1 windows do not.
    assert plans(x, weight, padding=1)["forward"].workspace_bytes >= x.numel() * 2
    assert plans(x, weight[:, :, :1, :1])["forward"].workspace_bytes == 0
    with backends.cuda_kernels(tile="128x64"):
        assert plans(x, weight)["forward"].algorithm == "product"


def test_plans_of_few_channels_and_of_nothing():
    x, _ = PLAIN
    few = torch.empty(64, 1, 3, 3, device="meta")
    assert {p.algorithm for p in plans(x, few, groups=64).values()} == {"direct"}
    with backends.cuda_kernels(algorithm="product"):
        assert {p.algorithm for p in plans(x, few, groups=64).values()} == {"product"}
    assert {p.algorithm for p in plans(x[:0], few, groups=64).values()} == {"none"}


@pytest.mark.parametrize("algorithm", ["automatic", "product"])
def test_plans_of_an_input_that_no_output_reads(algorithm):
    x, weight = (torch.empty(64, 64, 1, 1, device="meta") for _ in range(2))
    with backends.cuda_kernels(algorithm=algorithm):
        found = plans(x, weight, stride=3, padding=1)
    assert found["backward_input"].algorithm == "none"
    assert found["forward"].algorithm != "none"


def test_the_environment_makes_choices():
    code = "import torchconv; print(torchconv._C.get_cuda_choice('tile'))"
    for value, said in (
        ("64x64", "64x64"),
        ("", "automatic"),
        ("7", "TORCHCONV_CUDA_TILE: expected"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd="/",
            env={**os.environ, "TORCHCONV_CUDA_TILE": value},
        )
        assert said in ended.stdout + ended.stderr


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="cuda_kernels: tile: expected one of automatic, 128x128"):
        backends.cuda_kernels(algorithm="direct", tile="7x7").__enter__()
    assert _C.get_cuda_choice("algorithm") == "automatic"
    with backends.cuda_kernels(tile="64x64", algorithm="direct"):
        assert _C.get_cuda_choice("tile") == "64x64"
    assert _C.get_cuda_choice("tile") == "automatic"


def test_plans_tell_of_portions_of_copied_images():
    x = torch.empty(512, 64, 224, 224, device="meta", dtype=torch.bfloat16)
    weight = torch.empty(64, 64, 3, 3, device="meta", dtype=torch.bfloat16)
    found = plans(x, weight, padding=1)  # copies of 3.1 GiB, of one or of two images
    assert [plan.launches for plan in found.values()] == [4, 4, 8]
    sums = found["backward_weight"].chunks * weight.numel() * 4
    assert found["backward_weight"].workspace_bytes - sums <= 1 << 30
    assert found["forward"].workspace_bytes <= (1 << 30) + 2 * weight.numel()


def test_plans_take_no_longer_for_large_strides():
    x = torch.empty(1, 64, 2**24, 2**4, device="meta")
    found = plans(x, torch.empty(64, 64, 3, 3, device="meta"), stride=2**24)
    assert found["backward_input"].launches == 9


def test_plans_for_other_devices_are_refused():
    with pytest.raises(ValueError, match="explain_conv2d: expected device to be of type cpu, cuda"):
        backends.explain_conv2d(*PLAIN, device="mps")
