"""Whether a layer still runs the code that it had when torchconv was imported.

Only then may anything else compute the layer. A call of it has changed if a method of the object or
of its class, a function that the method calls, or a hook is new.
"""

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

import torchconv
import torchconv.functional as functions
import torchconv.nn as layers
from torchconv import _torch

Module = torch.nn.Module


class Place(NamedTuple):
    """An attribute of a module or class, and the function that it should hold."""

    owner: Any
    name: str
    function: Any


# The operator that a layer computes.
OPERATORS: dict[type[Module], str] = {
    torch.nn.Conv2d: "conv2d",
    layers.Conv2d: "conv2d",
    torch.nn.MaxPool2d: "max_pool2d",
    layers.MaxPool2d: "max_pool2d",
    torch.nn.ReLU: "relu",
    layers.ReLU: "relu",
    torch.nn.Sigmoid: "sigmoid",
    layers.Sigmoid: "sigmoid",
}


def _place(owner: Any, name: str) -> Place:
    return Place(owner, name, getattr(owner, name))


# The functions that a forward of torch.nn calls, and those that these call.
_TORCH_FUNCTIONS = {
    "conv2d": ((functional, "conv2d"), (functional, "pad")),
    "max_pool2d": ((functional, "max_pool2d"), (torch, "max_pool2d")),
    "relu": ((functional, "relu"), (torch, "relu"), (torch, "relu_")),
    "sigmoid": ((torch, "sigmoid"),),
}
# Further functions of the same operators, which a user's forward may call.
_OTHERS: dict[str, tuple[tuple[Any, str], ...]] = {
    "max_pool2d": (),
    "relu": ((functional, "relu_"), (torch.Tensor, "relu"), (torch.Tensor, "relu_")),
    "sigmoid": (
        (functional, "sigmoid"),
        (torch, "sigmoid_"),
        (torch.Tensor, "sigmoid"),
        (torch.Tensor, "sigmoid_"),
        (torch.special, "expit"),
    ),
}


def _own_functions(operator: str) -> tuple[tuple[Any, str], ...]:
    """The functions that a forward of torchconv.nn calls."""
    padding = ((functional, "pad"),) if operator == "conv2d" else ()
    return ((sys.modules[f"torchconv.nn.{operator}"], operator), *padding)


def _functions_of(cls: type[Module], operator: str) -> tuple[tuple[Any, str], ...]:
    """The functions that the forward of a layer class calls."""
    own = cls in vars(layers).values()
    return _own_functions(operator) if own else _TORCH_FUNCTIONS[operator]


# Maps each operator without parameters to all functions that compute it.
FUNCTIONS = {
    operator: (
        *(_place(*place) for place in (*_TORCH_FUNCTIONS[operator], *others)),
        *(Place(m, operator, getattr(functions, operator)) for m in (torchconv, functions)),
    )
    for operator, others in _OTHERS.items()
}
# Maps each layer class to the methods that its call runs, and to the functions that these call.
PLACES = {
    cls: (
        *(_place(cls, name) for name in ("__call__", *_torch.CALL_METHODS) if hasattr(cls, name)),
        *(_place(*p) for p in _functions_of(cls, operator)),
    )
    for cls, operator in OPERATORS.items()
}


def are_unmodified(places: Iterable[Place]) -> bool:
    """Whether all places hold the functions that they should hold."""
    for owner, name, function in places:
        found = getattr(owner, name, None)
        if found is not function and _torch.without_fx_tracing(found) is not function:
            return False
    return True


def is_changed(module: Module) -> bool:
    """Whether the object has hooks, or overrides a method of its call."""
    return _torch.has_own_call(module) or _torch.has_hooks(module)


def is_unmodified(module: Module) -> bool:
    """Whether a layer of torch.nn or torchconv.nn has the code that torchconv's import found."""
    places = PLACES.get(type(module))
    return (
        places is not None
        and not is_changed(module)
        and not _torch.any_global_hooks()
        and are_unmodified(places)
    )


def has_plain_parameters(module: Module) -> bool:
    """Whether the weight is a parameter, and neither it nor the bias is a tensor subclass.

    A subclass (quantized, distributed) computes on its own. A weight that is no parameter is made
    from others, by a parametrization.
    """
    parameters = module._parameters
    weight = parameters.get("weight")
    bias = parameters.get("bias")
    return (
        weight is not None and _torch.is_plain(weight) and (bias is None or _torch.is_plain(bias))
    )
