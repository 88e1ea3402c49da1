"""The code that calls a chain: ``forward`` of a class, and what it looks up on its way."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any, NamedTuple

import torch

Module = torch.nn.Module
REWRITTEN = "_rewritten_by_fuse"  # in the namespace of a class with another forward
_CALLS = ("__call__", "_call_impl", "forward")  # looked up by each call of a module
_ABSENT = object()


class Entry(NamedTuple):
    """A name in the namespace of a class or module, and what it should mean."""

    namespace: Mapping[str, Any]
    name: str
    value: Any


def is_rewritten(module: Module) -> bool:
    """Whether the module's class was made by ``rewritten``."""
    return REWRITTEN in vars(type(module))


def original_class(module: Module) -> type[Module]:
    """The class that the module had before its forward was rewritten."""
    cls = type(module)
    return cls.__bases__[0] if is_rewritten(module) else cls


def entries_of_forward(cls: type[Module]) -> list[Entry]:
    """The methods that ``forward`` may call, in each class of the MRO, and its global functions.

    Found by the names in the code of ``forward``, and in that of what these names mean: methods of
    any kind, properties, functions of Python and C. Code of torch is not searched.
    """
    bases = [vars(base) for base in cls.__mro__ if base not in (Module, object)]
    entries = {(id(base), name): Entry(base, name, base.get(name, _ABSENT))
               for base in bases for name in _CALLS}  # fmt: skip
    names, seen = {"forward"}, set[str]()
    functions: list[FunctionType] = []
    while names or functions:
        for name in names - seen:
            if any(name in base for base in bases):
                for base in bases:
                    value = base.get(name, _ABSENT)
                    entries[id(base), name] = Entry(base, name, value)
                    functions += _functions(value)
        seen |= names
        names = set()
        while functions:
            function = functions.pop()
            namespace = function.__globals__
            for name in _names(function.__code__):
                names.add(name)
                value = namespace.get(name)
                is_new = (id(namespace), name) not in entries
                if is_new and isinstance(value, FunctionType | BuiltinFunctionType):
                    entries[id(namespace), name] = Entry(namespace, name, value)
                    functions += _functions(value)
    return list(entries.values())


def are_unchanged(entries: list[Entry]) -> bool:
    """Whether all names mean what they should mean."""
    for namespace, name, value in entries:  # noqa: SIM110, since all() is slower
        if namespace.get(name, _ABSENT) is not value:
            return False
    return True


def code_hash(cls: type[Module]) -> str:
    """A hash of what ``forward`` looks up, alike in all processes of one Python version."""
    content = [(entry.name, _content(entry.value)) for entry in entries_of_forward(cls)]
    return hashlib.sha256(repr(sorted(content, key=repr)).encode()).hexdigest()


def _functions(value: Any) -> Iterator[FunctionType]:
    """The functions of Python behind a function, method or property; none of torch."""
    if isinstance(value, property):
        for part in (value.fget, value.fset):
            yield from _functions(part)
        return
    value = getattr(value, "__func__", value)  # of a classmethod or staticmethod
    while isinstance(value, FunctionType):
        if f"{value.__module__}.".startswith("torch."):
            return
        yield value
        value = getattr(value, "__wrapped__", None)


def _names(code: CodeType) -> Iterator[str]:
    """What code may look up: its global names, attributes, and strings that could be either."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            yield constant


def _content(value: Any) -> Any:
    """What a value does, without addresses and the places of its lines; sets in a fixed order."""
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, value.co_varnames, _content(value.co_consts)
    if isinstance(value, tuple | list):
        return [_content(item) for item in value]
    if isinstance(value, dict):
        return [(name, _content(item)) for name, item in value.items()]
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    functions = list(_functions(value))
    if functions:
        return [(f.__qualname__, _content((f.__code__, f.__defaults__, f.__kwdefaults__)))
                for f in functions]  # fmt: skip
    if isinstance(value, str | bytes | int | float | complex | None):
        return repr(value)
    name = getattr(inspect.unwrap(value) if callable(value) else value, "__qualname__", "")
    return f"{getattr(value, '__module__', '')}.{name or type(value).__qualname__}"
