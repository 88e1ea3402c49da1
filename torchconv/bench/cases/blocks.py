"""Layers that torchconv computes in one pass over the images."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

import torchconv
from torchconv import PoolWindow
from torchconv.bench.cases.products import Conv


@dataclass(frozen=True)
class ConvPool(Conv):
    """A convolution with bias, ReLU and a max-pooling."""

    pool: int
    pool_stride: int

    operator: ClassVar[str] = "block"
    keys: ClassVar[dict[str, str]] = {**Conv.keys, "pool": "2", "pool_stride": "pool"}
    sides: ClassVar[tuple[str, ...]] = (*Conv.sides, "unfused")
    selects: ClassVar[bool] = True

    def fault(self) -> str:
        """Also a window larger than what the convolution gives."""
        if (fault := super().fault()) or self.pool <= min(self._out):
            return fault
        return f"pool of at most the convolution's output, but got {self.pool} for {self._out}"

    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv.conv2d_act_pool."""
        x, weight, bias = given
        window = PoolWindow(self.pool, self.pool_stride)
        return torchconv.conv2d_act_pool(x, weight, bias, *self._geometry, "relu", window)

    def native(self, *given: Tensor) -> Tensor:
        """Calls torch's three operators."""
        out = functional.relu(super().native(*given))
        return functional.max_pool2d(out, self.pool, self.pool_stride)

    def unfused(self, *given: Tensor) -> Tensor:
        """Calls torchconv's three operators."""
        out = torchconv.relu(super().ours(*given))
        return torchconv.max_pool2d(out, self.pool, self.pool_stride)
