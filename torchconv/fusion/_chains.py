"""Chains of convolution, activation and max-pooling in a recorded graph."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch.fx import Node

from torchconv._unmodified import FUNCTIONS, OPERATORS, are_unmodified, is_unmodified
from torchconv.fusion._group import GROUP, POOL_ARGUMENTS, has_kernels
from torchconv.fusion._record import Module, Recording
from torchconv.ops.pool_window import PoolWindow, check_window, shortest_form

_ACTIVATIONS = ("relu", "sigmoid")
# What calls in a graph compute: functions and names of methods.
OPERATOR_OF: dict[Any, str] = {
    **{place.function: operator for operator, places in FUNCTIONS.items() for place in places},
    **{name: name.rstrip("_") for name in ("relu", "relu_", "sigmoid", "sigmoid_")},
}


class Tail(NamedTuple):
    """What follows a convolution."""

    activation: str | None
    pool: Any


class Chain(NamedTuple):
    """One call of a convolution, and the calls that follow it: an activation or none, a pooling."""

    conv: Module
    tail: Tail
    call: Node  # of the convolution
    rest: tuple[Node, ...]


def chains(recording: Recording) -> Iterator[Chain]:
    """All chains in a graph whose inner results nothing else takes."""
    for node in recording.graph.nodes:
        conv = recording.callee(node)
        if conv is None or not is_convolution(conv):
            continue
        first = _follower(node)
        if first is None:
            continue
        activation = _activation(recording, first)
        last = _follower(first) if activation else first
        pool = _pool(recording, last) if last else None
        if last and pool is not None:
            rest = (first, last) if activation else (last,)
            yield Chain(conv, Tail(activation, pool), node, rest)


def _follower(node: Node) -> Node | None:
    """The node that takes the result of this one, if one alone does, and takes nothing else."""
    user = next(iter(node.users), None)
    alone = user is not None and len(node.users) == 1 and user.all_input_nodes == [node]
    return user if alone else None


def is_convolution(module: Module) -> bool:
    """Whether the module is a convolution that a block can take the place of."""
    return (
        operator_of(module) == "conv2d"
        and has_kernels(module)
        # An attribute of the same name as one of the block's is not ours to overwrite.
        and not {*Tail._fields, GROUP} & module.__dict__.keys()
    )


def operator_of(called: Any) -> str | None:
    """The operator that a layer or a function computes; None if it does anything else."""
    if isinstance(called, Module):
        return OPERATORS[type(called)] if is_unmodified(called) else None
    operator = OPERATOR_OF.get(called)
    return operator if operator and are_unmodified(FUNCTIONS[operator]) else None


def _activation(recording: Recording, node: Node) -> str | None:
    operator = operator_of(recording.callee(node) or node.target)
    return operator if operator in _ACTIVATIONS else None


def _pool(recording: Recording, node: Node) -> Any:
    """The window of a pooling, None if it is no pooling or none that a block can do."""
    layer = recording.callee(node)
    if operator_of(layer or node.target) != "max_pool2d":
        return None
    if layer is not None:
        arguments = {name: getattr(layer, name) for name in POOL_ARGUMENTS}
    else:
        arguments = dict(zip(POOL_ARGUMENTS, node.args[1:], strict=False))
        arguments |= {k: v for k, v in node.kwargs.items() if k not in ("input", "x")}
    if arguments.pop("return_indices", False):
        return None
    try:
        window = PoolWindow(**arguments)
        check_window("fuse", window)
    except (TypeError, ValueError):
        return None  # the pooling itself will say what is wrong with it
    return shortest_form(window)
