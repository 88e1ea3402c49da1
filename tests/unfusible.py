"""Models for the tests of fuse with a chain that it must leave alone.

Every model takes images of 3 channels and 14 x 14 pixels. ``nn`` is torch.nn or torchconv.nn.
"""

import functools
import random

import numpy
import torch
from fusible import (
    Classifier,
    ConvAct,
    Finish,
    Layers,
    Sequential,
    Tutorial,
    Untraceable,
    classified,
    conv,
    head,
    nested,
    nothing,
    partly_shared,
    plain,
)
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import torchconv


class MyConv2d(torch.nn.Conv2d):
    pass


class MyReLU(torch.nn.ReLU):
    pass


class MyMaxPool2d(torch.nn.MaxPool2d):
    pass


class ResultUsedAgain(Layers):
    def forward(self, x):
        y = self.act(self.conv(x))
        return self.head(self.pool(y)) + y.mean()


class ResultReturned(Layers):
    def forward(self, x):
        y = self.conv(x)
        return self.head(self.pool(self.act(y))), y


class ResultWrittenElsewhere(Layers):
    def __init__(self, nn):
        super().__init__(nn)
        self.register_buffer("out", torch.empty(2, 4, 12, 12))
        self.requires_grad_(False)  # or torch would write no result into a given tensor

    def forward(self, x):
        return self.head(self.pool(torch.sigmoid(self.conv(x), out=self.out)))


class OverwrittenResultUsed(Layers):
    def forward(self, x):
        y = self.conv(x)
        y.relu_()
        return self.head(self.pool(y))


class ConvolutionCalledAgain(Layers):
    def forward(self, x):
        return super().forward(x) + self.conv(x).mean()


class DifferentChains(Layers):
    def forward(self, x):
        return super().forward(x) + self.head(self.pool(self.conv(x)))


class Tapped(Classifier):
    def forward(self, x):
        return super().forward(x) + self.features[0](x).mean()


class TappedOnTheWay(Classifier):
    def forward(self, x):
        results = []
        for layer in self.features:
            x = layer(x)
            results.append(x.mean())
        return self.classifier(torch.flatten(x, 1)) + sum(results)


class SharedWithUntraceable(Untraceable):
    """Nobody can know when this forward calls the pooling of ``features``."""

    def __init__(self, features, classifier):
        super().__init__(features, classifier)
        self.pool = features[2]


class FunctionsCalledElsewhere(Layers):
    """Both calls run the same lines, but only one has a convolution before it."""

    def __init__(self, nn):
        super().__init__(nn)
        self.finish = Finish()

    def forward(self, x):
        return self.head(self.finish(self.conv(x))) + self.finish(x).mean()


class Resize(torch.nn.Module):
    def forward(self, x, shape):
        return x.reshape(shape)


class CallsThatMove(Layers):
    """x.shape is read where it is first used, which is in one forward or in the other."""

    def __init__(self, nn):
        super().__init__(nn)
        self.resize = Resize()

    def forward(self, x):
        x = self.resize(x, x.shape)
        return self.head(self.pool(functional.relu(self.conv(x))))


class Indices(Layers):
    def forward(self, x):
        x, _ = functional.max_pool2d(functional.relu(self.conv(x)), 2, return_indices=True)
        return self.head(x)


class IndicesOnTheQuiet(Layers):
    def forward(self, x):
        return self.head(torchconv.max_pool2d(self.act(self.conv(x)), 2, return_indices=True)[0])


class DifferentInTraining(Layers):
    def forward(self, x):
        x = functional.relu(self.conv(x))
        return self.head(self.pool(x) if self.training else x)


class HalfFrozen(Layers):
    def forward(self, x):
        x = self.conv(x)
        with torch.no_grad():
            x = self.pool(functional.relu(x))
        return self.head(x)


class Checkpointed(Layers):
    def forward(self, x):
        def block(x):
            return self.pool(functional.relu(self.conv(x)))

        return self.head(torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False))


class Trying(torch.nn.Module):
    """What goes wrong with placeholders goes right with tensors."""

    def __init__(self, nn):
        super().__init__()
        self.block, self.conv, self.pool = UntraceableBlock(nn), conv(nn), nn.MaxPool2d(2)

    def forward(self, x):
        try:
            return self.block(x)
        except Exception:
            return self.pool(functional.relu(self.conv(x)))


class UntraceableBlock(ConvAct):
    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else x


class Random(Layers):
    def __init__(self, nn, draw):
        super().__init__(nn)
        self.draw = draw

    def forward(self, x):
        x = functional.relu(self.conv(x))
        return self.head(self.pool(x) if self.draw() < 2 else x)


def draw_from_torch():
    return torch.rand(()).item()


class Counting(Layers):
    def __init__(self, nn):
        super().__init__(nn)
        self.calls, self.seen = 0, []

    def forward(self, x):
        self.calls += 1
        self.seen.append(self.calls)
        return self.head(self.pool(functional.relu(self.conv(x))))


class Keeping(Layers):
    def forward(self, x):
        self.features = functional.relu(self.conv(x))
        return self.head(self.pool(self.features))


class CountingInABuffer(Layers):
    def __init__(self, nn):
        super().__init__(nn)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.head(self.pool(functional.relu(self.conv(x))))


