"""Chains that are fused together, and the test that each of their calls makes."""

import copy
import itertools
import threading
from collections.abc import Iterable
from typing import Any

import torch

from torchconv import _C
from torchconv._torch import any_global_hooks, is_plain
from torchconv._unmodified import (
    FUNCTIONS,
    OPERATORS,
    PLACES,
    Place,
    are_unmodified,
    has_plain_parameters,
    is_changed,
)
from torchconv.fusion._callers import (
    Entry,
    Module,
    are_unchanged,
    code_hash,
    entries_of_forward,
    original_class,
)

GROUP = "_torchconv_fusion"  # the attribute of every fused module that holds its group
FUSED_CLASSES: set[type[Module]] = set()  # of convolutions and of the layers after them
_TAG = "_torchconv_fused_by"  # the attribute of a block's output: the number of its group
_numbers = itertools.count()
_held = threading.local()  # decisions of the forwards that run in this thread, by group
POOL_ARGUMENTS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_DEVICES = ("cpu", "meta", *(("cuda",) if "conv2d_act_pool" in _C.cuda_operators() else ()))


def has_kernels(convolution: Module) -> bool:
    """Whether a block has kernels for a convolution's parameters."""
    weight: Any = convolution._parameters.get("weight")
    return (
        has_plain_parameters(convolution)
        and weight.dtype in _DTYPES
        and weight.device.type in _DEVICES
    )


