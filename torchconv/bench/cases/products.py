"""What multiplies: convolution, linear layer, matrix product."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

import torchconv
from torchconv.bench.cases.base import LAYOUTS, Case, Pair, out_size


def _products(forward: float, step: str, gradients: int) -> float:
    """Every gradient of a product is a product of the same size."""
    return forward if step == "forward" else forward * (1 + gradients)


@dataclass(frozen=True)
class Conv(Case):
    """A convolution with bias."""

    batch: int
    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel_h: int
    kernel_w: int
    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int

    operator: ClassVar[str] = "conv"
    keys: ClassVar[dict[str, str]] = {
        "N": "1", "C": "", "H": "", "W": "H", "K": "", "R": "", "S": "R",
        "stride": "1", "pad": "0", "dilation": "1", "groups": "1",
    }  # fmt: skip
    arguments: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")
    layouts: ClassVar[tuple[str, ...]] = LAYOUTS

    @property
    def _out(self) -> Pair:
        kernel = self.kernel_h, self.kernel_w
        return out_size((self.height, self.width), kernel, self.stride, self.pad, self.dilation)

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        taps = self.kernel_h, self.kernel_w
        x = self.batch, self.in_channels, self.height, self.width
        return x, (self.out_channels, self.in_channels // self.groups, *taps)

    @property
    def _geometry(self) -> tuple[Pair, Pair, Pair, int]:
        return self.stride, self.pad, self.dilation, self.groups

    def fault(self) -> str:
        """Groups that do not divide, or a kernel larger than the image."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            return (
                f"groups to divide C and K, but got groups={self.groups}, "
                f"C={self.in_channels}, K={self.out_channels}"
            )
        return "" if min(self._out) > 0 else f"a positive output size, but got {self._out}"

    def tensors(self) -> list[Tensor]:
        """Images, weight and bias."""
        x, weight = self._shapes
        return [torch.randn(x), torch.randn(weight), torch.randn(self.out_channels)]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.conv2d."""
        x, weight, bias = given
        return torchconv.conv2d(x, weight, bias, *self._geometry)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch's conv2d."""
        x, weight, bias = given
        return functional.conv2d(x, weight, bias, *self._geometry)

    def wants_gradient(self) -> list[bool]:
        """A first layer gets no gradient of x: nobody trains the images."""
        return [self.in_channels > 4, True, True]

    @property
    def depthwise(self) -> bool:
        """Whether there are as many groups as channels, and several."""
        return self.groups == self.in_channels > 1

    def tiled(self, dtype: torch.dtype, device: str) -> list[bool]:
        """Where the plan is to take Winograd's algorithm."""
        x, weight = (torch.empty(s, dtype=dtype, device="meta") for s in self._shapes)
        plans = torchconv.backends.explain_conv2d(x, weight, *self._geometry, device=device)
        forward, grad_x, grad_weight = ("winograd" in p.algorithm for p in plans.values())
        wanted = zip(self.wants_gradient(), (grad_x, grad_weight, False), strict=True)
        return [forward, *(tiled for wants, tiled in wanted if wants)]

    def flops(self, step: str) -> float:
        """Two for each multiplication."""
        taps = self.in_channels // self.groups * self.kernel_h * self.kernel_w
        forward = 2.0 * self.batch * self.out_channels * self._out[0] * self._out[1] * taps
        return _products(forward, step, sum(self.wants_gradient()[:2]))


@dataclass(frozen=True)
class Linear(Case):
    """A linear layer with bias."""

    batch: int
    in_features: int
    out_features: int

    operator: ClassVar[str] = "linear"
    keys: ClassVar[dict[str, str]] = {"N": "1", "in": "", "out": ""}
    arguments: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")

    def tensors(self) -> list[Tensor]:
        """Images, weight and bias."""
        return [
            torch.randn(self.batch, self.in_features),
            torch.randn(self.out_features, self.in_features),
            torch.randn(self.out_features),
        ]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.linear."""
        return torchconv.linear(*given)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch's linear."""
        return functional.linear(*given)

    def flops(self, step: str) -> float:
        """Two for each multiplication."""
        return _products(2.0 * self.batch * self.in_features * self.out_features, step, 2)


@dataclass(frozen=True)
class MatMul(Case):
    """A product [M, K] x [K, N], or B of them."""

    batch_of_matrices: int
    rows: int
    depth: int
    cols: int

    operator: ClassVar[str] = "matmul"
    keys: ClassVar[dict[str, str]] = {"B": "1", "M": "", "K": "M", "N": "M"}
    arguments: ClassVar[tuple[str, ...]] = ("a", "b")

    def tensors(self) -> list[Tensor]:
        """The two factors."""
        batch = () if self.batch_of_matrices == 1 else (self.batch_of_matrices,)
        return [
            torch.randn(*batch, self.rows, self.depth),
            torch.randn(*batch, self.depth, self.cols),
        ]

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.matmul."""
        return torchconv.matmul(*given)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch.matmul."""
        return torch.matmul(*given)

    def flops(self, step: str) -> float:
        """Two for each multiplication."""
        forward = 2.0 * self.batch_of_matrices * self.rows * self.depth * self.cols
        return _products(forward, step, 2)
