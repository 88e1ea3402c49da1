"""Which kernels run: instruction sets, algorithms of conv2d, kernels of GPUs and huge pages.

Choices hold for the whole process, for all its threads. Until one is made, the environment decides:
``TORCHCONV_CPU_ISA=avx2``, ``TORCHCONV_HUGE_PAGES=0``, ``TORCHCONV_ALLOW_WINOGRAD=0``,
``TORCHCONV_STRICT_ACCURACY=1``. The last three take ``1``, ``true``, ``on`` or ``yes``, and ``0``,
``false``, ``off`` or ``no``. ``TORCHCONV_CUDA_ALGORITHM``, ``TORCHCONV_CUDA_TILE`` and
``TORCHCONV_CUDA_FLOAT32`` take the words of :func:`cuda_kernels`. An empty value counts as unset.
``import torchconv`` raises ValueError for any other value.

Attributes:
    allow_winograd: Whether convolutions with a 3 x 3 or 5 x 5 kernel and stride 1, and their
        gradients, may take Winograd's algorithm, which needs a quarter to a half of the
        multiplications and makes rounding errors a few times larger (docs/accuracy.md). True by
        default. Assigned like ``torch.backends.cudnn.allow_tf32``; set it outside of what
        ``torch.compile`` compiles, where an assignment has no effect on the first call. Where a sum
        of non-negative terms must not be negative, where one pixel is 1e4 times larger than the
        others, or where numbers come near the end of their range, set it to False.
    strict_accuracy: Whether to leave out the algorithms whose rounding errors in usual layers are
        larger than those of direct sums. F(2 x 2, 3 x 3) remains of Winograd's; docs/accuracy.md
        has its exceptions. False by default.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import TypeVar

from torchconv import _C
from torchconv._plans import Conv2dCudaPlan as Conv2dCudaPlan
from torchconv._plans import Conv2dPlan as Conv2dPlan
from torchconv._plans import explain_conv2d as explain_conv2d

Value = TypeVar("Value")

allow_winograd: bool
strict_accuracy: bool


@contextmanager
def _set_for_a_while(
    read: Callable[[], Value], write: Callable[[Value], None], value: Value
) -> Iterator[None]:
    before = read()
    try:
        write(value)  # which may have chosen some of it when it finds something wrong
        yield
    finally:
        write(before)


def cuda_operators() -> list[str]:
    """Operators of the dispatcher that this build has CUDA kernels for.

    Returns:
        Names in ``torch.ops.torchconv``; none in a build for the CPU alone.

    Example:
        >>> set(torchconv.backends.cuda_operators()) <= set(dir(torch.ops.torchconv))
        True
    """
    return _C.cuda_operators()


def available_cpu_isas() -> list[str]:
    """Instruction sets that this CPU can run, narrowest first.

    Returns:
        Some of ``baseline``, ``avx2``, ``avx512``, ``avx512_bf16``.

    Example:
        >>> "baseline" in torchconv.backends.available_cpu_isas()
        True
    """
    return _C.available_isas()


def get_cpu_isa() -> str:
    """The instruction set in use; unless chosen, the widest available one."""
    return _C.get_isa()


def cpu_isa(name: str) -> AbstractContextManager[None]:
    """Runs a block with the kernels of one instruction set.

    Args:
        name: One of :func:`available_cpu_isas`.

    Raises:
        ValueError: If this CPU cannot run it.
        TypeError: If it is no string.

    Example:
        >>> with torchconv.backends.cpu_isa("baseline"):
        ...     torchconv.backends.get_cpu_isa()
        'baseline'
    """
    return _set_for_a_while(_C.get_isa, _C.set_isa, _typed("cpu_isa", "name", name, str))


def huge_pages(on: bool) -> AbstractContextManager[None]:
    """Runs a block with or without huge pages for results of 8 MiB and more.

    A fresh result costs one page fault for every 4 KiB written, often more than the work itself;
    with huge pages, one for every 2 MiB. On by default; it takes effect where the operating system
    has transparent huge pages set to ``madvise`` or ``always``.

    Args:
        on: Whether to ask for them.

    Raises:
        TypeError: If it is no bool.

    Example:
        >>> with torchconv.backends.huge_pages(False):
        ...     out = torchconv.sigmoid(torch.randn(10))
    """
    chosen = _typed("huge_pages", "on", on, bool)
    return _set_for_a_while(_C.get_huge_pages, _C.set_huge_pages, chosen)


def portion_bytes(most: int) -> AbstractContextManager[None]:
    """Sets how much of the convolution's output :func:`torchconv.conv2d_act_pool` makes at a time.

    It makes that, and in backward its gradient, a portion at a time, which should stay in the cache
    of a core: 2 MiB for each thread unless chosen. Meant for tests and for measurements on other
    caches.

    Args:
        most: Bytes of a portion, unless a few rows of an image are more.

    Raises:
        ValueError: If ``most`` is not positive.
        TypeError: If it is no integer.

    Example:
        >>> with torchconv.backends.portion_bytes(1 << 20):
        ...     out = torchconv.conv2d_act_pool(torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3))
    """
    chosen = _typed("portion_bytes", "most", most, int)
    return _set_for_a_while(_C.get_portion_bytes, _C.set_portion_bytes, chosen)


def conv2d_algorithm(name: str) -> AbstractContextManager[None]:
    """Runs a block in which convolutions and their gradients take one algorithm where they can.

    Meant for tests and for measurements: left alone, each convolution takes what is expected to be
    fastest for its shape and layout (see :func:`explain_conv2d`). What is forced here, neither
    ``allow_winograd`` nor ``strict_accuracy`` forbids.

    Args:
        name: ``automatic``; ``channels``, with output channels in the lanes of vectors (input
            channels, for the gradient of the weight); ``pixels``, with output pixels in the lanes
            (output channels, for the gradient of the weight); ``depthwise``; ``grouped``, for
            groups of few channels, which are read where they lie; ``winograd_2x2`` or
            ``winograd_4x4``, in tiles of so many outputs (always 2 x 2 for a 5 x 5 kernel).

    Raises:
        ValueError: If there is no such algorithm.
        TypeError: If it is no string.

    Example:
        >>> with torchconv.backends.conv2d_algorithm("pixels"):
        ...     out = torchconv.conv2d(torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3))
    """
    chosen = _typed("conv2d_algorithm", "name", name, str)
    return _set_for_a_while(_C.get_conv2d_algorithm, _C.set_conv2d_algorithm, chosen)


_CUDA_CHOICES = ("algorithm", "tile", "float32")


def cuda_kernels(
    algorithm: str | None = None, tile: str | None = None, float32: str | None = None
) -> AbstractContextManager[None]:
    """Runs a block in which GPUs take certain kernels where they can.

    Meant for tests and for measurements, like :func:`conv2d_algorithm`. An argument that is None
    stays as it was.

    Args:
        algorithm: Of conv2d and its gradients: ``automatic``; ``product``, a product of matrices
            that are never made; ``direct``, for groups of few channels; ``wgmma``, products by the
            warpgroups of Hopper GPUs, of matmul and linear, too, which these GPUs take unless
            another algorithm or a tile is forced.
        tile: What a block of threads computes of a product, but by warpgroups: ``automatic``,
            ``128x128``, ``128x64`` or ``64x64``; the first and the last for tensors that can be
            loaded by 16 bytes.
        float32: How float32 is multiplied: ``automatic``; ``tf32``; ``tf32x3``, in three products
            of TF32, which together are as accurate as float32; ``fma``, by multiply-adds.
            Automatically, TF32 is taken where torch would: as
            ``torch.backends.cudnn.allow_tf32`` says for convolutions and
            ``torch.backends.cuda.matmul.allow_tf32`` for products of matrices.

    Raises:
        ValueError: If there is no such choice.
        TypeError: If one of them is no string.

    Example:
        >>> with torchconv.backends.cuda_kernels(float32="fma"):
        ...     pass
    """
    chosen = {
        name: _typed("cuda_kernels", name, value, str)
        for name, value in zip(_CUDA_CHOICES, (algorithm, tile, float32), strict=True)
        if value is not None
    }

    def read() -> dict[str, str]:
        return {name: _C.get_cuda_choice(name) for name in _CUDA_CHOICES}

    def write(choices: dict[str, str]) -> None:
        for name, value in choices.items():
            try:
                _C.set_cuda_choice(name, value)
            except ValueError as error:
                raise ValueError(f"cuda_kernels: {name}: {error}") from None

    return _set_for_a_while(read, write, chosen)


def winograd(allow: bool | None = None, strict: bool | None = None) -> AbstractContextManager[None]:
    """Runs a block with other values of ``allow_winograd`` and ``strict_accuracy``.

    Args:
        allow: Whether convolutions may take Winograd's algorithm; None: as before.
        strict: The value of ``strict_accuracy``; None: as before.

    Raises:
        TypeError: If one of them is something else.

    Example:
        >>> with torchconv.backends.winograd(allow=False):
        ...     torchconv.backends.allow_winograd
        False
    """

    def read() -> tuple[bool, bool]:
        return _C.get_allow_winograd(), _C.get_strict_accuracy()

    def write(values: tuple[bool | None, bool | None]) -> None:
        if values[0] is not None:
            _C.set_allow_winograd(values[0])
        if values[1] is not None:
            _C.set_strict_accuracy(values[1])

    chosen = [
        None if value is None else _typed("winograd", name, value, bool)
        for name, value in (("allow", allow), ("strict", strict))
    ]
    return _set_for_a_while(read, write, (chosen[0], chosen[1]))


def _typed(op: str, name: str, value: object, kind: type[Value]) -> Value:
    if not isinstance(value, kind):
        article = "an" if kind is int else "a"
        message = f"{op}: expected {name} to be {article} {kind.__name__}, but got {value!r}"
        raise TypeError(message)
    return value


class _Backends(ModuleType):
    """Gives the module attributes that kernels know of."""

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), "allow_winograd", "strict_accuracy"]

    @property
    def allow_winograd(self) -> bool:
        return _C.get_allow_winograd()

    @allow_winograd.setter
    def allow_winograd(self, value: bool) -> None:
        _C.set_allow_winograd(_typed("backends", "allow_winograd", value, bool))

    @property
    def strict_accuracy(self) -> bool:
        return _C.get_strict_accuracy()

    @strict_accuracy.setter
    def strict_accuracy(self, value: bool) -> None:
        _C.set_strict_accuracy(_typed("backends", "strict_accuracy", value, bool))


sys.modules[__name__].__class__ = _Backends
