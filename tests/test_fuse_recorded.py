"""Forwards that do what a graph of calls does not tell, or that need more than tensors."""

import copy
import pickle

import pytest
import torch
from fused_parts import block_of, images
from fusible import Layers
from torch.nn import functional

import torchconv


class Tail(Layers):
    def tail(self, x):
        return functional.max_pool2d(functional.relu(self.conv(x)), 2)


class Augmented(Tail):
    """A tensor changed in place under two names, and a number that is not."""

    def forward(self, x):
        same, count = x.clone(), x.shape[0]
        before, other = count, same
        same += 1
        same.mT.mul_(2)
        same /= 2
        count *= 3
        out = [self.tail(other) * before / count]
        last = out[0]
        last -= 1
        return out[0]


class Optional(Tail):
    def forward(self, x, mask):
        return self.tail(x if mask is None else x * mask)


class Listed(Tail):
    def forward(self, xs):
        return self.tail(xs[0])


class DtypeOfAParameter(Tail):
    def forward(self, x):
        return self.tail(x.to(next(self.parameters()).dtype))


class Catching(Tail):
    def forward(self, x):
        y = self.tail(x)
        try:
            return y / float(y.sum())
        except Exception:
            return y


class Formatting(Tail):
    def forward(self, x):
        y = self.tail(x)
        return y * len(f"{float(0)}") if "0" in f"{y.sum()}" else y - 1


class Noting(Tail):
    """Keeps results in containers that others hold."""

    def __init__(self, nn):
        super().__init__(nn)
        self.log = {"out": []}

    def forward(self, x):
        y = self.tail(x)
        self.log["out"].append(y)
        return y


class Labelling(Tail):
    def forward(self, x):
        y = self.tail(x)
        y.label = "pooled"
        return y


# A model, its arguments, and whether it has a block.
MODELS = {
    "augmented assignment": (Augmented, lambda: (images(),), True),
    "None for a tensor": (Optional, lambda: (images(), None), True),
    "a list of tensors": (Listed, lambda: ([images()],), True),
    "dtype of a parameter": (DtypeOfAParameter, lambda: (images().float(),), False),
    "a caught error": (Catching, lambda: (images(),), False),
    "text of a value": (Formatting, lambda: (images(),), False),
    "a list in a dict": (Noting, lambda: (images(),), False),
    "an attribute of the result": (Labelling, lambda: (images(),), False),
}


@pytest.mark.parametrize(("make", "arguments", "is_fused"), MODELS.values(), ids=MODELS)
def test_what_a_graph_does_not_tell(make, arguments, is_fused):
    model = make(torch.nn).double()
    fused = torchconv.fuse(copy.deepcopy(model))
    assert (block_of(fused) is not None) is is_fused
    found = [(each(*arguments()), arguments()) for each in (fused, model)]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert vars(found[0][0]).keys() - {"_torchconv_fused_by"} == vars(found[1][0]).keys()
    torch.testing.assert_close(pickle.loads(pickle.dumps(fused))(*arguments()), found[1][0])


def test_no_placeholder_is_left_in_a_container():
    fused = torchconv.fuse(Noting(torch.nn))
    assert fused.log == {"out": []}
    fused(images().float())
    assert [type(y) for y in fused.log["out"]] == [torch.Tensor]


def test_a_class_that_protects_its_attributes():
    class Strict(Tail):
        def __setattr__(self, name, value):
            assert name != "__class__"
            super().__setattr__(name, value)

        def forward(self, x):
            return self.tail(x)

    model, x = Strict(torch.nn).double(), images()
    expected = model(x)
    torch.testing.assert_close(torchconv.fuse(model)(x), expected)
    assert type(torchconv.unfuse(model)) is Strict


def test_graph_modules_are_pickled():
    model, x = torch.fx.symbolic_trace(Layers(torch.nn).double()), images()
    fused = torchconv.fuse(copy.deepcopy(model))
    assert block_of(fused)._torchconv_fusion.is_intact()
    for each in (fused, pickle.loads(pickle.dumps(fused)), copy.deepcopy(fused)):
        torch.testing.assert_close(each(x), model(x))
