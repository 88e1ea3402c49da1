"""Which kernels run: instruction sets and huge pages.

Choices hold for the whole process. Without any, the environment decides as torchconv is imported:
``TORCHCONV_CPU_ISA=avx2``, ``TORCHCONV_HUGE_PAGES=0``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from torchconv import _C

Value = TypeVar("Value")


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
