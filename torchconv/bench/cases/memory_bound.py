"""What moves more than it computes: pooling, sigmoid and relu."""

from collections.abc import Callable
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

    def backward(self, side: str, x: Tensor, grad_out: Tensor) -> Callable[[], Tensor]:
        """Ours from the offsets of the maxima, torch's from their indices and x."""
        window = self._kernel, self.stride, self.pad, (1, 1), False
        if side == "ours":
            ops = torch.ops.torchconv
            offsets = ops.max_pool2d_with_offsets(x, *window)[1]
            return lambda: ops.max_pool2d_backward(grad_out, offsets, x.shape[2:], *window)
        aten = torch.ops.aten
        indices = aten.max_pool2d_with_indices(x, *window)[1]
        return lambda: aten.max_pool2d_with_indices_backward(grad_out, x, *window, indices)

    def bytes(self, step: str, element_size: int) -> float:
        """Forward: what windows see of x, and out. In training each has an offset, too.

        Backward: grad_out, an offset of each of its elements, and the whole of grad_x.
        """
        planes = self.batch * self.channels
        out_h, out_w = self._out
        seen = _seen(self.height, out_h, self.kernel_h, self.stride[0], self.pad[0])
        seen *= _seen(self.width, out_w, self.kernel_w, self.stride[1], self.pad[1])
        out = out_h * out_w
        offsets = out * (1 if self.kernel_h * self.kernel_w <= 255 else 4)
        forward = (seen + out) * element_size
        backward = (out + self.height * self.width) * element_size + offsets
        moved = {"forward": forward, "backward": backward, "training": forward + offsets + backward}
        return float(planes * moved[step])


def _seen(size: int, windows: int, kernel: int, stride: int, pad: int) -> int:
    """How many of the rows, or columns, of an image are in some window."""
    inside = {window * stride - pad + i for window in range(windows) for i in range(kernel)}
    return len(inside & set(range(size)))


@dataclass(frozen=True)
class _Elementwise(Case):
    """An operator on so many elements."""

    size: int

    keys: ClassVar[dict[str, str]] = {"size": ""}
    arguments: ClassVar[tuple[str, ...]] = ("x",)
    memory_bound: ClassVar[bool] = True
    passes: ClassVar[dict[str, int]]  # how often a step reads or writes so many elements
    bits: ClassVar[dict[str, int]] = {}  # and bits of a mask, for each of them

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
        """Those of the passes, and of the mask."""
        return self.size * (element_size * self.passes[step] + self.bits.get(step, 0) / 8)


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """A sigmoid; backward reads grad_out and out, and writes grad_x."""

    operator: ClassVar[str] = "sigmoid"
    rounds_terms: ClassVar[bool] = True
    passes: ClassVar[dict[str, int]] = {"forward": 2, "backward": 3, "training": 5}

    def backward(self, side: str, x: Tensor, grad_out: Tensor) -> Callable[[], Tensor]:
        """From the output, on both sides."""
        out = torch.sigmoid(x)
        ops = torch.ops.torchconv if side == "ours" else torch.ops.aten
        return lambda: ops.sigmoid_backward(grad_out, out)

    def magnitudes(self, given: list[Tensor], grad_out: Tensor) -> list[Tensor]:
        """The gradient is grad_out · s · (1 - s), in which s has been rounded on its own."""
        s = torch.sigmoid(given[0])
        return [s, 2 * grad_out.abs() * s]


@dataclass(frozen=True)
class Relu(_Elementwise):
    """A relu; backward reads grad_out and a bit for each element, and writes grad_x."""

    operator: ClassVar[str] = "relu"
    passes: ClassVar[dict[str, int]] = {"forward": 2, "backward": 2, "training": 4}
    bits: ClassVar[dict[str, int]] = {"backward": 1, "training": 2}

    def backward(self, side: str, x: Tensor, grad_out: Tensor) -> Callable[[], Tensor]:
        """Ours from the mask, torch's from the output."""
        if side == "ours":
            ops = torch.ops.torchconv
            out, mask = ops.relu_with_mask(x, 1)
            return lambda: ops.relu_backward(grad_out, mask, x.stride())
        out = torch.relu(x)
        return lambda: torch.ops.aten.threshold_backward(grad_out, out, 0)
