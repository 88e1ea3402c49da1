"""relu: values, gradients, types and layouts, all exactly as in torch."""

import pytest
import torch
from accuracy import FLOATS
from layouts import LAYOUTS, in_layout

import torchconv

INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("size", [0, 1, 7, 16, 33, 64, 129, 40_000])
def test_relu_matches_torch(kernels, dtype, size):
    x = (torch.randn(size) * 50).to(dtype)
    out = torchconv.relu(x)
    assert out.dtype == dtype
    assert torch.equal(out, torch.relu(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_relu_backward_matches_torch(kernels, dtype, layout):
    x = in_layout(layout, torch.randn(3, 5, 7, 9).to(dtype)).requires_grad_()
    grad_out = in_layout(layout, torch.randn(3, 5, 7, 9).to(dtype))
    out = torchconv.relu(x)
    (grad_x,) = torch.autograd.grad(out, x, grad_out)
    (expected,) = torch.autograd.grad(torch.relu(x), x, grad_out)
    assert torch.equal(out, torch.relu(x))
    assert out.stride() == torch.relu(x).stride()
    assert torch.equal(grad_x, expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_at_special_values(kernels, dtype):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, 1, -1] * 5, dtype=dtype, requires_grad=True)
    out = torchconv.relu(x)
    expected = torch.relu(x)
    torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)
    grad_out = torch.randn(35).to(dtype)
    grads = [torch.autograd.grad(y, x, grad_out)[0] for y in (out, expected)]
    assert torch.equal(*grads)


def test_relu_takes_an_expanded_gradient(kernels):
    x = torch.randn(3, 50, requires_grad=True)
    torchconv.relu(x).sum().backward()
    assert torch.equal(x.grad, (x > 0).float())


def test_relu_gradcheck(kernels):
    x = torch.randn(3, 21, dtype=torch.float64)
    x = torch.where(x.abs() < 0.01, 0.5, x).requires_grad_()  # no kink within reach
    assert torch.autograd.gradcheck(torchconv.relu, x)
    assert torch.autograd.gradgradcheck(torchconv.relu, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 63, 64, 65, 200, 4096, 4103, 80_001])
@pytest.mark.parametrize("rows", [1, 3])
def test_relu_mask_has_a_bit_for_each_element(kernels, dtype, size, rows):
    x = torch.randn(rows, size).to(dtype)
    out, mask = torch.ops.torchconv.relu_with_mask(x, rows)
    assert torch.equal(out, torch.relu(x))
    bits = mask.unsqueeze(-1).bitwise_right_shift(torch.arange(8, dtype=torch.uint8)) & 1
    assert mask.shape == (rows, (size + 7) // 8)
    assert torch.equal(bits.flatten(1)[:, :size].bool(), x > 0)
    grad_out = torch.randn(rows, size).to(dtype)
    grad_x = torch.ops.torchconv.relu_backward(grad_out, mask, x.stride())
    assert torch.equal(grad_x, grad_out * (x > 0))


def test_relu_keeps_a_bit_for_each_element(device):
    x = torch.randn(4, 100, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, abs):
        out = torchconv.relu(x)
    assert kept == [400 // 8]
    out.detach().fill_(-1)  # nobody needs it
    out.sum().backward()
    assert torch.equal(x.grad, (x > 0).float())


@pytest.mark.parametrize("in_dim", [0, 1, 2, 3, -1])
def test_relu_gives_the_items_of_vmap_their_gradients(device, in_dim):
    x = torch.randn(3, 5, 7, 9).to(memory_format=torch.channels_last)
    grads = torch.func.vmap(torch.func.grad(lambda x: torchconv.relu(x).sin().sum()), in_dim)(x)
    expected = torch.where(x > 0, x.cos(), 0.0).movedim(in_dim, 0)
    torch.testing.assert_close(grads, expected)


def test_relu_in_nested_vmap(device):
    x = torch.randn(2, 3, 4, 5, 6)
    twice = torch.func.vmap(torch.func.vmap(torch.func.grad(lambda x: torchconv.relu(x).sum())))
    assert torch.equal(twice(x), (x > 0).float())


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_of_results_that_pass_the_caches_by(isa, dtype):
    """From 16 MiB on; the same bits as in pieces, also at odd addresses and through buffers."""
    size = (16 << 20) // dtype.itemsize + 37
    x = torch.randn(2 * size).to(dtype)
    for given in (x[:size], x[1 : size + 1], x[::2]):
        pieces = [piece.clone().requires_grad_() for piece in given.split(1 << 20)]
        whole = given.detach().requires_grad_()
        grad_out = torch.randn(size).to(dtype)
        out, expected = torchconv.relu(whole), [torchconv.relu(piece) for piece in pieces]
        assert torch.equal(out, torch.cat(expected))
        out.backward(grad_out)
        torch.autograd.backward(expected, grad_out.split(1 << 20))
        assert torch.equal(whole.grad, torch.cat([piece.grad for piece in pieces]))
