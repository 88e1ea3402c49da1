"""matmul: every tile edge, transposes without a copy, broadcasting, gradients."""

import itertools

import pytest
import torch
from accuracy import (
    FLOATS,
    assert_matches_float64,
    assert_sum_close,
    same_on_any_threads,
    small_integers,
)

import torchconv

# (rows, depth, cols) around the tiles 6 and 12 x 8, 16, 32 of the micro-kernels, the panels of 96 x
# 256 and the blocks of 256 terms.
EDGES = [(1, 1, 1), (5, 3, 7), (6, 8, 8), (12, 16, 32), (13, 17, 33), (11, 31, 15), (95, 255, 255)]
EDGES += [(96, 256, 256), (97, 257, 257), (2, 1000, 3), (300, 5, 2), (1, 64, 300), (64, 300, 1)]
# Rows 4 KiB apart, of results and of operands, over more than one block of terms.
EDGES += [(29, 300, 1024), (30, 1024, 33)]
TRANSPOSES = list(itertools.product([False, True], repeat=2))


def operand(rows, cols, transpose, dtype, fill=torch.randn):
    """A matrix that is stored by columns where ``transpose`` says so."""
    x = fill(cols, rows).to(dtype).t() if transpose else fill(rows, cols).to(dtype)
    return x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", EDGES, ids=str)
@pytest.mark.parametrize("transposes", TRANSPOSES, ids=str)
def test_matmul_matches_float64(kernels, dtype, size, transposes):
    rows, depth, cols = size
    a = operand(rows, depth, transposes[0], dtype)
    b = operand(depth, cols, transposes[1], dtype)
    out = torchconv.matmul(a, b)
    assert out.dtype == dtype
    assert out.is_contiguous()
    assert_sum_close(out, a.double() @ b.double(), a.double().abs() @ b.double().abs())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", EDGES, ids=str)
def test_matmul_is_exact_on_small_integers(kernels, dtype, size):
    rows, depth, cols = size
    most = 1 if dtype in (torch.bfloat16, torch.float16) else 3
    a = small_integers(rows, depth, dtype=dtype, most=most)
    b = small_integers(depth, cols, dtype=dtype, most=most)
    expected = (a.double() @ b.double()).to(dtype)
    assert torch.equal(torchconv.matmul(a, b), expected)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (7, 3, 4)),
        ((1, 5, 2, 3), (7, 1, 3, 4)),
        ((0, 2, 3), (3, 4)),
        ((2, 0), (0, 4)),
        ((0, 3), (3, 4)),
        ((2, 3), (3, 0)),
        ((4, 0, 2, 3), (1, 3, 5)),
    ],
    ids=str,
)
def test_matmul_broadcasts_as_torch(a, b):
    a, b = torch.randn(a, requires_grad=True), torch.randn(b, requires_grad=True)
    out, expected = torchconv.matmul(a, b), torch.matmul(a, b)
    torch.testing.assert_close(out, expected)
    assert out.stride() == expected.stride()
    grad_out = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(out, (a, b), grad_out), torch.autograd.grad(expected, (a, b), grad_out)
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shapes", [((37, 70), (70, 45)), ((3, 17, 20), (20, 9))], ids=str)
def test_matmul_backward_matches_float64(kernels, dtype, shapes):
    given = [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]
    assert_matches_float64(torchconv.matmul, torch.matmul, given)


@pytest.mark.parametrize(
    "operands",
    [
        lambda: (torch.randn(20, 24)[:, ::2], torch.randn(24, 30)[1::2]),
        lambda: (torch.randn(24, 20).t()[3:], torch.randn(24, 30)[:, ::3]),
        lambda: (torch.randn(20, 1).expand(-1, 24), torch.randn(1, 30).expand(24, -1)),
        lambda: (torch.randn(5, 3, 8).transpose(0, 1), torch.randn(8, 4)),
        lambda: (
            torch.randn(2, 3, 4, 2, 5, 6).permute(2, 1, 3, 0, 5, 4),
            torch.randn(1, 2, 2, 5, 7),
        ),
    ],
    ids=["steps", "transposed", "expanded", "permuted-batch", "four-batch-dimensions"],
)
def test_matmul_takes_any_strides(kernels, operands):
    a, b = operands()
    torch.testing.assert_close(torchconv.matmul(a, b), a @ b)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("depth", [4096, 4097, 9001])
def test_matmul_is_exact_over_several_spans(kernels, dtype, depth):
    a = small_integers(7, depth, dtype=dtype, most=1)
    b = small_integers(depth, 5, dtype=dtype, most=1)
    assert torch.equal(torchconv.matmul(a, b), (a.double() @ b.double()).to(dtype))


def test_matmul_long_sums_keep_their_accuracy(kernels):
    a, b = torch.rand(3, 200_000), torch.rand(200_000, 2)
    assert_sum_close(torchconv.matmul(a, b), a.double() @ b.double(), a.double() @ b.double())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_matmul_accumulates_16_bit_types_in_float32(kernels, dtype):
    a = torch.full((1, 4096), 1.0, dtype=dtype)
    assert torchconv.matmul(a, a.t()).item() == 4096
    if dtype == torch.float16:
        values = torch.tensor([[60000.0, 60000.0, -60000.0]], dtype=dtype)
        assert torchconv.matmul(values, torch.ones(3, 1, dtype=dtype)).item() == 60000


def test_matmul_row_does_not_depend_on_other_rows_or_threads(kernels):
    a, b = torch.randn(200, 700), torch.randn(700, 300)
    whole = same_on_any_threads(lambda: torchconv.matmul(a, b))
    assert torch.equal(torchconv.matmul(a[7:8], b), whole[7:8])
    assert torch.equal(torchconv.matmul(a[50:], b[:, 5:]), whole[50:, 5:])


def test_matmul_gradcheck(kernels):
    a = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torchconv.matmul, (a, b))
    assert torch.autograd.gradgradcheck(torchconv.matmul, (a, b))


@pytest.mark.parametrize(("needs", "saved"), [((True, False), 1), ((False, True), 0)])
def test_matmul_saves_only_what_its_gradient_needs(needs, saved):
    a, b = (torch.randn(4, 4, requires_grad=need) for need in needs)
    kept = [t for t in torchconv.matmul(a, b).grad_fn.saved_tensors if t is not None]
    assert [t.data_ptr() for t in kept] == [(a, b)[saved].data_ptr()]