class Group:
    """Chains that are fused together. If a part of one changes, every member computes on its own.

    Args:
        convolutions: They compute the blocks.
        followers: Activations and poolings that return their input.
        left_out: Layers that a new forward omits; other forwards still call them.
        functions: Operators that a new forward omits: relu, sigmoid, max_pool2d.
        partial: Modules whose call runs only a part of a chain: their input or output lies within.
        callers: Classes whose forward calls a chain or a part of it.
    """

    def __init__(
        self,
        convolutions: Iterable[Module],
        followers: Iterable[Module],
        left_out: Iterable[Module],
        functions: Iterable[str],
        partial: Iterable[Module],
        callers: Iterable[type[Module]],
    ) -> None:
        self.convolutions, self.followers = list(convolutions), list(followers)
        self.left_out, self.functions = list(left_out), set(functions)
        self.partial = [(module, _shared_class(module), _children(module)) for module in partial]
        self.callers = set(callers)
        self.number = next(_numbers)
        # Set by unfuse of the model or a part, or at loading if the code of a caller differs.
        self.is_undone = False
        self._code = {cls: code_hash(cls) for cls in self.callers}
        self._layers = [(m, True, _pool_arguments(m)) for m in self.followers]
        self._layers += [(m, False, _pool_arguments(m)) for m in self.left_out]
        self._places, self._entries = self._find_places(), self._find_entries()

    def is_intact(self) -> bool:
        """Whether the fused form computes what the parts would."""
        if self.is_undone:
            return False
        for convolution in self.convolutions:
            if is_changed(convolution) or not has_kernels(convolution):
                return False
        for module, cls, children in self.partial:
            if is_changed(module) or _shared_class(module) is not cls:
                return False
            if _children(module) != children:
                return False
        for layer, is_follower, arguments in self._layers:
            if is_changed(layer) or _pool_arguments(layer) != arguments:
                return False
            if type(layer) not in (FUSED_CLASSES if is_follower else PLACES):
                return False
        return (
            not any_global_hooks() and are_unmodified(self._places) and are_unchanged(self._entries)
        )

    def should_fuse(self, input: Any) -> bool:
        """Whether to compute the fused form: the decision that a caller holds, or a new check."""
        held = None if torch.compiler.is_compiling() else _decisions().get(self.number)
        return self._can_fuse(input) if held is None else held

    def run(
        self, module: Module, fused: Any, original: Any, has_convolution: bool, /, *args: Any,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Calls a new forward or the original one, with one decision for all blocks inside.

        Args:
            module: The module that is called.
            fused: The new forward.
            original: The forward of the module's class.
            has_convolution: Whether the module contains a convolution of the group. If it does not,
                and no caller has decided, the tag of an input tells what the convolution did.
            args: The arguments of the forward.
            kwargs: Those that are given by name.
        """
        inputs = (*args, *kwargs.values())
        if torch.compiler.is_compiling():
            return (fused if self._can_fuse(*inputs) else original)(module, *args, **kwargs)
        decisions = _decisions()
        outer = decisions.get(self.number)
        if outer is not None:
            decision = outer
        else:
            decision = (
                self._can_fuse(*inputs)
                if has_convolution
                else any(map(self.is_block_output, inputs))
            )
        decisions[self.number] = decision
        try:
            return (fused if decision else original)(module, *args, **kwargs)
        finally:
            del decisions[self.number]
            if outer is not None:
                decisions[self.number] = outer

    def tag(self, out: Any) -> Any:
        """Marks the output of a block, for the layers after it."""
        if not torch.compiler.is_compiling():
            out.__dict__[_TAG] = self.number
        return out

    def is_block_output(self, input: Any) -> bool:
        """Whether the input is a block's output, which the layer returns unchanged.

        A second check could differ from the block's, since a hook may remove itself in between.
        Compiled code checks again: all its layers are traced in one state.
        """
        if torch.compiler.is_compiling():
            return self._can_fuse(input)
        return getattr(input, "__dict__", {}).get(_TAG) == self.number

    def _can_fuse(self, *inputs: Any) -> bool:
        """Whether nothing has changed, and all inputs are plain tensors."""
        for x in inputs:
            if not is_plain(x):
                return False
        return self.is_intact()

    def joined(self, other: "Group") -> "Group":
        """One group of both."""
        return Group(
            dict.fromkeys([*self.convolutions, *other.convolutions]),
            dict.fromkeys([*self.followers, *other.followers]),
            dict.fromkeys([*self.left_out, *other.left_out]),
            self.functions | other.functions,
            dict.fromkeys([module for module, *_ in (*self.partial, *other.partial)]),
            self.callers | other.callers,
        )

    def _find_places(self) -> list[Place]:
        modules = (*self.convolutions, *self.followers, *self.left_out)
        classes = {library_class(type(module)) for module in modules}
        places = [place for cls in classes for place in PLACES[cls]]
        places += [place for operator in self.functions for place in FUNCTIONS[operator]]
        return list(dict.fromkeys(places))

    def _find_entries(self) -> list[Entry]:
        return [entry for cls in self.callers for entry in entries_of_forward(cls)]

    def __getstate__(self) -> dict[str, Any]:
        """Without functions, and classes without a module, neither of which can be pickled."""
        left_out = ("_places", "_entries")
        state = {key: value for key, value in self.__dict__.items() if key not in left_out}
        # A GraphModule has a class of its own, and is pickled before it has its children.
        graph = torch.fx.GraphModule
        callers = {cls for cls in self.callers if not issubclass(cls, graph)}
        partial = [one for one in self.partial if not isinstance(one[0], graph)]
        code = {cls: self._code[cls] for cls in callers}
        return {**state, "callers": callers, "partial": partial, "_code": code}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.number = next(_numbers)
        self.is_undone |= self._code != {cls: code_hash(cls) for cls in self.callers}
        self._places, self._entries = self._find_places(), self._find_entries()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Group":
        """Keeps the recorded functions: the current ones may be replacements."""
        twin = memo[id(self)] = Group.__new__(Group)
        twin.__dict__.update(self.__dict__, number=next(_numbers))
        twin.convolutions = copy.deepcopy(self.convolutions, memo)
        twin.followers = copy.deepcopy(self.followers, memo)
        twin.left_out = copy.deepcopy(self.left_out, memo)
        twin.partial = copy.deepcopy(self.partial, memo)
        twin._layers = copy.deepcopy(self._layers, memo)
        return twin


def library_class(cls: type[Module]) -> type[Module]:
    """The class of torch.nn or torchconv.nn that a layer has, or had before it was fused."""
    return next(base for base in cls.__mro__ if base in OPERATORS)


def _decisions() -> dict[int, bool]:
    decisions: dict[int, bool] = _held.__dict__.setdefault("decisions", {})
    return decisions


def _shared_class(module: Module) -> type[Module]:
    """The module's class; GraphModule for all of these, of which each has a class of its own."""
    cls = original_class(module)
    return torch.fx.GraphModule if issubclass(cls, torch.fx.GraphModule) else cls


def _children(module: Module) -> list[Any]:
    return list(module._modules.values())


def _pool_arguments(layer: Module) -> tuple[Any, ...] | None:
    own = layer.__dict__
    if "kernel_size" not in own:
        return None
    return tuple([own[name] for name in POOL_ARGUMENTS])
