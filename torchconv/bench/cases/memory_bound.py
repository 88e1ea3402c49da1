"""What moves more than it computes: pooling and sigmoid."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

import torchconv
from torchconv.bench.cases.base import LAYOUTS, Case, Pair, derive, out_size


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
class Sigmoid(Case):
    """A sigmoid of so many elements."""

    size: int

    operator: ClassVar[str] = "sigmoid"
    keys: ClassVar[dict[str, str]] = {"size": ""}
    arguments: ClassVar[tuple[str, ...]] = ("x",)
    memory_bound: ClassVar[bool] = True
    rounds_terms: ClassVar[bool] = True

    def part(self, share: float) -> "Sigmoid":
        """So many elements fewer."""
        return Sigmoid(int(self.size * share))

    def tensors(self) -> list[Tensor]:
        """The input alone."""
        return [torch.randn(self.size)]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.sigmoid."""
        return torchconv.sigmoid(*given)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch.sigmoid."""
        return torch.sigmoid(*given)

    def magnitudes(self, given: list[Tensor], grad_out: Tensor) -> list[Tensor]:
        """The gradient is grad_out · s · (1 - s), in which s has been rounded on its own."""
        s = torch.sigmoid(given[0])
        return [s, 2 * grad_out.abs() * s]

    def flops(self, step: str) -> float:
        """Not counted."""
        return 0.0

    def bytes(self, step: str, element_size: int) -> float:
        """Input and result; in training also grad_out, out again and grad_x."""
        return float(self.size * element_size * (2 if step == "forward" else 5))
