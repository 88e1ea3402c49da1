"""Operators on tensors whose sizes only the data tell: exported, and compiled with gradients."""

import pytest
import torch

import torchconv

pytestmark = pytest.mark.usefixtures("device")


def numbers(*sizes):
    return torch.randn(sizes, dtype=torch.float64, device="cpu")


ROWS, MATRICES, IMAGES, TALL = (6, 5), (6, 3, 5), (6, 3, 7, 8), (2, 3, 6, 8)
FEATURES, BIAS, KERNELS = numbers(4, 5), numbers(4), numbers(4, 3, 3, 3)

# The sizes of x, and a call on the part of it that a mask of six selects, with a weight. In the
# first dimension nothing may be selected.
SELECTED = {
    "sigmoid": (ROWS, lambda x, m, w: torchconv.sigmoid(x[m]), BIAS),
    "relu": (ROWS, lambda x, m, w: torchconv.relu(x[m]), BIAS),
    "linear": (ROWS, lambda x, m, w: torchconv.linear(x[m], w, w[:, 0]), FEATURES),
    "matmul": (ROWS, lambda x, m, w: torchconv.matmul(x[m], w.mT), FEATURES),
    "matmul, batch of 1": (MATRICES, lambda x, m, w: torchconv.matmul(x[m], w.mT[None]), FEATURES),
    "matmul, two batches": (MATRICES, lambda x, m, w: torchconv.matmul(x[m].mT, x[m]), BIAS),
    "conv2d": (IMAGES, lambda x, m, w: torchconv.conv2d(x[m], w, w[:, 0, 0, 0], 2, 1), KERNELS),
    "max_pool2d": (IMAGES, lambda x, m, w: torchconv.max_pool2d(x[m], 2), BIAS),
    "conv2d_act_pool": (IMAGES, lambda x, m, w: torchconv.conv2d_act_pool(x[m], w), KERNELS),
}
SELECTED_HEIGHT = {
    "conv2d": (TALL, lambda x, m, w: torchconv.conv2d(x[:, :, m], w, None, 1, 2), KERNELS),
    "conv2d, same": (
        TALL, lambda x, m, w: torchconv.conv2d(x[:, :, m], w, None, 2, "same"), KERNELS),
    "max_pool2d": (
        TALL, lambda x, m, w: torchconv.max_pool2d(x[:, :, m], 3, 2, 1, ceil_mode=True), BIAS),
    "conv2d_act_pool": (
        TALL, lambda x, m, w: torchconv.conv2d_act_pool(x[:, :, m], w, padding=2), KERNELS),
}  # fmt: skip
ALL = {**SELECTED, **{f"{name}, height": case for name, case in SELECTED_HEIGHT.items()}}
cases = pytest.mark.parametrize(("sizes", "call", "weight"), ALL.values(), ids=ALL)
MASKS = ([1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 0], [1] * 6)


def inputs(sizes, mask):
    return torch.randn(sizes, dtype=torch.float64), torch.tensor(mask) > 0


def compiled(call):
    torch._dynamo.reset()
    return torch.compile(call, backend="aot_eager", fullgraph=True)


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


@cases
def test_compiled(sizes, call, weight):
    function = compiled(call)
    weight = weight.to(torch.get_default_device()).requires_grad_()
    for mask in MASKS:
        x, mask = inputs(sizes, mask)
        found = []
        for each in (function, call):
            given = [x.clone().requires_grad_(), weight]
            out = each(given[0], mask, weight)
            found.append([out, *torch.autograd.grad(out.square().sum(), given, allow_unused=True)])
        torch.testing.assert_close(*found)


@pytest.mark.parametrize(("sizes", "call", "weight"), SELECTED.values(), ids=SELECTED)
def test_nothing_selected(sizes, call, weight):
    weight = weight.to(torch.get_default_device())
    x, mask = inputs(sizes, [0] * 6)
    found = []
    for each in (compiled(call), call):
        given = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        out = each(given[0], mask, given[1])
        found.append([out, *torch.autograd.grad(out.square().sum(), given, allow_unused=True)])
    torch.testing.assert_close(*found)


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
