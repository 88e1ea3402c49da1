"""Takes note of a model and of random numbers, to see and undo what running its forward changed."""

import pickle
import random
import sys
from typing import Any

import torch


class Note:
    """The attributes of all modules, with what lists, dicts and sets among them hold."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._attributes = [(module, dict(module.__dict__)) for module in model.modules()]
        self._contents: list[tuple[Any, list[Any]]] = []
        noted: set[int] = set()
        values = [value for _, attributes in self._attributes for value in attributes.values()]
        while values:
            value = values.pop()
            if isinstance(value, list | dict | set) and id(value) not in noted:
                noted.add(id(value))
                self._contents.append((value, _contents(value)))
                values += value.values() if isinstance(value, dict) else value
        self._random = random.getstate()
        self._torch = torch.get_rng_state()
        # Read only where it is in use: torchconv does not need NumPy.
        self._numpy: Any = getattr(sys.modules.get("numpy"), "random", None)
        self._numpy_state = pickle.dumps(self._numpy and self._numpy.get_state())

    def restore(self) -> bool:
        """Puts back what was changed, and says whether anything was."""
        changed = False
        for module, attributes in self._attributes:
            if not _same(_contents(module.__dict__), _contents(attributes)):
                changed = True
                module.__dict__.clear()
                module.__dict__.update(attributes)
        for container, contents in self._contents:
            if not _same(_contents(container), contents):
                changed = True
                container.clear()
                if isinstance(container, list):
                    container.extend(contents)
                else:
                    container.update(contents)
        return self._restore_random() or changed

    def _restore_random(self) -> bool:
        """Whoever draws a number may let it decide on the way through forward."""
        changed = False
        if random.getstate() != self._random:
            random.setstate(self._random)
            changed = True
        if not torch.equal(torch.get_rng_state(), self._torch):
            torch.set_rng_state(self._torch)
            changed = True
        if self._numpy and pickle.dumps(self._numpy.get_state()) != self._numpy_state:
            self._numpy.set_state(pickle.loads(self._numpy_state))
            changed = True
        return changed


def _contents(container: Any) -> list[Any]:
    return list(container.items()) if isinstance(container, dict) else list(container)


def _same(left: list[Any], right: list[Any]) -> bool:
    """Compares by identity: ``==`` could mean anything, to tensors above all."""

    def same(a: Any, b: Any) -> bool:
        return a is b or (
            type(a) is tuple and type(b) is tuple and len(a) == len(b) and all(map(same, a, b))
        )

    return len(left) == len(right) and all(map(same, left, right))
