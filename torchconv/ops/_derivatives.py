"""Derivatives of a Function that torch leaves to it: forward mode, and torch.func's levels."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from torchconv._torch import TransformType, active_transforms, forward_mode_enabled


def save(ctx: Any, *tensors: Tensor | None) -> None:
    """Saves the tensors that are not None; ``grad_fn.saved_tensors`` then holds tensors only."""
    ctx.is_saved = [tensor is not None for tensor in tensors]
    ctx.save_for_backward(*[tensor for tensor in tensors if tensor is not None])


def saved(ctx: Any) -> list[Any]:
    """What :func:`save` was given, for backward."""
    tensors = iter(ctx.saved_tensors)
    return [next(tensors) if is_saved else None for is_saved in ctx.is_saved]


def saved_primals(ctx: Any) -> list[Any]:
    """What jvp works with: the tensors kept for it, without the tangents that they have themselves.

    torch forgets these tensors as soon as jvp has run or is not needed, so keeping them is free.
    """
    # The level is named because a jvp that torch.compile takes apart enters it behind forward_ad's
    # back. Levels do not nest in torch; nested jvps of torch.func bring their own.
    return [
        None if tensor is None else forward_ad.unpack_dual(tensor, level=0).primal
        for tensor in ctx.saved_tensors
    ]


def nestable(jvp: Callable[..., Any]) -> Callable[..., Any]:
    """Lets the tangents of an outer torch.func.jvp through.

    torch calls jvp with forward-mode AD switched off, for all levels, and without a word takes the
    mixed second derivatives of a Function for zero.
    """

    @functools.wraps(jvp)
    def call(ctx: Any, *tangents: Any) -> Any:
        with forward_mode_enabled(True):
            return jvp(ctx, *tangents)

    return call


def untracked(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a Function under no_grad, within torch.func's transforms.

    no_grad holds for all levels, but torch switches gradients on again below each level that
    differentiates. Copies made under no_grad are constants there, and keep their tangents.
    """
    if not {TransformType.Grad, TransformType.Jvp} & {*active_transforms()}:
        return args
    return tuple(
        arg.clone() if isinstance(arg, Tensor) and arg.is_floating_point() else arg for arg in args
    )


def total(*terms: Tensor | None) -> Tensor | None:
    """The sum of the terms; None stands for zero."""
    present = [term for term in terms if term is not None]
    return functools.reduce(torch.add, present) if present else None


def product_rule(
    call: Callable[..., Tensor],
    a: Tensor,
    b: Tensor,
    a_t: Tensor | None,
    b_t: Tensor | None,
    *rest: Any,
) -> Tensor | None:
    """The tangent of ``call(a, b, *rest)``, which is linear in a and in b; None stands for zero."""
    return total(
        None if a_t is None else call(a_t, b, *rest), None if b_t is None else call(a, b_t, *rest)
    )
