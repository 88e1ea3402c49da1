"""linear: values, gradients and layouts; what is kept for backward."""

import pytest
import torch
from accuracy import FLOATS, assert_matches_float64, assert_sum_close, double, small_integers
from layouts import LAYOUTS, in_layout

import torchconv

SHAPES = [(5,), (1, 5), (7, 33), (2, 3, 40), (97, 257), (0, 5), (2, 0, 5), (4, 0)]


def inputs(shape, out_features, dtype, bias, fill=torch.randn):
    x = fill(shape).to(dtype).requires_grad_()
    weight = fill((out_features, shape[-1])).to(dtype).requires_grad_()
    return x, weight, fill((out_features,)).to(dtype).requires_grad_() if bias else None


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_linear_matches_float64(kernels, dtype, bias, shape):
    given = inputs(shape, 19, dtype, bias)
    assert_matches_float64(torchconv.linear, torch.nn.functional.linear, given)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_linear_is_exact_in_any_layout(kernels, dtype, layout):
    x = small_integers(6, 5, 35, dtype=dtype).requires_grad_()
    weight = small_integers(21, 35, dtype=dtype).requires_grad_()
    given = [in_layout(layout, t) for t in (x, weight)]
    out = torchconv.linear(*given)
    grad_out = in_layout(layout, small_integers(6, 5, 21, dtype=dtype, most=1))
    values = double(*given)
    expected = torch.nn.functional.linear(*values)
    assert torch.equal(out.double(), expected)
    grads = torch.autograd.grad(out, given, grad_out)
    wanted = torch.autograd.grad(expected, values, grad_out.double())
    assert all(torch.equal(g.double(), w) for g, w in zip(grads, wanted, strict=True))


def test_linear_gradcheck(kernels):
    given = inputs((2, 3, 4), 5, torch.float64, bias=True)
    assert torch.autograd.gradcheck(torchconv.linear, given)
    assert torch.autograd.gradgradcheck(torchconv.linear, given)
    vector = inputs((4,), 5, torch.float64, bias=True)
    assert torch.autograd.gradcheck(torchconv.linear, vector)


def test_linear_bias_gradient_of_long_columns_keeps_its_accuracy(kernels):
    grad_out = torch.rand(200_000, 3)
    (total,) = torch.ops.torchconv.linear_backward_bias(grad_out).unsqueeze(0)
    expected = grad_out.double().sum(0)
    assert_sum_close(total, expected, expected)


@pytest.mark.parametrize("frozen", ["x", "weight"])
def test_linear_saves_only_what_its_gradient_needs(frozen):
    x, weight, bias = inputs((3, 4), 5, torch.float32, bias=True)
    (x if frozen == "x" else weight).requires_grad_(False)
    kept = [t for t in torchconv.linear(x, weight, bias).grad_fn.saved_tensors if t is not None]
    needed = x if frozen == "x" else weight
    assert [t.data_ptr() for t in kept] == [needed.data_ptr()]
