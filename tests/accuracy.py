"""How results are judged: against float64, with bounds that follow from the arithmetic.

For sums of products the error is measured in units of |a|·|b|, the same sum over absolute values:
the error of one element relative to its own value says more about cancellation than about a kernel.
"""

import numpy as np
import torch

FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
REAL = [torch.float32, torch.float64]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


def double(*tensors):
    """Independent float64 copies that require grad where their originals do."""
    copies = [
        None if t is None else t.detach().double().requires_grad_(t.requires_grad) for t in tensors
    ]
    return copies if len(copies) > 1 else copies[0]


def assert_sum_close(actual, expected, scale):
    """``actual`` is within rounding of the float64 sum ``expected``; ``scale`` is Σ|a||b|.

    float32 and float64 may lose 4 units of ``scale``; 16-bit types are summed in float32 and
    rounded once, so half a unit of the result, and the float32 error.
    """
    assert actual.shape == expected.shape
    error = (actual.double() - expected).abs()
    if actual.dtype in REAL:
        bound = 4 * torch.finfo(actual.dtype).eps * scale
    else:
        unit = torch.finfo(actual.dtype).eps / 2
        bound = unit * 1.01 * expected.abs() + 8 * torch.finfo(torch.float32).eps * scale
        bound = bound + torch.finfo(actual.dtype).smallest_normal * unit * 2
    worst = (error / bound.clamp_min(1e-300)).max().item() if error.numel() else 0
    assert torch.all(error <= bound), f"error is {worst:.3g} times the bound"


def assert_matches_float64(function, reference, given):
    """``function(*given)`` and its gradients are within rounding of ``reference`` in float64.

    The same reference over absolute values gives the scale of each sum; ``given`` may hold None.
    """

    def derive(function, arguments, grad_out):
        out = function(*arguments)
        present = [t for t in arguments if t is not None]
        return [out.detach(), *torch.autograd.grad(out, present, grad_out)]

    sizes = [None if t is None else t.detach().double().abs().requires_grad_() for t in given]
    grad_out = torch.randn_like(function(*given))
    results = derive(function, given, grad_out)
    expected = derive(reference, double(*given), grad_out.double())
    scales = derive(reference, sizes, grad_out.double().abs())
    for result, value, scale in zip(results, expected, scales, strict=True):
        assert result.dtype == grad_out.dtype
        assert_sum_close(result, value, scale)


def same_on_any_threads(function):
    """What the function returns, after it was the same in every bit with 1, 2 and 3 threads."""
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(function())
    finally:
        torch.set_num_threads(threads)
    first, *others = ([r] if isinstance(r, torch.Tensor) else r for r in results)
    for other in others:
        for one, again in zip(first, other, strict=True):
            assert torch.equal(bits(one), bits(again))
    return results[0]


def bits(tensor):
    """The elements as integers, which tell -0 from 0 and are equal where both are NaN."""
    return tensor.detach().view(getattr(torch, f"int{8 * tensor.element_size()}"))


def small_integers(*shape, dtype, most=3):
    """Whole numbers so small that sums of thousands of products are exact in every order."""
    return torch.randint(-most, most + 1, shape).to(dtype)


def ulps(actual, expected):
    """Distance from ``expected`` (NumPy longdouble), in units in the last place of ``actual``."""
    expected = np.asarray(expected, dtype=np.longdouble)
    rounded = torch.from_numpy(expected.astype(np.float64)).to(actual.dtype).abs()
    spacing = torch.nextafter(rounded, torch.full_like(rounded, torch.inf)).double()
    spacing = (spacing - rounded.double()).numpy().astype(np.longdouble)
    return np.abs(exactly(actual) - expected) / spacing


def exactly(tensor):
    """The elements as NumPy longdoubles, with bits to spare beyond float64."""
    return tensor.detach().double().cpu().numpy().astype(np.longdouble)
