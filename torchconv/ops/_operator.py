"""How an operator of the dispatcher and the Functions that differentiate it belong together."""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

_library = torch.library.Library("torchconv", "IMPL")
_BelowAutograd = torch._C._AutoDispatchBelowAutograd
_transforms_active = torch._C._are_functorch_transforms_active


def kernel(name: str) -> Callable[..., Any]:
    """The kernel of ``torch.ops.torchconv.<name>`` for its arguments' device, without autograd."""
    op = getattr(torch.ops.torchconv, name).default

    def call_kernel(*args: Any) -> Any:
        with _BelowAutograd():
            return op(*args)

    return call_kernel


def is_differentiated(args: tuple[Any, ...]) -> bool:
    """Whether a derivative may be asked of a result of these arguments."""
    if _transforms_active() or forward_ad._current_level >= 0:
        return True
    if not torch.is_grad_enabled():
        return False
    return any(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args)


def operator(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """Makes ``torch.ops.torchconv.<name>`` differentiable and returns the quickest way to call it.

    The returned function, and the operator's own Autograd kernel, go through ``apply`` only where a
    derivative may be asked for: a Function costs several times as much as a plain call. Under
    torch.compile the function is the operator itself, which Dynamo keeps whole.

    ``torch.library.register_autograd`` would do this in fewer lines, but it drops the tangents of
    forward-mode AD without a word.

    Args:
        name: The operator's name in ``csrc/library.cpp``.
        apply: Takes all the operator's arguments; usually ``SomeFunction.apply``.
    """
    op = getattr(torch.ops.torchconv, name).default

    def differentiable(*args: Any) -> Any:
        if is_differentiated(args):
            return apply(*args)
        with _BelowAutograd():
            return op(*args)

    def call(*args: Any) -> Any:
        return op(*args) if torch.compiler.is_compiling() else differentiable(*args)

    _library.impl(name, differentiable, "Autograd")
    return call
