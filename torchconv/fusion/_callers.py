"""Finds the code that a class's ``forward`` runs, to notice when it changes."""

import dis
import hashlib
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any, NamedTuple

import torch

from torchconv._torch import without_fx_tracing

Module = torch.nn.Module
REWRITTEN = "_rewritten_by_fuse"  # in the namespace of a class with another forward
_CALLS = ("__call__", "_call_impl", "forward")  # looked up by each call of a module
_ABSENT = object()


class Entry(NamedTuple):
    """An attribute of a class or a global function, and its recorded value."""

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
    any kind, properties, functions of Python and C. Only code of the class's own package and of the
    packages of its bases is searched.
    """
    packages = {_package(base) for base in cls.__mro__}
    bases = [vars(base) for base in cls.__mro__ if base not in (Module, object)]
    entries = {(id(base), name): Entry(base, name, base.get(name, _ABSENT))
               for base in bases for name in _CALLS}  # fmt: skip
    names, seen = {"forward"}, set[str]()
    while new := names - seen:
        seen |= new
        functions: list[FunctionType] = []
        for name in new:
            if any(_is_code(base.get(name)) for base in bases):
                for base in bases:
                    value = base.get(name, _ABSENT)
                    entries[id(base), name] = Entry(base, name, value)
                    functions += _functions(value)
        while functions:
            function = functions.pop()
            if _package(function) not in packages:
                continue
            names |= _attributes(function.__code__)
            namespace = function.__globals__
            for name in _globals(function.__code__):
                value = namespace.get(name)
                is_new = (id(namespace), name) not in entries
                if is_new and isinstance(value, FunctionType | BuiltinFunctionType):
                    entries[id(namespace), name] = Entry(namespace, name, value)
                    functions += _functions(value)
    return list(entries.values())


def are_unchanged(entries: list[Entry]) -> bool:
    """Whether every entry still has its recorded value."""
    for namespace, name, value in entries:
        found = namespace.get(name, _ABSENT)
        if found is not value and without_fx_tracing(found) is not value:
            return False
    return True


def code_hash(cls: type[Module]) -> str:
    """A hash of what ``forward`` looks up, alike in all processes of one Python version."""
    content = [(entry.name, _content(entry.value)) for entry in entries_of_forward(cls)]
    return hashlib.sha256(repr(sorted(content, key=repr)).encode()).hexdigest()


def _is_code(value: Any) -> bool:
    """Whether an attribute of a class is called or computed; other values count as constants."""
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def _functions(value: Any) -> Iterator[FunctionType]:
    """The functions of Python behind a function, method or property; none of torch."""
    if isinstance(value, property):
        for part in (value.fget, value.fset):
            yield from _functions(part)
        return
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    while isinstance(value, FunctionType) and _package(value) != "torch":
        yield value
        value = getattr(value, "__wrapped__", None)


def _package(defined: Any) -> str:
    """The package in which a class or function is defined."""
    return str(defined.__module__).partition(".")[0]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function, and of functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _globals(code: CodeType) -> set[str]:
    """The global names that code looks up."""
    return {
        instruction.argval
        for one in _codes(code)
        for instruction in dis.get_instructions(one)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }


def _attributes(code: CodeType) -> set[str]:
    """The attributes that code may look up: by a name, or by a text for ``getattr``."""
    texts = {
        constant for one in _codes(code) for constant in one.co_consts if isinstance(constant, str)
    }
    return {name for one in _codes(code) for name in one.co_names} | texts


def _content(value: Any) -> Any:
    """What a value does, without addresses and the places of its lines; sets in a fixed order."""
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, value.co_varnames, _content(value.co_consts)
    if isinstance(value, tuple):
        return [_content(item) for item in value]
    if isinstance(value, frozenset):
        return sorted((_content(item) for item in value), key=repr)
    if isinstance(value, property | classmethod | staticmethod | FunctionType):
        return [_signed_code(function) for function in _functions(value)] or _name(value)
    if isinstance(value, str | bytes | int | float | complex | None):
        return repr(value)
    return _name(value)


def _signed_code(function: FunctionType) -> Any:
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    given = [_name(value) if callable(value) else _content(value) for value in defaults]
    return function.__qualname__, _content(function.__code__), given


def _name(value: Any) -> str:
    """The full name of a function or class, or of the class of any other value."""
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    named = value if isinstance(value, type | FunctionType | BuiltinFunctionType) else type(value)
    return f"{named.__module__}.{named.__qualname__}"
