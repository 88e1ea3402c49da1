"""Operators on tensors whose sizes only the data tell: exported, and compiled with gradients."""

import pytest
import torch

import torchconv

pytestmark = pytest.mark.usefixtures("device")


def numbers(*sizes):
    return torch.randn(sizes, dtype=torch.float64, device="cpu")


ROWS, MATRICES, IMAGES = (6, 5), (6, 3, 5), (6, 3, 7, 8)
TALL, WIDE, DEEP = (2, 3, 6, 8), (2, 3, 8, 6), (2, 6, 8, 7)
FEATURES, BIAS, KERNELS = numbers(4, 5), numbers(4), numbers(4, 3, 3, 3)


def nhwc(x):
    return x.contiguous(memory_format=torch.channels_last)


# Shape of x, call and weight. The call selects from x with a mask of six elements, which may be all
# False in the first dimension.
SELECTED = {
    "sigmoid": (ROWS, lambda x, m, w: torchconv.sigmoid(x[m]), BIAS),
    "relu": (ROWS, lambda x, m, w: torchconv.relu(x[m]), BIAS),
    "linear": (ROWS, lambda x, m, w: torchconv.linear(x[m], w, w[:, 0]), FEATURES),
    "matmul": (ROWS, lambda x, m, w: torchconv.matmul(x[m], w.mT), FEATURES),
    "matmul, batch of 1": (MATRICES, lambda x, m, w: torchconv.matmul(x[m], w.mT[None]), FEATURES),
    "matmul, two batches": (MATRICES, lambda x, m, w: torchconv.matmul(x[m].mT, x[m]), BIAS),
    "conv2d": (IMAGES, lambda x, m, w: torchconv.conv2d(x[m], w, w[:, 0, 0, 0], 2, 1), KERNELS),
    "conv2d, channels last": (IMAGES, lambda x, m, w: torchconv.conv2d(nhwc(x[m]), w), KERNELS),
    "max_pool2d": (IMAGES, lambda x, m, w: torchconv.max_pool2d(x[m], 2), BIAS),
    "conv2d_act_pool": (IMAGES, lambda x, m, w: torchconv.conv2d_act_pool(x[m], w), KERNELS),
}
SELECTED_IN_OTHER_DIMS = {
    "conv2d, height": (TALL, lambda x, m, w: torchconv.conv2d(x[:, :, m], w, None, 1, 2), KERNELS),
    "conv2d, height, same": (
        TALL, lambda x, m, w: torchconv.conv2d(x[:, :, m], w, None, 2, "same"), KERNELS),
    "conv2d, height, channels last": (
        TALL, lambda x, m, w: torchconv.conv2d(nhwc(x[:, :, m]), w, None, 1, 2), KERNELS),
    "max_pool2d, height": (
        TALL, lambda x, m, w: torchconv.max_pool2d(x[:, :, m], 3, 2, 1, ceil_mode=True), BIAS),
    "conv2d_act_pool, height": (
        TALL, lambda x, m, w: torchconv.conv2d_act_pool(x[:, :, m], w, padding=2), KERNELS),
    "conv2d, width": (WIDE, lambda x, m, w: torchconv.conv2d(x[..., m], w, None, 1, 2), KERNELS),
    "conv2d, width, channels last": (
        WIDE, lambda x, m, w: torchconv.conv2d(nhwc(x[..., m]), w, None, 2, 2), KERNELS),
    "max_pool2d, width": (
        WIDE, lambda x, m, w: torchconv.max_pool2d(nhwc(x[..., m]), 2, padding=1), BIAS),
    "conv2d_act_pool, width": (
        WIDE, lambda x, m, w: torchconv.conv2d_act_pool(nhwc(x[..., m]), w, padding=2), KERNELS),
    "conv2d, height and width": (
        (2, 3, 6, 6), lambda x, m, w: torchconv.conv2d(x[:, :, m][..., m].mT, w, None, 1, 2),
        KERNELS),
    "conv2d, height, without batch": (
        (3, 6, 8), lambda x, m, w: torchconv.conv2d(x[:, m], w, None, 1, 2), KERNELS),
    "conv2d, height, permuted": (
        (2, 6, 8, 3), lambda x, m, w: torchconv.conv2d(x[:, m].permute(0, 3, 1, 2), w, None, 1, 2),
        KERNELS),
    "conv2d, out_channels": (
        IMAGES, lambda x, m, w: torchconv.conv2d(x, w[m]), numbers(6, 3, 3, 3)),
    "max_pool2d, channels": (DEEP, lambda x, m, w: torchconv.max_pool2d(x[:, m], 2), BIAS),
}  # fmt: skip
ALL = {**SELECTED, **SELECTED_IN_OTHER_DIMS}
cases = pytest.mark.parametrize(("sizes", "call", "weight"), ALL.values(), ids=ALL)
MASKS = ([1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 0], [1] * 6)


