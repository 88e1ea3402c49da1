"""The code that calls a chain: the forward of a class, and the methods that this forward calls."""

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

import torch

from torchconv._unmodified import Place

Module = torch.nn.Module
REWRITTEN = "_rewritten_by_fuse"  # in the namespace of a class with another forward


def is_rewritten(module: Module) -> bool:
    """Whether the module's class was made by ``rewritten``."""
    return REWRITTEN in vars(type(module))


def original_class(module: Module) -> type[Module]:
    """The class that the module had before its forward was rewritten."""
    cls = type(module)
    return cls.__bases__[0] if is_rewritten(module) else cls


def methods_of_forward(cls: type[Module]) -> list[Place]:
    """``forward`` and the methods that it may call, in the class and in each of its bases."""
    bases = [base for base in cls.__mro__ if base not in (Module, object)]
    names, found = ["forward"], {}
    while names:
        name = names.pop()
        for base in bases:
            function = inspect.getattr_static(base, name, None)
            if isinstance(function, staticmethod):
                function = function.__func__
            is_own = function is not inspect.getattr_static(Module, name, None)
            if is_own and isinstance(function, FunctionType) and (base, name) not in found:
                found[base, name] = Place(base, name, function)
                names += _names(function.__code__)
    return list(found.values())


def code_hashes(classes: Iterable[type[Module]]) -> set[str]:
    """Hashes of the code of the classes' methods, alike in all processes of one Python version."""
    places = [place for cls in classes for place in methods_of_forward(cls)]
    return {
        hashlib.sha256(repr((p.name, _content(p.function.__code__))).encode()).hexdigest()
        for p in places
    }


def _names(code: CodeType) -> Iterator[str]:
    """The global names and attributes that a function uses, with those of functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(value: Any) -> Any:
    """What code does, without the places of its lines; sets in a fixed order."""
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, _content(value.co_consts)
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return [_content(item) for item in value] if isinstance(value, tuple) else repr(value)