class SometimesMasked(Layers):
    def forward(self, x, mask=None):
        if mask is not None:
            x = x * mask
        return self.head(self.pool(functional.relu(self.conv(x))))


class InputCalledSelf(Layers):
    def forward(this, self):
        return this.head(this.pool(functional.relu(this.conv(self))))


class DropoutBetween(Layers):
    def forward(self, x):
        return self.head(self.pool(functional.dropout(functional.relu(self.conv(x)), 0.0)))


class OwnCopy(Tutorial):
    def __deepcopy__(self, memo):
        copy = type(self)(torch.nn)
        copy.load_state_dict(self.state_dict())
        return copy.to(self.conv.weight.dtype)


def twice(forward):
    @functools.wraps(forward)
    def call(self, x):
        return forward(self, x) * 2

    return call


class Decorated(Tutorial):
    @twice
    def forward(self, x):
        return super().forward(x)


class Registered(Layers):
    subclasses = []  # noqa: RUF012

    def __init_subclass__(cls):
        Registered.subclasses.append(cls)

    def forward(self, x):
        return self.head(self.pool(functional.relu(self.conv(x))))


class SharedConvolution(Untraceable):
    def __init__(self, features, classifier):
        super().__init__(features, classifier)
        self.conv = features[0]


def watched(nn):
    """A hook sees what comes out in the middle of a chain."""
    model = nested(nn)
    model[0].register_forward_hook(nothing)
    return model


def replaced_forward(nn):
    model = Tutorial(nn)
    model.forward = model.head[0].forward
    return model


def changed(change, at=0):
    """A Sequential with something done to one of its three layers."""

    def make(nn):
        model = plain(nn)
        change(model[at])
        return model

    return make


def keep_forward(layer):
    layer.forward = type(layer).forward.__get__(layer)


HOOKS = ("forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook")
LEFT_ALONE = {
    "convolution alone": conv,
    "no pooling": lambda nn: Sequential(conv(nn), nn.ReLU(), *head()),
    "no convolution": lambda nn: Sequential(nn.ReLU(), nn.MaxPool2d(2)),
    "another activation": lambda nn: Sequential(conv(nn), torch.nn.GELU(), nn.MaxPool2d(2)),
    "another pooling": lambda nn: Sequential(conv(nn), nn.ReLU(), torch.nn.AvgPool2d(2)),
    "norm between": lambda nn: Sequential(conv(nn), torch.nn.BatchNorm2d(4), nn.ReLU(),
                                          nn.MaxPool2d(2)),
    "dropout between": DropoutBetween,
    "functions called elsewhere": FunctionsCalledElsewhere,
    "calls that move": CallsThatMove,
    "indices": lambda nn: Sequential(conv(nn), nn.ReLU(), nn.MaxPool2d(2, return_indices=True)),
    "indices of a function": Indices,
    "indices that nobody takes": IndicesOnTheQuiet,
    **{f"{hook} at {at}": changed(lambda m, hook=hook: getattr(m, f"register_{hook}")(nothing), at)
       for hook in HOOKS for at in range(3)},
    "a forward of its own": changed(keep_forward, 1),
    "weight_norm": changed(parametrizations.weight_norm),
    "spectral_norm": changed(parametrizations.spectral_norm),
    "weight_norm by hooks": changed(torch.nn.utils.weight_norm),
    "pruning": changed(lambda m: prune.l1_unstructured(m, "weight", 0.5)),
    "class of one's own": lambda nn: Sequential(MyConv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "activation of one's own": lambda nn: Sequential(conv(nn), MyReLU(), MyMaxPool2d(2)),
    "pooling of one's own": lambda nn: Sequential(conv(nn), nn.ReLU(), MyMaxPool2d(2)),
    "attribute of the same name": changed(lambda m: setattr(m, "pool", 3)),
    "activation used elsewhere": partly_shared,
    "result used again": ResultUsedAgain,
    "result returned": ResultReturned,
    "result written elsewhere": ResultWrittenElsewhere,
    "overwritten result used": OverwrittenResultUsed,
    "convolution called again": ConvolutionCalledAgain,
    "different chains": DifferentChains,
    "part of a Sequential called": classified(Tapped),
    "layers of a Sequential called": classified(TappedOnTheWay),
    "convolution of an untraceable module": classified(SharedConvolution),
    "layer of an untraceable module": classified(SharedWithUntraceable),
    "errors caught": Trying,
    "control flow by training": DifferentInTraining,
    "a part under no_grad": HalfFrozen,
    "checkpoint": Checkpointed,
    **{f"random numbers of {draw.__module__}": (lambda nn, draw=draw: Random(nn, draw))
       for draw in (random.random, numpy.random.random, draw_from_torch)},
    "attributes changed": Counting,
    "result kept in an attribute": Keeping,
    "buffer changed": CountingInABuffer,
    "default argument": SometimesMasked,
    "argument called self": InputCalledSelf,
    "own way of being copied": OwnCopy,
    "decorated": Decorated,
    "subclasses are noted": Registered,
    "hook inside": watched,
    "forward replaced": replaced_forward,
}  # fmt: skip
