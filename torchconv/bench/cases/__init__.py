"""The operators that can be timed: one class each, whose objects are shapes."""

from torchconv.bench.cases.base import LAYOUTS, Case, arrange, derive
from torchconv.bench.cases.blocks import ConvPool
from torchconv.bench.cases.memory_bound import MaxPool2d, Relu, Sigmoid
from torchconv.bench.cases.products import Conv, Linear, MatMul

__all__ = ["CASES", "LAYOUTS", "Case", "arrange", "derive"]

CASES: dict[str, type[Case]] = {
    case.operator: case for case in (Conv, Linear, MatMul, MaxPool2d, Sigmoid, Relu, ConvPool)
}