def inputs(sizes, mask):
    return torch.randn(sizes, dtype=torch.float64), torch.tensor(mask) > 0


def compiled(call, dynamic=None):
    torch._dynamo.reset()
    return torch.compile(call, backend="aot_eager", fullgraph=True, dynamic=dynamic)


@pytest.fixture(autouse=True)
def sizes_in_graphs():
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        yield


@cases
def test_exported(sizes, call, weight):
    class Model(torch.nn.Module):
        def forward(self, x, mask, weight):
            return call(x, mask, weight)

    weight = weight.to(torch.get_default_device())
    exported = torch.export.export(Model(), (*inputs(sizes, MASKS[0]), weight)).module()
    for mask in MASKS:
        x, mask = inputs(sizes, mask)
        torch.testing.assert_close(exported(x, mask, weight), call(x, mask, weight))


def assert_same_as_compiled(function, call, sizes, weight, mask):
    weight = weight.to(torch.get_default_device())
    x, mask = inputs(sizes, mask)
    found = []
    for each in (function, call):
        given = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        out = each(given[0], mask, given[1])
        found.append([out, *torch.autograd.grad(out.square().sum(), given, allow_unused=True)])
    # The strides of sizes of 0 and 1 mean nothing.
    torch.testing.assert_close(*found, check_stride=int(mask.sum()) > 1)


@cases
def test_compiled(sizes, call, weight):
    function = compiled(call)
    for mask in MASKS:
        assert_same_as_compiled(function, call, sizes, weight, mask)


@pytest.mark.parametrize("name", ["conv2d, height, same", "conv2d, width, channels last"])
def test_compiled_with_all_sizes_symbolic(name):
    sizes, call, weight = ALL[name]
    assert_same_as_compiled(compiled(call, dynamic=True), call, sizes, weight, MASKS[0])


def test_compiled_under_autocast():
    sizes, call, weight = ALL["conv2d, channels last"]

    def cast(x, mask, weight):
        with torch.autocast(x.device.type, torch.bfloat16):
            return call(x.float(), mask, weight.float()).float()

    assert_same_as_compiled(compiled(cast), cast, sizes, weight, MASKS[0])


def test_compiled_gradient_of_torch_func():
    sizes, call, weight = ALL["conv2d, height"]

    def gradient(x, mask, weight):
        return torch.func.grad(lambda w: call(x, mask, w).square().sum())(weight)

    x, mask = inputs(sizes, MASKS[0])
    weight = weight.to(torch.get_default_device())
    torch.testing.assert_close(compiled(gradient)(x, mask, weight), gradient(x, mask, weight))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "linear", "matmul"])
def test_compiled_vmap_of_what_is_selected(name):
    call = {
        "relu": torchconv.relu,
        "sigmoid": torchconv.sigmoid,
        "linear": lambda x: torchconv.linear(x, FEATURES.to(x)),
        "matmul": lambda x: torchconv.matmul(x, FEATURES.to(x).mT),
    }[name]

    def function(x, mask):
        return torch.func.vmap(call)(x[mask])

    for mask in MASKS:
        given = inputs(MATRICES, mask)
        torch.testing.assert_close(compiled(function)(*given), function(*given))


@pytest.mark.parametrize(("sizes", "call", "weight"), SELECTED.values(), ids=SELECTED)
def test_nothing_selected(sizes, call, weight):
    assert_same_as_compiled(compiled(call), call, sizes, weight, [0] * 6)


def test_sizes_that_are_known_are_still_checked():
    class Model(torch.nn.Module):
        def forward(self, x, mask):
            return torchconv.conv2d(x[mask], torch.ones(4, 2, 3, 3, dtype=torch.float64))

    with pytest.raises(RuntimeError, match=r"conv2d: expected x.size\(1\) == 2"):
        torch.export.export(Model(), inputs(IMAGES, MASKS[0]))


def test_a_size_that_does_not_fit_is_refused_when_it_runs():
    function = compiled(lambda x, mask, weight: torchconv.matmul(x[:, mask], weight))
    x, mask = inputs(ROWS[::-1], MASKS[0])
    assert function(x, mask, torch.ones(4, 2, dtype=torch.float64)).shape == (5, 2)
    with pytest.raises(RuntimeError, match=r"matmul: expected|Runtime assertion|Eq"):
        function(x, torch.ones(6) > 0, torch.ones(4, 2, dtype=torch.float64))
