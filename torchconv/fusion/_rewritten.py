"""A new forward for a module: its class, but for forward, and pickled and copied as that."""

import copyreg
import functools
import importlib
import linecache
import types
from abc import ABCMeta
from typing import Any, NamedTuple

import torch
from torch.fx import Graph

from torchconv.fusion._callers import REWRITTEN, original_class
from torchconv.fusion._group import GROUP
from torchconv.fusion._record import Module


class Code(NamedTuple):
    """A forward as text, and what its global names mean.

    ``has_convolution`` tells whether a chain begins inside, with a convolution that the module has.
    """

    text: str
    names: dict[str, Any]
    has_convolution: bool


def can_be_rewritten(module: Module) -> bool:
    """Whether nothing in the module's class stands against a class with another forward.

    A class that says itself how it is copied or pickled would come back without its new forward;
    one that notes its subclasses would note ours; a Sequential makes new ones from its slices; a
    decorator may do anything around forward.
    """
    cls = original_class(module)
    return (
        GROUP not in module.__dict__
        and type(cls) in (type, ABCMeta)
        and not any("__init_subclass__" in vars(base) for base in cls.__mro__[:-1])
        and cls.__reduce__ is object.__reduce__
        and cls.__reduce_ex__ is object.__reduce_ex__
        and not hasattr(cls, "__deepcopy__")
        and not hasattr(cls.forward, "__wrapped__")
        and cls not in copyreg.dispatch_table
        and not issubclass(cls, torch.nn.Sequential)
    )


def rewritten(cls: type[Module], graph: Graph, has_convolution: bool) -> type[Module]:
    """A subclass whose forward computes the graph while the module's group is intact.

    Args:
        cls: The class of the module.
        graph: The new forward.
        has_convolution: Whether a chain begins inside, with a convolution that the module has.
    """
    for node in graph.nodes:
        node.type = None  # annotations may name what cannot be pickled
    code = graph.python_code("self")
    names = {name: value for name, value in code.globals.items() if name in code.src}
    return _subclass(cls, Code(code.src, names, has_convolution))


def _forward(cls: type[Module], fused: Any, has_convolution: bool) -> Any:
    """A forward that calls the fused one, or the class's own, as the module's group decides."""

    @functools.wraps(cls.forward)
    def forward(self: Module, *args: Any, **kwargs: Any) -> Any:
        group = self.__dict__.get(GROUP)  # a new object of the class has none
        original: Any = cls.forward
        if group is None:
            return original(self, *args, **kwargs)
        return group.run(self, fused, original, has_convolution, *args, **kwargs)

    return forward


def _subclass(cls: type[Module], code: Code) -> type[Module]:
    file = f"<torchconv.fuse {cls.__module__}.{cls.__qualname__} {hash(code.text):x}>"
    lines = code.text.splitlines(keepends=True)
    linecache.cache[file] = len(code.text), None, lines, file  # for tracebacks
    names = dict(code.names)
    exec(compile(code.text, file, "exec"), names)
    names["forward"].__qualname__ = cls.forward.__qualname__  # for error messages

    def reduce(self: Module, protocol: Any) -> Any:
        reduced: Any = super(fused, self).__reduce_ex__(max(2, protocol))
        if type(self) is not fused:
            return reduced
        _, arguments, *rest = reduced  # copyreg.__newobj__, (class, ...), state, ...
        modules = {k: v.__name__ for k, v in code.names.items() if isinstance(v, types.ModuleType)}
        others = {k: v for k, v in code.names.items() if k not in modules}
        state = (cls, code.text, modules, others, code.has_convolution)
        return _restored, (*state, *arguments[1:]), *rest

    make: Any = type(cls)
    fused: type[Module] = make(
        cls.__name__,
        (cls,),
        {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__reduce_ex__": reduce,
            REWRITTEN: True,
            "forward": _forward(cls, names["forward"], code.has_convolution),
        },
    )
    return fused


def _restored(
    cls: type[Module], text: str, modules: dict[str, str], others: dict[str, Any],
    has_convolution: bool, *arguments: Any,
) -> Module:  # fmt: skip
    """An instance without attributes, for copy and pickle."""
    imported = {name: importlib.import_module(module) for name, module in modules.items()}
    fused = _subclass(cls, Code(text, {**imported, **others}, has_convolution))
    return fused.__new__(fused, *arguments)
