"""The window of a max-pooling as one value, for operators that include a pooling."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torchconv.ops._arguments import pair


class PoolWindow(NamedTuple):
    """Where a max-pooling takes its maxima: the arguments of ``torch.nn.MaxPool2d``, as one value.

    Args:
        kernel_size: Size of the window, one integer or (height, width).
        stride: Step of the window; ``kernel_size`` if None.
        padding: Padding on both sides, at most half of the dilated window.
        dilation: Distance between the elements of the window.
        ceil_mode: Whether the last window may hang over the end.

    Example:
        >>> torchconv.PoolWindow(3, stride=2)
        PoolWindow(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
    """

    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    ceil_mode: bool = False


# Names of the window's size, stride, padding and dilation in error messages.
POOL_NAMES = ("kernel_size", "stride", "padding", "dilation")
BLOCK_POOL_NAMES = ("pool", "pool.stride", "pool.padding", "pool.dilation")


def window_arguments(
    op: str, pool: Any, names: tuple[str, str, str, str] = BLOCK_POOL_NAMES
) -> tuple[list[Any], list[Any], list[Any], list[Any], bool]:
    """What ``torch.ops.torchconv.max_pool2d`` takes, from any of the forms of ``pool``.

    Checks types and the range of 64 bits; the operator checks lengths and values.
    """
    window = pool if isinstance(pool, PoolWindow) else PoolWindow(pool)
    if not isinstance(window.ceil_mode, bool):
        raise TypeError(f"{op}: expected ceil_mode to be a bool, but got {window.ceil_mode!r}")
    size, stride, padding, dilation = names
    kernel_size = pair(op, size, window.kernel_size)
    return (
        kernel_size,
        # torch takes an empty stride for none, too.
        (pair(op, stride, window.stride) if window.stride is not None else []) or kernel_size,
        pair(op, padding, window.padding),
        pair(op, dilation, window.dilation),
        window.ceil_mode,
    )


def check_window(op: str, pool: Any) -> None:
    """Raises ValueError if ``pool`` is no valid window, for the constructors of layers."""
    try:
        kernel_size, stride, padding, dilation, _ = window_arguments(op, pool)
    except (TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from None
    given = (kernel_size, stride, padding, dilation)
    for name, values in zip(BLOCK_POOL_NAMES, given, strict=True):
        least = 0 if name == "pool.padding" else 1
        if len(values) != 2 or min(values) < least:
            kind = "non-negative" if least == 0 else "positive"
            raise ValueError(
                f"{op}: expected {name} to be one or two {kind} integers (height, width), "
                f"but got {values}"
            )
    for size, amount, spread in zip(kernel_size, padding, dilation, strict=True):
        most = ((size - 1) * spread + 1) // 2
        if amount > most:
            raise ValueError(
                f"{op}: expected pool.padding to be at most half of the dilated window, {most}, "
                f"but got {amount}"
            )


def shortest_form(pool: Any) -> int | tuple[int, int] | PoolWindow:
    """The same window as one integer or (height, width) if these say it all, for repr."""
    kernel_size, stride, padding, dilation, ceil_mode = window_arguments("pool", pool)

    def short(values: list[int]) -> Any:
        return values[0] if values[0] == values[1] else tuple(values)

    window = PoolWindow(
        short(kernel_size),
        None if stride == kernel_size else short(stride),
        short(padding),
        short(dilation),
        ceil_mode,
    )
    return window if window != PoolWindow(window.kernel_size) else window.kernel_size  # type: ignore[return-value]
