"""How vmap's dimension is folded into a dimension that an operator has anyway, and out again.

A vmap rule is called with tensors of one more dimension than the operator knows, and with the place
of that dimension in each of them (None for a tensor that all share). It never loops.
"""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchconv._torch import is_known_true, tree_map


def in_front(x: Tensor, place: int | None, size: int) -> Tensor:
    """``x`` with vmap's dimension first; a shared tensor is expanded, not copied."""
    return x.expand(size, *x.shape) if place is None else x.movedim(place, 0)


def leading(x: Tensor, place: int | None, size: int, rank: int) -> Tensor:
    """For operands that broadcast: vmap's dimension in front of ``rank`` others, some of them 1."""
    if place is None:
        return x
    x = x.movedim(place, 0)
    return x.unflatten(0, (size, *[1] * (rank + 1 - x.dim())))


def same_place(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> list[Tensor]:
    """For elementwise operators: all tensors with vmap's dimension first."""
    pairs = zip(tensors, in_dims, strict=False)
    return [in_front(x, place, info.batch_size) for x, place in pairs]


def fold(x: Tensor, place: int | None, dim: int, size: int, groups: int = 1) -> Tensor:
    """Multiplies dimension ``dim`` of a single item by vmap's ``size``.

    The dimension holds ``groups`` blocks, and vmap's index goes inside the blocks: (groups, size,
    rest). With one group that is outermost.
    """
    x = in_front(x, place, size).movedim(0, dim)  # size, groups * rest
    if groups == 1:
        return x.flatten(dim, dim + 1)
    rest = x.shape[dim + 1] // groups
    return x.unflatten(dim + 1, (groups, rest)).transpose(dim, dim + 1).flatten(dim, dim + 2)


def unfold(out: Tensor, dim: int, size: int, groups: int = 1) -> tuple[Tensor, int]:
    """Undoes ``fold``: the result and the place of vmap's dimension in it."""
    rest = out.shape[dim] // (groups * size)
    if groups == 1:
        return out.unflatten(dim, (size, rest)), dim
    out = out.unflatten(dim, (groups, size, rest)).movedim(dim + 1, 0)
    return out.flatten(dim + 1, dim + 2), 0


def with_no_items(vmap: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a vmap rule work for no items at all: by the result of one, of which none is kept."""

    @functools.wraps(vmap)
    def call(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        if not is_known_true(info.batch_size == 0):
            return vmap(info, in_dims, *args)

        def one(arg: Any, place: Any) -> Any:
            if place is None or not isinstance(arg, Tensor):
                return arg
            sizes = list(arg.shape)
            sizes[place] = 1
            return arg.new_zeros(sizes)

        out, out_dims = vmap(info._replace(batch_size=1), in_dims, *map(one, args, in_dims))
        return tree_map(lambda o, place: o.narrow(place, 0, 0), out, out_dims), out_dims

    return call
