"""What the dispatcher knows: torch's own checks of an operator, meta kernels, torch.compile."""

import pytest
import torch
from layouts import channels_last, contiguous

import torchconv

ops = torch.ops.torchconv
CONV = ([2, 1], [1, 0, 2, 1], [1, 2], 2)
POOL = ([3, 2], [2, 2], [1, 0], [1, 1], True)


def grad(*shape, layout=contiguous):
    return layout(torch.randn(shape)).requires_grad_()


def conv_arguments(layout=contiguous):
    """x, weight, bias and a gradient of the output of one strided, padded, grouped convolution."""
    x, weight = grad(2, 4, 7, 8, layout=layout), grad(6, 2, 3, 2, layout=layout)
    bias = grad(6)
    out = ops.conv2d(x, weight, bias, *CONV)
    return x, weight, bias, grad(*out.shape, layout=layout)


def samples(layout=contiguous):
    """Arguments for every operator, in the order of csrc/library.cpp."""
    x, weight, bias, grad_out = conv_arguments(layout)
    pooled, offsets = ops.max_pool2d_with_offsets(x.detach(), *POOL)
    pooled_grad = grad(*pooled.shape, layout=layout)
    return {
        "sigmoid": (x,),
        "sigmoid_backward": (grad(2, 4, 7, 8, layout=layout), x),
        "relu": (x,),
        "relu_backward": (grad(2, 4, 7, 8, layout=layout), x),
        "matmul": (grad(5, 2, 3, 4), grad(2, 4, 6)),
        "linear": (grad(5, 2, 3), grad(4, 3), grad(4)),
        "linear_backward_bias": (grad(5, 2, 3),),
        "conv2d": (x, weight, bias, *CONV),
        "conv2d_backward_input": (grad_out, weight, [7, 8], *CONV),
        "conv2d_backward_weight": (grad_out, x, [3, 2], *CONV),
        "conv2d_backward_bias": (grad_out,),
        "max_pool2d": (x, *POOL),
        "max_pool2d_with_offsets": (x, *POOL),
        "max_pool2d_indices": (offsets, [7, 8], *POOL),
        "max_pool2d_backward": (pooled_grad, offsets, [7, 8], *POOL),
        "max_pool2d_gather": (x, offsets, *POOL),
    }


names = pytest.mark.parametrize("name", list(samples()))
layouts = pytest.mark.parametrize("layout", [contiguous, channels_last])


def to_meta(value):
    return value.detach().to("meta") if isinstance(value, torch.Tensor) else value


def test_every_operator_has_a_sample():
    schemas = torch._C._jit_get_all_schemas()
    registered = {s.name.split("::")[1] for s in schemas if s.name.startswith("torchconv::")}
    assert registered == set(samples())


@names
@layouts
def test_opcheck(name, layout):
    torch.library.opcheck(getattr(ops, name).default, samples(layout)[name])


@names
@layouts
def test_meta_kernel_agrees_with_the_real_one(name, layout):
    arguments = samples(layout)[name]
    real = getattr(ops, name)(*arguments)
    meta = getattr(ops, name)(*map(to_meta, arguments))
    pairs = zip(real, meta, strict=True) if isinstance(real, tuple) else [(real, meta)]
    for a, b in pairs:
        assert b.is_meta
        assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)


@names
def test_operator_called_directly_is_differentiable(name):
    arguments = samples()[name]
    out = getattr(ops, name)(*arguments)
    out = out[0] if isinstance(out, tuple) else out
    assert out.requires_grad == (name != "max_pool2d_indices")
    if out.requires_grad:
        tensors = [t for t in arguments if isinstance(t, torch.Tensor) and t.requires_grad]
        tensors = tensors[:1] if name == "relu_backward" else tensors  # flat in its second argument
        torch.autograd.grad(out.square().sum(), tensors)


def test_compiled_pooling_returns_indices():
    def pool(x):
        return torchconv.max_pool2d(x, 2, return_indices=True)

    x = torch.randn(1, 2, 4, 6)
    compiled = torch.compile(pool, backend="aot_eager", fullgraph=True)
    assert all(torch.equal(a, b) for a, b in zip(compiled(x), pool(x), strict=True))


def network(x, weight, bias, matrix):
    x = torchconv.max_pool2d(torchconv.relu(torchconv.conv2d(x, weight, bias, 1, "same")), 2)
    return torchconv.matmul(torchconv.sigmoid(torchconv.linear(x.flatten(1), matrix)), matrix)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_network_equals_eager(backend, dynamic):
    arguments = [grad(2, 3, 8, 8), grad(4, 3, 3, 3), grad(4), grad(5, 64)]
    compiled = torch.compile(network, backend=backend, dynamic=dynamic, fullgraph=True)
    for batch in (2, 3):
        arguments[0] = grad(batch, 3, 8, 8)
        out, expected = compiled(*arguments), network(*arguments)
        torch.testing.assert_close(out, expected)
        for a, b in zip(
            torch.autograd.grad(out.sum(), arguments),
            torch.autograd.grad(expected.sum(), arguments),
            strict=True,
        ):
            torch.testing.assert_close(a, b)
