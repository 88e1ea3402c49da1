"""Changes of modules that call a fused chain or a part of it."""

import collections
import copy
import functools
import pickle
import sys
import types
from typing import ClassVar

import pytest
import torch
from fused_parts import ChainLayers, TailInChild, block_of, images, wrap_forward
from fusible import Children, Layers, Tutorial, conv, plain

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
CHANGES = {
    "forward": wrap_forward,
    "hook": lambda m: m.register_forward_hook(lambda *args: args[2] * 2 - 0.5),
    "pre-hook": lambda m: m.register_forward_pre_hook(lambda _, x: (x[0] * -1,)),
}


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


class Base(Layers):
    def forward(self, x):
        return self.head(self.pool(self.activated(self.conv(x))))

    def activated(self, x):
        return self.scaled(x).relu()

    @staticmethod
    def scaled(x):
        return x


class Derived(Base):
    def forward(self, x):
        return super().forward(x)


NEW_METHODS = {
    "forward of a base": (Base, "forward", lambda self, x: self.head(self.conv(x))),
    "method": (Base, "activated", lambda self, x: x.tanh()),
    "method of a method": (Base, "scaled", staticmethod(lambda x: 2 * x - 1)),
    "method of the derived class": (Derived, "activated", lambda self, x: x.tanh()),
}


@pytest.mark.parametrize(("cls", "name", "function"), NEW_METHODS.values(), ids=NEW_METHODS)
def test_new_methods_of_the_caller(cls, name, function, monkeypatch):
    model = Derived(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    unchanged = fused(x)
    monkeypatch.setattr(cls, name, function, raising=False)
    torch.testing.assert_close(fused(x), model(x))
    assert not torch.allclose(fused(x), unchanged)
    monkeypatch.undo()
    assert torch.equal(fused(x), unchanged)


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

    def pooled(self, x):
        return functional.max_pool2d(functional.{}(x), 2)
"""


@pytest.fixture
def module():
    """A module that pickle imports by its name, and that a test fills."""
    made = sys.modules["net_of_a_test"] = types.ModuleType("net_of_a_test")
    yield made
    del sys.modules["net_of_a_test"]


def test_a_loaded_model_runs_the_current_code(module):
    exec(SOURCE.format("relu"), vars(module))
    saved = pickle.dumps(torchconv.fuse(module.Net().double()))
    x = images()
    unchanged = pickle.loads(saved)
    exec("\n\n" + SOURCE.format("relu"), vars(module))  # the same code, elsewhere in the file
    assert block_of(pickle.loads(saved))._torchconv_fusion.is_intact()
    exec(SOURCE.format("tanh"), vars(module))
    loaded = pickle.loads(saved)
    expected = functools.partial(torch.nn.functional.max_pool2d, kernel_size=2)
    torch.testing.assert_close(loaded(x), expected(torch.tanh(loaded.conv(x))))
    torch.testing.assert_close(unchanged(x), expected(torch.relu(torchconv.unfuse(loaded).conv(x))))


def test_a_model_saved_while_a_method_is_replaced(monkeypatch):
    fused, x = torchconv.fuse(Derived(torch.nn).double()), images()
    monkeypatch.setattr(Base, "activated", lambda self, x: x.tanh())
    loaded = pickle.loads(pickle.dumps(fused))
    torch.testing.assert_close(loaded(x), torchconv.unfuse(fused)(x))


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
