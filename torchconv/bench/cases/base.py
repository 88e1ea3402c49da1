"""One shape of one operator, and the format in which tables and ``--shape`` write it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from torchconv.bench.errors import UsageError

Pair = tuple[int, int]

LAYOUTS = ("contiguous", "channels_last")
PAIRS = ("stride", "pad", "dilation")

SomeCase = TypeVar("SomeCase", bound="Case")


@dataclass(frozen=True)
class Case(ABC):
    """The sizes of one call. Subclasses have one field for each of their ``keys``, in order."""

    operator: ClassVar[str]
    # How a shape is written: each key with its default, which may be a number or another key.
    keys: ClassVar[dict[str, str]]
    arguments: ClassVar[tuple[str, ...]]  # the tensors that it takes
    layouts: ClassVar[tuple[str, ...]] = LAYOUTS[:1]
    sides: ClassVar[tuple[str, ...]] = ("ours", "native")  # methods, which are timed in turns
    memory_bound: ClassVar[bool] = False
    rounds_terms: ClassVar[bool] = False  # whether what is added up has been rounded on its own
    selects: ClassVar[bool] = False  # whether rounding decides which elements get a gradient

    @classmethod
    def parse(cls: type[SomeCase], text: str, argument: str = "--shape") -> SomeCase:
        """Reads ``N=8,C=64,…``; what is left out has its default.

        Raises:
            UsageError: If the text is no shape of this operator.
        """
        values = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            if not equals or name not in cls.keys or name in values:
                names = ", ".join(cls.keys)
                raise UsageError(
                    f"{argument}: expected KEY=NUMBER, each key once and from {names}, "
                    f"but got {part!r} in {text!r}"
                )
            values[name] = value
        return cls.from_values(values, argument, text)

    @classmethod
    def from_values(
        cls: type[SomeCase], values: Mapping[str, str], argument: str, text: str
    ) -> SomeCase:
        """Makes a shape of the values of some keys."""
        sizes: dict[str, Any] = {}
        for key, default in cls.keys.items():
            value = values[key] if key in values else values.get(default, default)
            value = cls.keys.get(value, value)  # the default of the other key
            form = r"\d+(x\d+)?" if key in PAIRS else r"\d+"
            least = 0 if key == "pad" else 1
            numbers = [int(n) for n in re.findall(r"\d+", value)]
            if not re.fullmatch(form, value) or min(numbers) < least:
                what = "a number or HEIGHTxWIDTH" if key in PAIRS else "a number"
                came = f"{value!r}" if key in values else "nothing"
                raise UsageError(
                    f"{argument}: expected {key} to be {what} from {least} on, "
                    f"but got {came} in {text!r}"
                )
            sizes[key] = (numbers[0], numbers[-1]) if key in PAIRS else numbers[0]
        case = cls(*sizes.values())
        if fault := case.fault():
            raise UsageError(f"{argument}: expected {fault} in {text!r}")
        return case

    def __str__(self) -> str:
        """The shape as ``--shape`` takes it, without what is default."""
        values = dict(zip(self.keys, map(_number, astuple(self)), strict=True))
        parts = []
        for key, value in values.items():
            default = self.keys[key]
            if value != values.get(default, default):
                parts.append(f"{key}={value}")
        return ",".join(parts) or ",".join(f"{key}={value}" for key, value in values.items())

    def fault(self) -> str:
        """What is wrong with the sizes together: 'x, but got y', or nothing."""
        return ""

    def with_batch(self: SomeCase, batch: int) -> SomeCase:
        """The same shape with another batch; shapes without a batch stay as they are."""
        changed: dict[str, Any] = {"batch": batch} if hasattr(self, "batch") else {}
        return replace(self, **changed)

    def part(self: SomeCase, share: float) -> SomeCase:
        """The same shape with about this share of its batch, and with two samples at least."""
        batch: int = getattr(self, "batch", 1)
        return self.with_batch(min(batch, max(2, int(batch * share))))

    @abstractmethod
    def tensors(self) -> list[Tensor]:
        """Fresh random arguments in float32, contiguous, on the CPU."""

    @abstractmethod
    def ours(self, *given: Tensor) -> Tensor:
        """Calls torchconv."""

    @abstractmethod
    def native(self, *given: Tensor) -> Tensor:
        """Calls torch."""

    def wants_gradient(self) -> list[bool]:
        """Which arguments a training step differentiates."""
        return [True] * len(self.arguments)

    def steps(self, device: str) -> tuple[str, ...]:
        """What is timed: on a GPU, of what is bound by memory, backward on its own, too."""
        both = self.memory_bound and device == "cuda"
        return ("forward", "backward", "training") if both else ("forward", "training")

    def backward(self, side: str, x: Tensor, grad_out: Tensor) -> Callable[[], Tensor]:
        """A backward pass of a side, whose forward pass has been made."""
        raise NotImplementedError(f"{self.operator}: backward is not timed on its own")

    def magnitudes(self, given: list[Tensor], grad_out: Tensor) -> list[Tensor]:
        """Of out and of each gradient: the size of the terms that a kernel adds up.

        Here, and for all that is a sum of products, it is the same operator over absolute values.
        """
        return derive(self.native, [t.abs() for t in given], self.wants_gradient(), grad_out.abs())

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved on its own."""
        return False

    def tiled(self, dtype: torch.dtype, device: str) -> list[bool]:
        """Of out and of each gradient: whether ours computes tiles of images as a whole."""
        return [False] * (1 + sum(self.wants_gradient()))

    @abstractmethod
    def flops(self, step: str) -> float:
        """Floating-point operations of a 'forward' or a 'training' step; 0: not worth counting."""

    def bytes(self, step: str, element_size: int) -> float:
        """The fewest bytes that a step moves; only for what is bound by memory.

        Each of its kernels reads every argument and writes every result once.
        """
        return 0.0


def _number(value: int | Pair) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)


def out_size(size: Pair, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Height and width of what a window that slides over an image gives."""
    sizes = [
        (size[i] + 2 * pad[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    ]
    return sizes[0], sizes[1]


def derive(
    function: Any, given: list[Tensor], wanted: list[bool], grad_out: Tensor
) -> list[Tensor]:
    """The result of a function, and its gradients with respect to the wanted arguments."""
    leaves = [t.detach().requires_grad_(w) for t, w in zip(given, wanted, strict=True)]
    out = function(*leaves)
    grads = torch.autograd.grad(out, [t for t in leaves if t.requires_grad], grad_out)
    return [out.detach(), *grads]


def arrange(tensor: Tensor, layout: str) -> Tensor:
    """The tensor in a memory format; what has not four dimensions has only one."""
    if layout == "channels_last" and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()
