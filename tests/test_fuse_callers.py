"""Changes of modules that call a fused chain or a part of it."""

import collections
import copy
import functools
import inspect
import pickle
import sys
import types
from typing import ClassVar

import pytest
import torch
from fused_parts import ChainLayers, TailInChild, block_of, images, wrap_forward
from fusible import Children, Layers, Tutorial, conv, plain
from processes import python
from torch.nn import functional

import torchconv


class Through(torch.nn.Module):
    """Calls a module, and nothing else."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def halves():
    return torch.nn.Sequential(
        torch.nn.Sequential(conv(torch.nn), torch.nn.ReLU()), torch.nn.MaxPool2d(2)
    )


def wrapped():
    return torch.nn.Sequential(
        conv(torch.nn), Through(Through(torch.nn.ReLU())), torch.nn.MaxPool2d(2)
    )


# A model, and the module in it that is called for a part of a chain.
PARTS = {
    "convolution and activation": (halves, lambda model: model[0]),
    "activation": (wrapped, lambda model: model[1]),
    "activation, inside": (wrapped, lambda model: model[1].inner),
    "functions": (TailInChild, lambda model: model.finish),
}


class Doubling(Through):
    def forward(self, x):
        return self.inner(x) * 2 - 1


CHANGES = {
    "forward": wrap_forward,
    "children": lambda m: m.add_module("inner" if hasattr(m, "inner") else "last", torch.nn.Tanh()),
    "hook": lambda m: m.register_forward_hook(lambda *args: args[2] * 2 - 0.5),
    "pre-hook": lambda m: m.register_forward_pre_hook(lambda _, x: (x[0] * -1,)),
}


def test_another_class_of_a_part():
    model, x = wrapped().double(), images()
    fused = torchconv.fuse(copy.deepcopy(model))
    for each in (model, fused):
        each[1].__class__ = Doubling
    torch.testing.assert_close(fused(x), model(x))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("make", "part"), PARTS.values(), ids=PARTS)
def test_changed_parts(make, part, change):
    model, x = make().double(), images()
    fused = torchconv.fuse(copy.deepcopy(model))
    copied = copy.deepcopy(fused)
    assert block_of(fused)._torchconv_fusion.is_intact()
    unchanged = fused(x)
    for each in (model, fused):
        change(part(each))
    torch.testing.assert_close(fused(x), model(x))
    torch.testing.assert_close(copied(x), unchanged)
    for each in (copy.deepcopy(fused), copied):
        assert block_of(each)._torchconv_fusion.is_intact() is (each is copied)


def test_a_hook_on_a_part_sees_what_the_part_computes():
    model, seen = torchconv.fuse(halves()), []
    model[0].register_forward_hook(lambda _, x, out: seen.append(tuple(out.shape)))
    assert model(images().float()).shape == (2, 4, 6, 6)
    assert seen == [(2, 4, 12, 12)]


def test_a_hook_on_the_whole_of_a_chain_leaves_it_fused():
    model, seen = torchconv.fuse(torch.nn.Sequential(plain(torch.nn)[:3])), []
    model[0].register_forward_hook(lambda _, x, out: seen.append(tuple(out.shape)))
    model(images().float())
    assert seen == [(2, 4, 6, 6)]
    assert block_of(model)._torchconv_fusion.is_intact()


def test_a_new_forward_on_the_class_of_a_part(monkeypatch):
    model = wrapped().double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    monkeypatch.setattr(Through, "forward", lambda self, x: self.inner(x) - 1)
    torch.testing.assert_close(fused(x), model(x))


def logged(method):
    @functools.wraps(method)
    def call(self, x):
        return method(self, x)

    return call


def moved(x):
    return x


class Base(Layers):
    activation = staticmethod(torch.relu)

    def forward(self, x):
        return self.head(self.pool(self.activated(self.conv(x))))

    @logged
    def activated(self, x):
        return getattr(self, "scaled")(moved(x)).relu()  # noqa: B009

    @staticmethod
    def scaled(x):
        return x

    @classmethod
    def shifted(cls, x):
        return cls.activation(x)

    @property
    def act(self):
        return self.shifted

    def relu_(self):
        """Of the name of a function that forward does not call."""


class Named(Base):
    def forward(self, x):
        return self.head(functional.relu_(self.pool(self.act(self.conv(x)))))


class Derived(Base):
    def forward(self, x):
        return super().forward(x)


NEW_METHODS = {
    "forward of a base": (Base, "forward", lambda self, x: self.head(self.conv(x))),
    "method": (Base, "activated", lambda self, x: x.tanh()),
    "method of a method": (Base, "scaled", staticmethod(lambda x: 2 * x - 1)),
    "method of the derived class": (Derived, "activated", lambda self, x: x.tanh()),
    "__call__": (Derived, "__call__", lambda self, x: torch.nn.Module.__call__(self, x) - 1),
    "global function": (sys.modules[__name__], "moved", lambda x: 2 * x - 1),
    "property": (Named, "act", property(lambda self: torch.tanh)),
    "classmethod": (Named, "shifted", classmethod(lambda cls, x: 2 * x - 1)),
    "function of C": (Named, "activation", staticmethod(torch.tanh)),
    "property of a base": (Base, "act", property(lambda self: torch.tanh)),
}


@pytest.mark.parametrize(("cls", "name", "function"), NEW_METHODS.values(), ids=NEW_METHODS)
def test_new_methods_of_the_caller(cls, name, function, monkeypatch):
    model = (Named if cls is Named or name == "act" else Derived)(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    assert block_of(fused)._torchconv_fusion.is_intact()
    unchanged = fused(x)
    monkeypatch.setattr(cls, name, function, raising=False)
    torch.testing.assert_close(fused(x), model(x))
    assert not torch.allclose(fused(x), unchanged)
    monkeypatch.undo()
    assert torch.equal(fused(x), unchanged)


def test_a_deleted_method(monkeypatch):
    fused, x = torchconv.fuse(Named(torch.nn).double()), images()
    expected = fused(x)
    monkeypatch.delattr(Base, "relu_")
    torch.testing.assert_close(fused(x), expected)


def test_a_new_forward_of_the_caller_takes_other_arguments(monkeypatch):
    fused, x = torchconv.fuse(Tutorial(torch.nn).double().eval()), images()
    assert inspect.signature(type(fused).forward) == inspect.signature(Tutorial.forward)
    torch.testing.assert_close(fused(x=x), fused(x))
    monkeypatch.setattr(Tutorial, "forward", lambda self, image, scale=1: self.conv(image) * scale)
    assert torch.equal(fused(image=x, scale=2), fused.conv(x) * 2)


def test_a_new_forward_of_the_caller_is_called(monkeypatch):
    model = Tutorial(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    monkeypatch.setattr(Tutorial, "forward", lambda self, x: self.conv(x).tanh())
    assert torch.equal(fused(x), model(x))


def test_a_chain_over_several_modules_goes_back_as_a_whole():
    model = Children(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    for each in (model, fused):
        wrap_forward(ChainLayers(each).conv)
    torch.testing.assert_close(fused(x), model(x))


SOURCE = """
import torch
from torch.nn import functional

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.pooled(self.conv(x))

    def pooled(self, x, size={size}):
        return functional.max_pool2d(act(x), size)

