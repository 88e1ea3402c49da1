"""Tensors as torch hands them out: views, expanded gradients, inference mode, memory formats."""

import pytest
import torch
from layouts import LAYOUTS
from operators import cases, operators

import torchconv

pytestmark = pytest.mark.usefixtures("device")


def negative(x):
    """A view whose negative bit is set: nothing is negated in memory."""
    return torch._neg_view(-x)


def imaginary(x):
    """The imaginary part of a conjugate: a strided view with the negative bit."""
    return torch.complex(torch.zeros_like(x), -x).conj().imag


def real(x):
    return torch.complex(x, torch.ones_like(x)).conj().real


def expanded(x):
    """The first slice repeated with stride 0."""
    return x[:1].expand_as(x)


def offset(x):
    """Inside a larger buffer, at an offset that no vector likes."""
    return torch.cat([torch.full((1,), torch.nan, dtype=x.dtype), x.flatten()])[1:].view(x.shape)


VIEWS = {view.__name__: view for view in (*LAYOUTS, negative, imaginary, real, expanded, offset)}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


@cases
@views
def test_any_view_as_input_and_as_gradient(case, view):
    given = [view(t).detach() if t.dim() else t for t in case.inputs()]
    grads = []
    grad_out = None
    for function, tensors in ((case.ours, given), (case.native, [t.clone() for t in given])):
        tensors = [t.requires_grad_() for t in tensors]
        out = function(*tensors)
        if grad_out is None:
            grad_out = torch.randn(out.shape, dtype=out.dtype)
            grad_out = view(grad_out) if out.dim() else grad_out
        grads.append([out, *torch.autograd.grad(out, tensors, grad_out)])
    torch.testing.assert_close(*grads)


@cases
def test_gradient_with_stride_zero(case):
    """What sum() sends back: one number, expanded."""
    given = case.inputs(requires_grad=True)
    ours, native = (torch.autograd.grad(f(*given).sum(), given) for f in (case.ours, case.native))
    torch.testing.assert_close(ours, native)


@operators
def test_inference_mode(case):
    given = case.inputs()
    expected = case.ours(*given)
    with torch.inference_mode():
        out = case.ours(*given)
        again = case.ours(*[t.clone() for t in given])
    assert out.is_inference()
    torch.testing.assert_close(out.clone(), expected)
    torch.testing.assert_close(again.clone(), expected)
    # Outside, a tensor made inside still works wherever nothing has to be recorded.
    inside = [torch.inference_mode()(t.clone)() for t in given]
    torch.testing.assert_close(case.ours(*inside), expected)
    other = next((t.requires_grad_() for t in given[1:]), None)
    if other is not None:
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            case.ours(inside[0], *given[1:])


@operators
def test_no_grad_records_nothing(case):
    given = case.inputs(requires_grad=True)
    with torch.no_grad():
        assert not case.ours(*given).requires_grad
    assert case.ours(*given).requires_grad


@operators
def test_a_wrapper_that_left_its_transform_is_still_a_tensor(case):
    """A tensor that escapes from torch.func.grad counts as what it holds."""
    given, escaped = case.inputs(), []

    def leak(x):
        escaped.append(x)
        return x.sum()

    torch.func.grad(leak)(given[0])
    out = case.ours(escaped[0], *given[1:])
    torch.testing.assert_close(out, case.ours(*given))


def test_channels_last_is_kept_through_a_network():
    net = torch.nn.Sequential(
        torchconv.nn.Conv2d(3, 8, 3, padding=1), torchconv.nn.ReLU(), torchconv.nn.MaxPool2d(2),
        torchconv.nn.Conv2d(8, 4, 3, stride=2), torchconv.nn.Sigmoid(),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    x = torch.randn(2, 3, 12, 12).to(memory_format=torch.channels_last).requires_grad_()
    seen = []

    def hook(layer, inputs, output):
        seen.append(output.is_contiguous(memory_format=torch.channels_last))
        output.register_hook(
            lambda g: seen.append(g.is_contiguous(memory_format=torch.channels_last))
        )

    for layer in net:
        layer.register_forward_hook(hook)
    out = net(x)
    out.backward(torch.randn_like(out))
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
    assert net[0].weight.grad.is_contiguous(memory_format=torch.channels_last)
    assert len(seen) == 2 * len(net)
    assert all(seen)
