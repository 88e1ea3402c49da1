"""What a module's forward calls, recorded by ``torch.fx``; the module stays as it was."""

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.fx import Graph, Node, Proxy, Tracer
from torch.fx.node import map_aggregate

from torchconv import _torch
from torchconv._unmodified import is_changed
from torchconv.fusion._placeholders import Placeholder
from torchconv.fusion._untouched import Note

Module = torch.nn.Module
Opaque = set[Module | type[Module]]  # modules and classes
_LIBRARIES = ("torch.nn.", "torch.ao.", "torchconv.nn.")
_CONTAINERS = (Module, torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)


def is_layer(module: Module) -> bool:
    """Whether calls of the module are taken as a whole: a library's layer, or derived from one."""
    return isinstance(module, torch.jit.ScriptModule) or any(
        base not in _CONTAINERS and f"{base.__module__}.".startswith(_LIBRARIES)
        for base in type(module).__mro__
    )


class Run:
    """One call of a module's forward: its own calls of functions, methods and layers, in order.

    Args:
        module: Whose forward runs.
        caller: The run that calls it, if any.
    """

    def __init__(self, module: Module, caller: "Run | None") -> None:
        self.module, self.caller = module, caller
        self.nodes: list[Node] = []

    def path(self) -> set["Run"]:
        """The run, its caller, and so on."""
        return {self, *(self.caller.path() if self.caller else ())}


class Recording:
    """The graph of a module's forward, and the runs of all forwards that make it up."""

    def __init__(self, root: Module, graph: Graph, runs: list[Run]) -> None:
        self.root, self.graph, self.runs = root, graph, runs

    def callee(self, node: Node) -> Module | None:
        """The module that a node calls, if it calls one."""
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def has_constants(self) -> bool:
        """Whether dtypes or devices are constants: they may be those of parameters."""
        found = []

        def note(value: Any) -> Any:
            if isinstance(value, torch.dtype | torch.device):
                found.append(value)
            return value

        for node in self.graph.nodes:
            map_aggregate((node.args, node.kwargs), note)
        return bool(found)

    def identity(self, run: Run) -> list[Any]:
        """What a run calls, comparable with that of another recording."""
        return [self.callee(node) or (node.op, node.target) for node in run.nodes]


def record(root: Module, opaque: Opaque | None = None) -> Recording | None:
    """Records a module's forward, or returns None where that would not tell all of it.

    Args:
        root: The module. Its forward is run once or more on placeholders.
        opaque: Modules and classes whose calls are recorded as single nodes. Those that cannot be
            traced are added. If None, only the root's forward is traced.
    """
    if _torch.has_own_call(root) or not _has_plain_signature(root):
        return None
    while True:
        note, recorder = Note(root), _Recorder(opaque)
        graph = None
        try:
            graph = recorder.trace(root)
        except Exception:  # whatever a forward may raise when it meets a placeholder
            pass
        finally:
            touched = not recorder.withdraw_placeholders()
            touched = note.restore() or touched
        if graph is not None and recorder.given_up is None:
            return None if touched else Recording(root, graph, recorder.runs)
        failed = recorder.given_up or recorder.failed
        if opaque is None or failed is root or is_opaque(failed, opaque):
            return None
        # The same is assumed of other modules of the class. A Sequential fails by its children.
        opaque.add(failed if isinstance(failed, torch.nn.Sequential) else type(failed))


def is_opaque(module: Module, opaque: Opaque) -> bool:
    """Whether the module or its class is among those."""
    return module in opaque or type(module) in opaque


def _has_plain_signature(module: Module) -> bool:
    """Whether each argument is positional, without a default, and not named self.

    A placeholder would replace a default. Generated code calls the module self.
    """
    try:
        _, *arguments = inspect.signature(type(module).forward).parameters.values()
    except (TypeError, ValueError):
        return False
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return all(a.kind is plain and a.default is a.empty and a.name != "self" for a in arguments)


class _Recorder(Tracer):
    """Records also what torch's tracer would take for constants: ``training`` and tensors."""

    def __init__(self, opaque: Opaque | None) -> None:
        super().__init__()
        self.proxy_buffer_attributes = True
        self.runs: list[Run] = []
        self.failed: Any = None
        self.given_up: Any = None  # the module whose forward needs a value
        self._opaque = opaque
        self._stack: list[Run] = []
        self._placeholders: list[tuple[Module, str, Any, Proxy]] = []
        self._state = _state()

    def trace(self, root: Module, concrete_args: None = None) -> Graph:  # type: ignore[override]
        graph = self._running(root, lambda: super(_Recorder, self).trace(root))
        for *_, proxy in self._placeholders:
            if not proxy.node.users:
                graph.erase_node(proxy.node)
        return graph

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> Any:
        result = super().create_args_for_root(*args, **kwargs)
        for path, module in self.root.named_modules():
            for name, value in list(module.__dict__.items()):
                if name == "training" or isinstance(value, Tensor):
                    target = f"{path}.{name}" if path else name
                    proxy = self.create_proxy("get_attr", target, (), {})
                    self._placeholders.append((module, name, value, proxy))
                    module.__dict__[name] = proxy
        return result

    def proxy(self, node: Node) -> Proxy:
        return Placeholder(node, self)

    def give_up(self, reason: str) -> NoReturn:
        """Ends the recording; forward may catch the error and go on, but to no avail."""
        self.given_up = self.given_up or self._stack[-1].module
        raise torch.fx.proxy.TraceError(f"{reason}, which depends on a value")

    def to_bool(self, obj: Proxy) -> bool:
        self.give_up("a branch is taken")

    def keys(self, obj: Proxy) -> Any:
        self.give_up("keys are read")

    def withdraw_placeholders(self) -> bool:
        """Puts the attributes back, and says whether forward had left them alone."""
        untouched = True
        for module, name, value, proxy in self._placeholders:
            untouched &= module.__dict__.get(name) is proxy
            module.__dict__[name] = value
        return untouched

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._opaque is None or is_opaque(m, self._opaque) or is_layer(m) or is_changed(m):
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)
        return self._running(m, lambda: forward(*args, **kwargs))

    def _running(self, module: Module, forward: Callable[[], Any]) -> Any:
        run = Run(module, self._stack[-1] if self._stack else None)
        self._stack.append(run)
        try:
            result = forward()
        except Exception:
            self.failed = self.failed or module
            raise
        finally:
            self._stack.pop()
        self.runs.append(run)
        return result

    def create_node(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> Node:
        # A graph knows nothing of `with torch.no_grad():` and its like around a part of forward.
        if _state() != self._state:
            raise torch.fx.proxy.TraceError(f"{target} is called in another state")
        node = super().create_node(kind, target, *args, **kwargs)
        if kind in ("call_function", "call_method") or (
            kind == "call_module" and is_layer(self.root.get_submodule(target))
        ):
            self._stack[-1].nodes.append(node)
        return node


def _state() -> tuple[Any, ...]:
    """All that changes the meaning of a call without being an argument of it."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
        _torch.function_modes(),
        _torch.saved_tensor_hooks(),
    )
