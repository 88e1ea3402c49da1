"""What moves more than it computes: pooling, sigmoid and relu."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

import torchconv
from torchconv.bench.cases.base import LAYOUTS, Case, Pair, SomeCase, derive, out_size


@dataclass(frozen=True)
class MaxPool2d(Case):
    """A max-pooling."""

    batch: int
    channels: int
    height: int
    width: int
    kernel_h: int
    kernel_w: int
    stride: Pair
    pad: Pair

    operator: ClassVar[str] = "pool"
    keys: ClassVar[dict[str, str]] = {
        "N": "1", "C": "", "H": "", "W": "H", "R": "", "S": "R", "stride": "R", "pad": "0",
    }  # fmt: skip
    arguments: ClassVar[tuple[str, ...]] = ("x",)
    layouts: ClassVar[tuple[str, ...]] = LAYOUTS
    memory_bound: ClassVar[bool] = True

    @property
    def _kernel(self) -> Pair:
        return self.kernel_h, self.kernel_w

    @property
    def _out(self) -> Pair:
        return out_size((self.height, self.width), self._kernel, self.stride, self.pad)

    def fault(self) -> str:
        """Too much padding, or a window larger than the image."""
        if 2 * self.pad[0] > self.kernel_h or 2 * self.pad[1] > self.kernel_w:
            return f"pad of at most half the window, but got {self.pad} for {self._kernel}"
        return "" if min(self._out) > 0 else f"a positive output size, but got {self._out}"

    def tensors(self) -> list[Tensor]:
        """The input alone."""
        return [torch.randn(self.batch, self.channels, self.height, self.width)]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.max_pool2d."""
        return torchconv.max_pool2d(given[0], self._kernel, self.stride, self.pad)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch's max_pool2d."""
        return functional.max_pool2d(given[0], self._kernel, self.stride, self.pad)

    def magnitudes(self, given: list[Tensor], grad_out: Tensor) -> list[Tensor]:
        """Absolute values would have their maxima elsewhere; only grad_out is added up."""
        out, grad_x = derive(self.native, given, [True], grad_out.abs())
        return [out.abs(), grad_x]

    def flops(self, step: str) -> float:
        """Not counted."""
        return 0.0

    def bytes(self, step: str, element_size: int) -> float:
        """Input and result, in training their gradients, too."""
        inside, outside = self.height * self.width, self._out[0] * self._out[1]
        elements = self.batch * self.channels * (inside + outside)
        return float(elements * element_size * (1 if step == "forward" else 2))


@dataclass(frozen=True)
class _Elementwise(Case):
    """An operator on so many elements."""

    size: int

    keys: ClassVar[dict[str, str]] = {"size": ""}
    arguments: ClassVar[tuple[str, ...]] = ("x",)
    memory_bound: ClassVar[bool] = True
    passes: ClassVar[dict[str, int]]  # how often a step reads or writes so many elements

    def part(self: SomeCase, share: float) -> SomeCase:
        """So many elements fewer."""
        return replace(self, size=int(self.size * share))  # type: ignore[attr-defined,call-arg]

    def tensors(self) -> list[Tensor]:
        """The input alone."""
        return [torch.randn(self.size)]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv's function of this name."""
        out: Tensor = getattr(torchconv, self.operator)(*given)
        return out

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch's."""
        out: Tensor = getattr(torch, self.operator)(*given)
        return out

    def flops(self, step: str) -> float:
        """Not counted."""
        return 0.0

    def bytes(self, step: str, element_size: int) -> float:
        """Those of the passes."""
        return float(self.size * element_size * self.passes[step])


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """A sigmoid; backward reads grad_out and out, and writes grad_x."""

    operator: ClassVar[str] = "sigmoid"
    rounds_terms: ClassVar[bool] = True
    passes: ClassVar[dict[str, int]] = {"forward": 2, "training": 5}

    def magnitudes(self, given: list[Tensor], grad_out: Tensor) -> list[Tensor]:
        """The gradient is grad_out · s · (1 - s), in which s has been rounded on its own."""
        s = torch.sigmoid(given[0])
        return [s, 2 * grad_out.abs() * s]


@dataclass(frozen=True)
class Relu(_Elementwise):
    """A relu; backward reads grad_out and a few bits, and writes grad_x."""

    operator: ClassVar[str] = "relu"
    passes: ClassVar[dict[str, int]] = {"forward": 2, "training": 4}