def act(x):
    return torch.{act}(x)
"""
PLAIN = {"size": 2, "act": "relu"}


@pytest.fixture
def module():
    """A module that pickle imports by its name, and that a test fills."""
    made = sys.modules["net_of_a_test"] = types.ModuleType("net_of_a_test")
    yield made
    del sys.modules["net_of_a_test"]


@pytest.mark.parametrize("changed", [{"act": "tanh"}, {"size": 3}], ids=["function", "default"])
def test_a_loaded_model_runs_the_current_code(changed, module):
    exec(SOURCE.format(**PLAIN), vars(module))
    model = module.Net().double()
    plain, fused = pickle.dumps(model), pickle.dumps(torchconv.fuse(model))
    exec("\n\n" + SOURCE.format(**PLAIN), vars(module))  # the same code, elsewhere in the file
    assert block_of(pickle.loads(fused))._torchconv_fusion.is_intact()
    exec(SOURCE.format(**PLAIN | changed), vars(module))
    x = images()
    torch.testing.assert_close(pickle.loads(fused)(x), pickle.loads(plain)(x))
    assert not block_of(pickle.loads(fused))._torchconv_fusion.is_intact()


def test_a_model_saved_while_a_method_is_replaced(monkeypatch):
    fused, x = torchconv.fuse(Derived(torch.nn).double()), images()
    monkeypatch.setattr(Base, "activated", lambda self, x: x.tanh())
    loaded = pickle.loads(pickle.dumps(fused))
    torch.testing.assert_close(loaded(x), torchconv.unfuse(fused)(x))


# A class with attributes of all kinds, of which some change with each call.
ATTRIBUTES = """
import pickle, sys, torch, torchconv
from math import ceil

class Words(dict):
    __getattr__ = dict.__getitem__

class Net(torch.nn.Module):
    words, cache, calls, made = Words(size=2), {}, 0, None
    names = {torch.relu: "relu", frozenset("abcdef"): frozenset({torch.relu, torch.tanh})}

    def __init__(self):
        super().__init__()
        self.conv, self.act = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x):
        Net.calls += 1
        Net.made = object()
        self.cache[len(self.cache)] = self.names
        return self.pool(self.act(self.tested(self.conv(x)))).flatten(ceil(self.words.size / 2))

    def tested(self, x, names=frozenset({"a", "b", "c"}), act=torch.relu, seen={}):
        if "d" in {"a", "b", "c"}:
            return act(x)
        return x

def flatten(items):
    return 0

def is_intact(model):
    return model.conv._torchconv_fusion.is_intact()
"""
SAVE = (
    ATTRIBUTES
    + """
model = torchconv.fuse(Net())
saved = pickle.dumps(model)
model(torch.ones(1, 3, 8, 8))
assert is_intact(model)
assert is_intact(pickle.loads(saved)) and is_intact(pickle.loads(pickle.dumps(model)))
def flatten(items):
    return 1
assert is_intact(model)
targets = {node.target for node in torch.fx.symbolic_trace(model).graph.nodes}
assert torchconv.conv2d_act_pool in targets, targets
print(saved.hex())
"""
)


def test_what_does_not_count_as_a_change():
    saved = python(SAVE, PYTHONHASHSEED="1")
    assert saved.returncode == 0, saved.stderr
    load = ATTRIBUTES + "print(is_intact(pickle.loads(bytes.fromhex(sys.stdin.read()))))"
    loaded = python(load, PYTHONHASHSEED="2", stdin=saved.stdout)
    assert loaded.stdout == "True\n", loaded.stderr


class Watching(torch.Tensor):
    """Notes the functions that it is given to."""

    seen: ClassVar = collections.deque()

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.mark.parametrize("make", [plain, Tutorial])
def test_inputs_of_a_class_of_their_own_meet_the_layers(make):
    model = make(torch.nn).double().eval()
    x = images()
    seen = []
    for each in (model, torchconv.fuse(model)):
        Watching.seen.clear()
        each(x.as_subclass(Watching))
        seen.append([*Watching.seen])
    assert seen[0] == seen[1]
    assert torch.nn.functional.conv2d in seen[1]
