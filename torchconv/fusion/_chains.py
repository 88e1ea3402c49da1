"""Chains of convolution, activation and max-pooling in a recorded graph."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.fx import Node
from torch.nn import functional

import torchconv.functional as ours
import torchconv.nn as layers
from torchconv.fusion._record import Module, Recording, has_hooks
from torchconv.ops.pool_window import PoolWindow, check_window, shortest_form

_ACTIVATION_LAYERS = {
    torch.nn.ReLU: "relu",
    layers.ReLU: "relu",
    torch.nn.Sigmoid: "sigmoid",
    layers.Sigmoid: "sigmoid",
}
_ACTIVATION_FUNCTIONS = {
    **dict.fromkeys(
        (functional.relu, functional.relu_, torch.relu, torch.relu_, ours.relu, "relu", "relu_"),
        "relu",
    ),
    **dict.fromkeys(
        (functional.sigmoid, torch.sigmoid, torch.sigmoid_, torch.special.expit, ours.sigmoid,
         "sigmoid", "sigmoid_"),
        "sigmoid",
    ),
}  # fmt: skip
_POOL_LAYERS = (torch.nn.MaxPool2d, layers.MaxPool2d)
_POOL_FUNCTIONS = (functional.max_pool2d, torch.max_pool2d, ours.max_pool2d)
_POOL_ARGUMENTS = (*PoolWindow._fields, "return_indices")
_CONV_LAYERS = (torch.nn.Conv2d, layers.Conv2d)
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Block(NamedTuple):
    """What follows a convolution."""

    activation: str | None
    pool: Any


class Chain(NamedTuple):
    """One call of a convolution, and the calls that follow it: an activation or none, a pooling."""

    conv: Module
    block: Block
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
            yield Chain(conv, Block(activation, pool), (first, last) if activation else (last,))


def _follower(node: Node) -> Node | None:
    """The node that takes the result of this one, if one alone does, and takes nothing else."""
    user = next(iter(node.users), None)
    alone = user is not None and len(node.users) == 1 and user.all_input_nodes == [node]
    return user if alone else None


def is_convolution(module: Module) -> bool:
    """Whether the module is a convolution that a block can take the place of."""
    # A class of its own, as under a parametrization, or a weight that is no Parameter may mean
    # anything; an attribute of the same name as one of the block's is not ours to overwrite.
    if type(module) not in _CONV_LAYERS or has_hooks(module):
        return False
    weight = module._parameters.get("weight")
    return (
        type(weight) is torch.nn.Parameter
        and weight.dtype in _DTYPES
        and weight.device.type in ("cpu", "meta")
        and not {"activation", "pool"} & module.__dict__.keys()
    )


def _activation(recording: Recording, node: Node) -> str | None:
    layer = recording.callee(node)
    if layer is not None:
        return None if has_hooks(layer) else _ACTIVATION_LAYERS.get(type(layer))
    return _ACTIVATION_FUNCTIONS.get(node.target)


def _pool(recording: Recording, node: Node) -> Any:
    """The window of a pooling, None if it is no pooling or none that a block can do."""
    layer = recording.callee(node)
    if layer is not None:
        if type(layer) not in _POOL_LAYERS or has_hooks(layer):
            return None
        arguments = {name: getattr(layer, name) for name in _POOL_ARGUMENTS}
    elif node.op == "call_function" and node.target in _POOL_FUNCTIONS:
        arguments = dict(zip(_POOL_ARGUMENTS, node.args[1:], strict=False))
        arguments |= {k: v for k, v in node.kwargs.items() if k not in ("input", "x")}
    else:
        return None
    if arguments.pop("return_indices", False):
        return None
    try:
        window = PoolWindow(**arguments)
        check_window("fuse", window)
    except (TypeError, ValueError):
        return None  # the pooling itself will say what is wrong with it
    return shortest_form(window)
