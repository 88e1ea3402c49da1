"""Whether an operator computes what it should, before anybody asks how fast.

Forward results and gradients are compared with torch's in float64. The error of an element is its
distance from float64, divided by the sum of the absolute values of the terms that make it up:
relative to its own value it would say more about cancellation than about a kernel.

Rounding explains an error of a few units of the type in which a kernel adds up, times that sum, and
of half a unit of the result, rounded to its type. Sums in blocks stay well within; other algorithms
may be less accurate, so that up to four times native's error is let through, but never more than
four times the bound. TF32 rounds the factors of a product to 11 bits, which each term may show.
Winograd's algorithm transforms a tile of an image as a whole, so that an element may get the errors
of its neighbours: there, four times the largest bound of a plane is one.

float64, torch's on the same device, is slow. Of a large shape a smaller batch is verified, of at
least two samples: samples go through the same kernels one by one. A product of matrices is always
verified whole.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchconv.bench.cases import Case, arrange, derive

_STEPS = ("forward", "training")
_UNITS = 8  # of the accumulator, for sums in blocks
_MARGIN = 4
_TF32 = 2 * 2.0**-10  # of a term: two factors, which the hardware may cut off instead of rounding
# Of a forward pass that is verified whole.
_MOST_FLOPS = 4e9
_MOST_BYTES = 64e6


@dataclass(frozen=True)
class Verdict:
    """Errors by step and side, and a sentence if ours is wrong."""

    errors: dict[str, dict[str, float]]
    failure: str


@dataclass(frozen=True)
class _Truth:
    """A result in float64, and what its rounding errors are proportional to."""

    value: Tensor
    terms: Tensor  # the sum of the absolute values of its terms
    rounded: Tensor  # the absolute value of what is rounded to the result's type
    tiled: bool  # whether ours shares errors among the elements of a plane
    factors: float  # how far the rounding of its factors takes a term, relatively

    def error(self, actual: Tensor) -> float:
        """The largest error, relative to the terms."""
        return self._largest(actual, self.terms)

    def excess(self, actual: Tensor) -> float:
        """The largest error, in units of what rounding explains."""
        accumulator = torch.finfo(torch.promote_types(actual.dtype, torch.float32))
        half_unit = torch.finfo(actual.dtype).eps / 2 * 1.01
        terms = self.terms
        if self.tiled:
            terms = _MARGIN * terms.amax((-2, -1), keepdim=True)
        bound = (_UNITS * accumulator.eps + self.factors) * terms + half_unit * self.rounded
        return self._largest(actual, bound)

    def _largest(self, actual: Tensor, unit: Tensor) -> float:
        info = torch.finfo(actual.dtype)
        # Below the normal numbers, results are multiples of the smallest one of all.
        slack = info.smallest_normal * info.eps
        distance = ((actual.double() - self.value).abs() - slack).clamp_min(0)
        return (distance / unit.clamp_min(1e-300)).max().item()


class _CoarseTruth:
    """A gradient that may go to other elements than in float64: only its norm is compared."""

    def __init__(self, value: Tensor, most: float) -> None:
        self.value = value
        self.most = most

    def error(self, actual: Tensor) -> float:
        """The norm of the difference, relative to the gradient's own."""
        return ((actual.double() - self.value).norm() / self.value.norm()).item()

    def excess(self, actual: Tensor) -> float:
        """The same, in units of what is let through."""
        return self.error(actual) / self.most


def most_detours(dtype: torch.dtype, tf32: bool = False) -> float:
    """How far, relative to its norm, rounding may turn a gradient.

    Where an activation lies within rounding of zero, or a maximum has a rival, a gradient takes
    another way: torch's own two layouts differ so, too.
    """
    return 0.75 if dtype.itemsize < 4 or tf32 else 0.1


def verify(
    case: Case, dtype: torch.dtype, device: str, layouts: list[str], tf32: bool = False
) -> Verdict:
    """Compares torchconv and torch with float64, forward and backward, in every layout.

    Args:
        case: The shape, of which only a part may be taken.
        dtype: The type in which it is computed.
        device: Where it is computed, float64, too.
        layouts: Memory formats of the arguments.
        tf32: Whether products of float32 may be those of TF32.

    Returns:
        The largest errors of both sides, and what is wrong with ours.
    """
    case = affordable(case)
    with torch.device(device):
        given = [t.to(dtype) for t in case.tensors()]
        grad_out = torch.randn(case.native(*(t.to("meta") for t in given)).shape).to(dtype)
    wanted = case.wants_gradient()
    doubles = [t.double() for t in given]
    values = derive(case.native, doubles, wanted, grad_out.double())
    sizes = case.magnitudes(doubles, grad_out.double())
    factors = _TF32 if tf32 and dtype == torch.float32 else 0.0
    truths: list[_Truth | _CoarseTruth] = [
        _Truth(value, size, size if case.rounds_terms else value.abs(), tiled, factors)
        for value, size, tiled in zip(values, sizes, case.tiled(dtype, device), strict=True)
    ]
    if case.selects:
        truths[1:] = [_CoarseTruth(value, most_detours(dtype, tf32)) for value in values[1:]]
    gradients = [f"grad of {a}" for a, w in zip(case.arguments, wanted, strict=True) if w]
    names = ["result", *gradients]
    errors = {step: dict.fromkeys(("ours", "native"), 0.0) for step in _STEPS}
    for layout in layouts:
        arranged = [arrange(t, layout) for t in given]
        grad = arrange(grad_out, layout)
        native = derive(case.native, arranged, wanted, grad)
        try:
            ours = derive(case.ours, arranged, wanted, grad)
        except RuntimeError as error:
            return Verdict({}, str(error).partition("\n")[0])
        for i, (name, truth) in enumerate(zip(names, truths, strict=True)):
            if ours[i].shape != truth.value.shape or ours[i].dtype != dtype:
                what = f"{tuple(ours[i].shape)} in {ours[i].dtype}"
                return Verdict({}, f"{name}, {layout}: its shape or dtype is wrong, {what}")
            step = _STEPS[i > 0]
            for side, results in (("ours", ours), ("native", native)):
                errors[step][side] = _worse(errors[step][side], truth.error(results[i]))
            excess = truth.excess(ours[i])
            if not excess <= max(1, _MARGIN * min(truth.excess(native[i]), 1)):
                sentence = f"{name}, {layout}: off by {excess:.3g} times what rounding explains"
                return Verdict(errors, sentence)
    return Verdict(errors, "")


def _worse(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def affordable(case: Case) -> Case:
    """As much of a case as float64 can do in a second or so."""
    cost = case.flops("forward") / _MOST_FLOPS + case.bytes("forward", 4) / _MOST_BYTES
    return case if cost <= 1 else case.part(1 / cost)
