"""Placeholders for tensors while ``torch.fx`` records a forward.

torch's own placeholder records ``x += 1`` as ``x + 1``, which leaves other names of the tensor
alone. It also answers questions about its value by errors or texts on which a forward may act.
"""

import dis
import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any

from torch.fx import Node, Proxy
from torch.fx.proxy import Attribute

_OWN = ("tracer", "node", "root", "attr", "_node")  # attributes of torch's classes
_IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand",
             "ior", "ixor", "ilshift", "irshift")  # fmt: skip
_UNKNOWN = ("__float__", "__int__", "__complex__", "__index__", "__len__", "__contains__",
            "__hash__", "__format__", "__str__", "__repr__", "__setitem__",
            "__delitem__")  # fmt: skip
_OF_NUMPY = {"axis", "out"}  # arguments that numpy.prod(sizes) gives to a method of the sizes


def in_place(name: str, a: Any, b: Any) -> Any:
    """Computes ``operator.<name>(a, b)``, such as iadd for ``a += b``.

    torch.fx would write operator.iadd as that statement, which binds a number's old name to the
    new number.
    """
    return getattr(operator, name)(a, b)


def unpack(value: Any, count: int) -> Any:
    """Returns a value that has ``count`` items, and raises Python's ValueError for any other.

    A graph reads each item by its index, which checks nothing.
    """
    if not isinstance(value, Proxy) and len(value) != count:
        few = len(value) < count
        got = f", got {len(value)}" if few else ""
        many = "not enough" if few else "too many"
        raise ValueError(f"{many} values to unpack (expected {count}{got})")
    return value


class _Recorded(Proxy):
    """The methods of both classes below."""

    tracer: Any

    def __getattr__(self, name: str) -> Any:
        return PlaceholderAttribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _OWN:
            self.tracer.give_up(f"the attribute {name} is set")
        object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        frame = inspect.currentframe()
        assert frame is not None
        caller = frame.f_back
        assert caller is not None
        instructions = dis.get_instructions(caller.f_code)
        now = next(i for i in instructions if i.offset == caller.f_lasti)
        if now.opname != "UNPACK_SEQUENCE":
            self.tracer.give_up("a loop is run")
        whole: Any = self.tracer.create_proxy("call_function", unpack, (self, now.argval), {})
        return iter([whole[i] for i in range(now.argval)])

    def __radd__(self, other: Any) -> Any:
        return self._reflected(other, "__radd__")

    def __rmul__(self, other: Any) -> Any:
        return self._reflected(other, "__rmul__")

    def _reflected(self, other: Any, name: str) -> Any:
        if isinstance(other, list):  # += of a list would become +
            self.tracer.give_up("a list is extended")
        return getattr(Proxy, name)(self, other)


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", in_place, (name, self, other), {})

    return method


def _unknown(name: str) -> Callable[..., Any]:
    def method(self: Any, *_: Any) -> Any:
        self.tracer.give_up(f"{name} is called")

    return method


for _name in _IN_PLACE:
    setattr(_Recorded, f"__{_name}__", _in_place(_name))
for _name in _UNKNOWN:
    setattr(_Recorded, _name, _unknown(_name))


class Placeholder(_Recorded):
    """The result of a node."""

    def __init__(self, node: Node, tracer: Any) -> None:
        Proxy.__init__(self, node, tracer)


class PlaceholderAttribute(_Recorded, Attribute):
    """An attribute of a placeholder, or a method of it that is not called yet."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.keys() >= _OF_NUMPY:
            self.tracer.give_up("NumPy is called")
        return Attribute.__call__(self, *args, **kwargs)
