"""sigmoid: values over the whole range, gradients, types and layouts."""

import numpy as np
import pytest
import torch
from accuracy import FLOATS, REAL, exactly, ulps
from layouts import LAYOUTS, in_layout

import torchconv

MOST_ULPS = {torch.float32: 2, torch.float64: 2, torch.bfloat16: 0.501, torch.float16: 0.501}
SIZES = [0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 513, 40_000]


def sigmoid_exactly(x):
    return 1 / (1 + np.exp(-exactly(x)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_sigmoid_is_accurate(kernels, dtype, size):
    x = (torch.randn(size) * 8).to(dtype)
    out = torchconv.sigmoid(x)
    assert out.dtype == dtype
    assert np.all(ulps(out, sigmoid_exactly(x)) <= MOST_ULPS[dtype])


@pytest.mark.parametrize("dtype", REAL)
def test_sigmoid_is_accurate_down_to_the_last_subnormal(kernels, dtype):
    lowest = -104 if dtype == torch.float32 else -746
    x = torch.linspace(lowest, 40, 200_001, dtype=torch.float64).to(dtype)
    out = torchconv.sigmoid(x)
    assert np.all(ulps(out, sigmoid_exactly(x)) <= MOST_ULPS[dtype])
    assert out[0] < torch.finfo(dtype).smallest_normal


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_at_special_values(kernels, dtype):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, 1e4, -1e4], dtype=dtype)
    expected = torch.tensor([0.5, 0.5, 1, 0, nan, 1, 0], dtype=dtype)
    for place in range(0, 40, 7):  # in whole vectors and in the rest
        padded = torch.cat([torch.zeros(place, dtype=dtype), x])
        torch.testing.assert_close(
            torchconv.sigmoid(padded)[place:], expected, rtol=0, atol=0, equal_nan=True
        )


def test_sigmoid_of_an_element_does_not_depend_on_its_place(kernels):
    x = torch.randn(100)
    whole = torchconv.sigmoid(x)
    assert all(torch.equal(torchconv.sigmoid(x[i:]), whole[i:]) for i in range(100))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sigmoid_backward_matches_float64(kernels, dtype, layout):
    x = in_layout(layout, torch.randn(3, 5, 7, 9).to(dtype)).requires_grad_()
    grad_out = in_layout(layout, torch.randn(3, 5, 7, 9).to(dtype))
    out = torchconv.sigmoid(x)
    out.backward(grad_out)
    y = exactly(out)
    # Three roundings of half a unit; each may count double where the next result is smaller.
    most = 3 if dtype in REAL else MOST_ULPS[dtype]
    assert np.all(ulps(x.grad, exactly(grad_out) * y * (1 - y)) <= most)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sigmoid_keeps_strides_as_torch(device, layout):
    x = layout(torch.randn(2, 3, 4, 5))
    assert torchconv.sigmoid(x).stride() == torch.sigmoid(x).stride()


VIEWS = {
    "expanded": lambda: torch.randn(3, 1).expand(3, 40),
    "transposed-slice": lambda: torch.randn(64, 3).t()[1:, ::3],
    "scalar": lambda: torch.randn(()),
    "empty": lambda: torch.randn(0, 4),
    "slice": lambda: torch.randn(6, 6)[::2, 1::2],
    "permuted": lambda: torch.randn(2, 3, 4, 5, 6).permute(4, 0, 2, 1, 3)[:, :, 1:],
    "one-element": lambda: torch.randn(3)[::2][:1].unsqueeze(0),
    "one-column": lambda: torch.randn(4, 6)[:1].t(),
    "one-image": lambda: torch.randn(1, 5, 2, 34)[..., ::2].permute(0, 2, 1, 3),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_sigmoid_takes_any_strides(kernels, view):
    x = view()
    torch.testing.assert_close(torchconv.sigmoid(x), torch.sigmoid(x))
    assert torchconv.sigmoid(x).stride() == torch.sigmoid(x).stride()
    assert torchconv.sigmoid(x.to("meta")).stride() == torch.sigmoid(x).stride()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_sigmoid_promotes_integers(device, dtype):
    x = torch.randint(0, 2, (5, 7)).to(dtype)
    torch.testing.assert_close(torchconv.sigmoid(x), torch.sigmoid(x))


def test_sigmoid_gradcheck(kernels):
    x = torch.randn(3, 21, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torchconv.sigmoid, x)
    assert torch.autograd.gradgradcheck(torchconv.sigmoid, x)


def test_sigmoid_saves_only_its_output(device):
    x = torch.randn(10, requires_grad=True)
    out = torchconv.sigmoid(x * 1)
    assert [t.data_ptr() for t in out.grad_fn.saved_tensors] == [out.data_ptr()]


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_of_results_that_pass_the_caches_by(isa, dtype):
    """From 16 MiB on; the same bits as in pieces, also at odd addresses and through buffers."""
    size = (16 << 20) // dtype.itemsize + 37
    x = torch.randn(2 * size).to(dtype)
    for given in (x[:size], x[1 : size + 1], x[::2]):
        pieces = [piece.clone().requires_grad_() for piece in given.split(1 << 20)]
        whole = given.detach().requires_grad_()
        grad_out = torch.randn(size).to(dtype)
        out, expected = torchconv.sigmoid(whole), [torchconv.sigmoid(piece) for piece in pieces]
        assert torch.equal(out, torch.cat(expected))
        out.backward(grad_out)
        torch.autograd.backward(expected, grad_out.split(1 << 20))
        assert torch.equal(whole.grad, torch.cat([piece.grad for piece in pieces]))
