"""How an operator of the dispatcher and the Function that differentiates it belong together.

Every operator has one Function, which knows its derivatives in both directions and its vmap rule:

    @differentiates("relu")
    class ReLUFunction(OperatorFunction): ...

and ``operator("relu")`` is the quickest way to call the operator.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from torchconv._torch import (
    Functionalization,
    TransformType,
    any_autocast_enabled,
    any_transform_active,
    below_autograd,
    current_interpreter,
    in_forward_mode,
    older_vmap_active,
    unwrap_dead_wrappers,
)
from torchconv.ops._autocast import KEYS, cast, casting
from torchconv.ops._derivatives import nestable, untracked
from torchconv.ops._vmap import with_no_items

_library = torch.library.Library("torchconv", "IMPL")
_is_compiling = torch.compiler.is_compiling

_apply: dict[str, Callable[..., Any]] = {}  # name of an operator -> its differentiable form


class OperatorFunction(Function):
    """A Function whose forward is an operator's kernel, supplied by ``differentiates``.

    A subclass defines ``setup_context``, ``backward``, ``jvp`` and ``vmap``. Gradients and tangents
    are not materialized: None stands for zero.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Takes all the operator's arguments, in order."""
        if any_transform_active():
            return super().apply(*(args if torch.is_grad_enabled() else untracked(args)))
        # Function.apply would first look up forward's signature for default values, and spend
        # more on it than the rest of the call takes.
        return super(Function, cls).apply(*unwrap_dead_wrappers(args))  # type: ignore[misc]


@functools.cache
def operator(name: str) -> Callable[..., Any]:
    """Calls ``torch.ops.torchconv.<name>``, past whatever a call does not need.

    Under torch.compile it is the operator itself, which Dynamo keeps whole; under autocast,
    torch.func's transforms and vmap the dispatcher knows what comes first. A Function costs several
    times as much as a plain call, so there is none where no derivative can be asked for.
    """
    op = getattr(torch.ops.torchconv, name).default

    def call(*args: Any) -> Any:
        if (
            _is_compiling()
            or any_autocast_enabled()
            or any_transform_active()
            or older_vmap_active()
        ):
            return op(*args)
        if is_differentiated(args):
            return _apply[name](*args)
        with below_autograd():
            return op(*args)

    return call


def differentiates(
    name: str, *, autocast: bool = False
) -> Callable[[type[OperatorFunction]], type[OperatorFunction]]:
    """Makes a Function the derivatives of ``torch.ops.torchconv.<name>``, however it is called.

    Args:
        name: The operator's name in ``csrc/library.cpp``.
        autocast: Whether autocast casts the operator's tensors to its low precision.
    """
    op = getattr(torch.ops.torchconv, name).default

    def forward(*args: Any) -> Any:
        with below_autograd():
            return op(*args)

    def decorate(function: type[OperatorFunction]) -> type[OperatorFunction]:
        function.forward = staticmethod(forward)  # type: ignore[method-assign]
        function.jvp = staticmethod(nestable(function.jvp))  # type: ignore[method-assign]
        function.vmap = staticmethod(with_no_items(function.vmap))  # type: ignore[method-assign]
        register(name, function.apply, autocast=autocast)
        return function

    return decorate


def register(name: str, apply: Callable[..., Any], *, autocast: bool = False) -> None:
    """Gives the operator its kernels for autograd, torch.func and autocast.

    ``torch.library.register_autograd`` would do the first in fewer lines, but it drops the tangents
    of forward-mode AD without a word. torch.func's transforms are met before they take the call
    apart: ``apply`` then goes through all of them, as for any Function.
    """
    op = getattr(torch.ops.torchconv, name).default
    _apply[name] = apply

    def differentiable(*args: Any) -> Any:
        if is_differentiated(args):
            return apply(*args)
        with below_autograd():
            return op(*args)

    def transformed(*args: Any) -> Any:
        interpreter = current_interpreter()
        if interpreter.key() == TransformType.Functionalize:
            return _functionalized(op, interpreter, args)
        if autocast and any_autocast_enabled():
            for device in KEYS:
                args = cast(args, device)
        return apply(*args)

    _library.impl(name, differentiable, "Autograd")
    _library.impl(name, transformed, "FuncTorchDynamicLayerFrontMode")
    if autocast:
        for device, key in KEYS.items():
            _library.impl(name, casting(op, device), key)


def _functionalized(op: Callable[..., Any], interpreter: Any, args: tuple[Any, ...]) -> Any:
    """No operator writes to its arguments, so that functionalize has but to unwrap them."""
    api = Functionalization(interpreter)
    unwrapped = api.unwrap_tensors(args)
    with api.redispatch_to_next():
        out = op(*unwrapped)
    return api.wrap_tensors(out)


def is_differentiated(args: tuple[Any, ...]) -> bool:
    """Whether a derivative may be asked of a result of these arguments."""
    if torch.is_grad_enabled():
        for arg in args:
            if isinstance(arg, Tensor) and arg.requires_grad:
                return True
    return in_forward_mode()
