"""Memory formats of conv2d's gradients: those of torch's for float32, whatever grad_out is."""

import itertools
import warnings

import distributed
import pytest
import torch
from torch._prims_common import suggest_memory_format
from torch._subclasses.fake_tensor import FakeTensorMode

import torchconv
from torchconv._torch import is_channels_last

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
# batch, in_channels, height, width, out_channels, kernel, groups
SHAPES = {
    "3x3": (2, 8, 6, 5, 4, 3, 1),
    "one image": (1, 8, 6, 5, 4, 3, 1),
    "one channel": (2, 1, 6, 5, 4, 3, 1),
    "one output channel": (2, 8, 6, 5, 1, 3, 1),
    "1x1": (2, 4, 6, 5, 8, 1, 1),
    "1x1, one image": (1, 4, 6, 5, 8, 1, 1),
    "one row": (2, 4, 1, 5, 8, 1, 1),
    "one pixel": (2, 4, 1, 1, 8, 1, 1),
    "groups": (2, 8, 6, 5, 4, 3, 2),
    "depthwise": (2, 4, 6, 5, 4, 3, 4),
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
x_formats = pytest.mark.parametrize("x_format", FORMATS.values(), ids=FORMATS)
weight_formats = pytest.mark.parametrize("weight_format", FORMATS.values(), ids=FORMATS)


def laid_out_in_every_order(*sizes):
    """Tensors of these sizes with their dimensions in memory in each of 24 orders."""
    for order in itertools.permutations(range(4)):
        x = torch.empty([sizes[dim] for dim in order])
        yield x.permute([order.index(dim) for dim in range(4)])


@pytest.mark.parametrize("sizes", itertools.product((1, 2), (1, 2, 3), (1, 3), (1, 2)))
def test_formats_are_recognised_as_torch_does(sizes):
    for dense in laid_out_in_every_order(*sizes):
        for x in (dense, dense[:, :1], dense[..., :1], dense[:, :, :0]):
            expected = suggest_memory_format(x) == torch.channels_last
            assert is_channels_last(x) is expected
            if x.numel():
                meta = torchconv.max_pool2d(x.to("meta").as_strided(x.shape, x.stride()), 1)
                assert meta.stride() == torchconv.max_pool2d(x, 1).stride()


def operands(shape, x_format, weight_format, dtype=torch.float32):
    batch, in_channels, height, width, out_channels, kernel, groups = shape
    x = torch.empty(batch, in_channels, height, width, memory_format=x_format)
    sizes = (out_channels, in_channels // groups, kernel, kernel)
    weight = torch.empty(sizes, memory_format=weight_format)
    return [t.normal_().to(dtype).requires_grad_() for t in (x, weight)], groups


def grad_outs(out):
    """A gradient in either format, and as ``sum()`` has it."""
    for memory_format in FORMATS.values():
        yield torch.randn(out.shape).to(out).contiguous(memory_format=memory_format)
    yield torch.ones((), dtype=out.dtype, device=out.device).expand(out.shape)


def gradient_strides(function, given, grad_out):
    out = function(*given)
    return [grad.stride() for grad in torch.autograd.grad(out, given, grad_out)]


def expected_strides(shape, given, groups, grad_out):
    """torch's; where its own depend on the number of threads and images, those of the weight."""
    x, weight = given
    expected = gradient_strides(
        lambda x, w: torch.nn.functional.conv2d(x, w, groups=groups),
        [x.detach().float().requires_grad_(), weight.detach().float().requires_grad_()],
        grad_out.float(),
    )
    return expected if shape[5] > 1 else [expected[0], weight.stride()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@shapes
@x_formats
@weight_formats
def test_as_torch(shape, x_format, weight_format, dtype):
    given, groups = operands(shape, x_format, weight_format, dtype)
    for grad_out in grad_outs(torchconv.conv2d(*given, groups=groups)):
        found = gradient_strides(
            lambda x, w: torchconv.conv2d(x, w, groups=groups), given, grad_out
        )
        assert found == expected_strides(shape, given, groups, grad_out)


@shapes
@x_formats
@weight_formats
def test_the_same_for_a_block_a_fake_tensor_and_a_compiled_call(shape, x_format, weight_format):
    given, groups = operands(shape, x_format, weight_format)

    def conv2d(x, weight):
        return torchconv.conv2d(x, weight, groups=groups)

    def block(x, weight):
        return torchconv.conv2d_act_pool(x, weight, groups=groups, activation=None, pool=1)

    expected = gradient_strides(conv2d, given, torch.ones(conv2d(*given).shape))
    torch._dynamo.reset()
    for function in (
        block,
        torch.compile(conv2d, backend="aot_eager", fullgraph=True),
        torch.compile(conv2d, backend="aot_eager", fullgraph=True, dynamic=True),
    ):
        for grad_out in grad_outs(function(*given)):
            assert gradient_strides(function, given, grad_out) == expected
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(t) for t in given]
        for function in (conv2d, block):
            for grad_out in grad_outs(function(*fake)):
                assert gradient_strides(function, fake, grad_out) == expected


def test_of_strided_views():
    """A crop of a channels_last image counts as channels_last, as in torch."""
    (x, weight), _ = operands((2, 8, 9, 9, 4, 3, 1), torch.channels_last, torch.contiguous_format)
    for crop in (lambda t: t[:, :, 1:-1, 2:], lambda t: t[:, ::2], lambda t: t.transpose(2, 3)):
        given = [crop(x).detach().requires_grad_(), weight]
        if given[0].shape[1] == 4:
            given[1] = weight[:, :4].detach().requires_grad_()
        for grad_out in grad_outs(torchconv.conv2d(*given)):
            found = gradient_strides(torchconv.conv2d, given, grad_out)
            assert found == gradient_strides(torch.nn.functional.conv2d, given, grad_out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_an_image_with_its_channels_last_and_no_batch(dtype):
    """Without a batch the strides are no channels_last in C++, nor for torch's convolution."""
    x = torch.randn(16, 20, 3, dtype=dtype).permute(2, 0, 1)[None].requires_grad_()
    weight = torch.randn(4, 3, 3, 3, dtype=dtype, requires_grad=True)
    given, grad_out = [x, weight], torch.ones(1, 4, 14, 18, dtype=dtype)
    expected = gradient_strides(
        torch.nn.functional.conv2d, [t.detach().float().requires_grad_() for t in given],
        grad_out.float(),
    )  # fmt: skip
    assert gradient_strides(torchconv.conv2d, given, grad_out) == expected


def test_accumulated_gradients_have_the_strides_of_the_parameter():
    for shape, x_format, weight_format in itertools.product(
        SHAPES.values(), FORMATS.values(), FORMATS.values()
    ):
        (x, weight), groups = operands(shape, x_format, weight_format)
        if shape[5] == 1 or weight.stride() != torch.empty_like(weight).contiguous().stride():
            torchconv.conv2d(x, weight, groups=groups).mean().backward()
            assert weight.grad.stride() == weight.stride()


def test_distributed_data_parallel_has_nothing_to_warn_of(tmp_path):
    net = torch.nn.Sequential(torchconv.nn.Conv2d(4, 8, 1), torchconv.nn.Conv2d(8, 8, 1))
    x = torch.randn(2, 4, 6, 5).contiguous(memory_format=torch.channels_last)
    torch.set_warn_always(True)  # it would warn once in a process
    try:
        with distributed.group(tmp_path), warnings.catch_warnings():
            warnings.simplefilter("error")
            parallel = torch.nn.parallel.DistributedDataParallel(net)
            for _ in range(2):
                parallel(x).mean().backward()
    finally:
        torch.set_warn_always(False)
