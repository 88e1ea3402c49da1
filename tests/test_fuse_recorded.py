"""Forwards with effects that a graph does not record, or with inputs other than tensors."""

import copy
import pickle

import numpy
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
        x *= 2
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
        return y * 2 if "." in f"{y.sum()}" else y


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


class Unpacking(Tail):
    def forward(self, x):
        n, channels, *_ = x.shape
        first, second = torch.split(x, 1, dim=0)
        return self.tail(x).view(n, -1) + (first - second).sum() * channels


class Extending(Tail):
    """A list that a size extends in place."""

    def forward(self, x):
        y = self.tail(x)
        same = sizes = [2, 3]
        sizes += y.shape[2:]
        return y * len(same)


class InASet(Tail):
    def forward(self, x):
        y = self.tail(x)
        return y if y.dim() in {3, 4} else y * 0


class Representing(Tail):
    def forward(self, x):
        torch._assert(x.shape[1] == 3, f"{x.shape=}")
        return self.tail(x)


class Products(Tail):
    """As in lectures on LeNet."""

    def forward(self, x):
        y = self.tail(x)
        return y.view(-1, numpy.prod(y.shape[1:]))


# A model, its arguments, and whether it has a block.
MODELS = {
    "values unpacked": (Unpacking, lambda: (images(),), False),
    "a list extended by a size": (Extending, lambda: (images(),), False),
    "a size in a set": (InASet, lambda: (images(),), False),
    "repr of a size": (Representing, lambda: (images(),), False),
    "NumPy's product of sizes": (Products, lambda: (images(),), False),
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
    given, expected = arguments(), arguments()
    out, expected_out = fused(*given), model(*expected)
    torch.testing.assert_close(out, expected_out)
    torch.testing.assert_close(given, expected)  # which a forward may change
    assert vars(out).keys() - {"_torchconv_fused_by"} == vars(expected_out).keys()
    torch.testing.assert_close(pickle.loads(pickle.dumps(fused))(*arguments()), expected_out)


class TwoHalves(Tail):
    def forward(self, x, original):
        first, second = torch.split(x, 1)
        return self.tail(first + second) + original


def test_errors_are_those_of_the_forward():
    model = TwoHalves(torch.nn)
    fused, x = torchconv.fuse(copy.deepcopy(model)), images().float()
    assert block_of(fused) is not None
    one = torch.ones(1)
    torch.testing.assert_close(fused(x, original=one), model(x, original=one))
    for arguments in [(x[:1], one), (torch.cat([x, x]), one), (), (x, one, one)]:
        texts = []
        for each in (model, fused):
            with pytest.raises((ValueError, TypeError)) as error:
                each(*arguments)
            texts.append(f"{error.type} {error.value}")
        assert texts[0] == texts[1]


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


def whole_graph():
    return torch.fx.symbolic_trace(Layers(torch.nn).double())


def part_of_a_chain():
    first = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    return torch.nn.Sequential(torch.fx.symbolic_trace(first), torch.nn.MaxPool2d(2)).double()


@pytest.mark.parametrize("make", [whole_graph, part_of_a_chain])
def test_graph_modules_are_copied_and_pickled(make):
    model, x = make(), images()
    fused = torchconv.fuse(copy.deepcopy(model))
    assert block_of(fused)._torchconv_fusion.is_intact()
    loaded = pickle.loads(pickle.dumps(fused))
    assert block_of(loaded)._torchconv_fusion.is_intact()
    for each in (fused, loaded, copy.deepcopy(fused)):
        torch.testing.assert_close(each(x), model(x))
