"""Which kernels run: instruction sets, algorithms of conv2d and huge pages.

Choices hold for the whole process. Without any, the environment decides as torchconv is imported:
``TORCHCONV_CPU_ISA=avx2``, ``TORCHCONV_HUGE_PAGES=0``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from torchconv import _C

Value = TypeVar("Value")

_CONV2D_KERNELS = ("forward", "backward_input", "backward_weight")


@contextmanager
def _set_for_a_while(
    read: Callable[[], Value], write: Callable[[Value], None], value: Value
) -> Iterator[None]:
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


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

    Example:
        >>> with torchconv.backends.cpu_isa("baseline"):
        ...     torchconv.backends.get_cpu_isa()
        'baseline'
    """
    return _set_for_a_while(_C.get_isa, _C.set_isa, name)


def huge_pages(on: bool) -> AbstractContextManager[None]:
    """Runs a block with or without huge pages for results of 8 MiB and more.

    A fresh result costs one page fault for every 4 KiB written, often more than the work itself;
    with huge pages, one for every 2 MiB. On by default; it takes effect where the operating system
    has transparent huge pages set to ``madvise`` or ``always``.

    Args:
        on: Whether to ask for them.

    Example:
        >>> with torchconv.backends.huge_pages(False):
        ...     out = torchconv.sigmoid(torch.randn(10))
    """
    return _set_for_a_while(_C.get_huge_pages, _C.set_huge_pages, on)


def conv2d_algorithm(name: str) -> AbstractContextManager[None]:
    """Runs a block in which convolutions and their gradients take one algorithm where they can.

    Meant for tests and for measurements: left alone, each convolution takes what is expected to be
    fastest for its shape and layout (see :func:`explain_conv2d`).

    Args:
        name: ``automatic``; ``channels``, with output channels in the lanes of vectors (input
            channels, for the gradient of the weight); ``pixels``, with output pixels in the lanes
            (output channels, for the gradient of the weight); ``depthwise``; or ``grouped``, for
            groups of few channels, which are read where they lie.

    Raises:
        ValueError: If there is no such algorithm.

    Example:
        >>> with torchconv.backends.conv2d_algorithm("pixels"):
        ...     out = torchconv.conv2d(torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3))
    """
    return _set_for_a_while(_C.get_conv2d_algorithm, _C.set_conv2d_algorithm, name)


class Conv2dPlan(NamedTuple):
    """How one kernel of a convolution works.

    Attributes:
        algorithm: ``channels``, ``pixels``, ``depthwise`` or ``grouped``, as in
            :func:`conv2d_algorithm`; ``none`` where a tensor is empty.
        out_channels: Channels of the result in one portion of work (of grad_out, for the gradient
            of the weight).
        images: Images in a portion, or in a block of the sum that is the gradient of the weight.
        rows: Rows of each of these images.
        columns: Columns of each of these rows.
        items: Portions that are shared out among threads; 0 where no plan counts them (depthwise).
        chunks: Parts into which a sum is cut so that threads can share it.
        scratch_bytes: Scratch memory of each thread.
    """

    algorithm: str
    out_channels: int
    images: int
    rows: int
    columns: int
    items: int
    chunks: int
    scratch_bytes: int


def explain_conv2d(
    x: Tensor,
    weight: Tensor,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> dict[str, Conv2dPlan]:
    """Says how a convolution and its gradients would be computed on the CPU now.

    Args:
        x: ``Tensor[batch, in_channels, height, width]`` on any device, ``meta``, too: only sizes,
            dtype and layout are read.
        weight: ``Tensor[out_channels, in_channels / groups, kernel_h, kernel_w]``.
        stride: As for :func:`torchconv.conv2d`, like the rest.
        padding: As for :func:`torchconv.conv2d`.
        dilation: As for :func:`torchconv.conv2d`.
        groups: As for :func:`torchconv.conv2d`.

    Returns:
        The plans of ``forward``, ``backward_input`` and ``backward_weight``.

    Raises:
        RuntimeError: If shapes, dtypes or sizes do not fit together.
        TypeError: If an argument has the wrong type.

    Example:
        >>> x, weight = torch.randn(8, 64, 56, 56), torch.randn(64, 64, 3, 3)
        >>> torchconv.backends.explain_conv2d(x, weight, padding=1)["forward"].algorithm
        'channels'
    """
    from torchconv.ops._arguments import check_tensors, conv_padding, integer, pair

    op = "explain_conv2d"
    check_tensors(op, x=x, weight=weight)
    x, weight = (torch.empty_like(t, device="meta") for t in (x, weight))
    strides, dilations = pair(op, "stride", stride), pair(op, "dilation", dilation)
    amounts = conv_padding(op, padding, x.shape, weight.shape, strides, dilations)
    groups = integer(op, "groups", groups)
    out = torch.ops.torchconv.conv2d(x, weight, None, strides, amounts, dilations, groups)
    sizes = [*x.shape, *weight.shape[:1], *weight.shape[2:], *strides, *amounts, *dilations, groups]
    channels_last = out.stride(1) == 1 and out.stride(3) != 1
    plans = _C.explain_conv2d([*sizes, *out.shape[2:]], x.element_size(), channels_last)
    return dict(zip(_CONV2D_KERNELS, (Conv2dPlan(*plan) for plan in plans), strict=True))
