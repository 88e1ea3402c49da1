"""Models for the tests of fuse: those in which it finds blocks, and those that it must leave alone.

Every model takes images of 3 channels and 14 x 14 pixels. ``nn`` is torch.nn or torchconv.nn.
"""

import functools
import random
from typing import Annotated

import numpy
import torch
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import torchconv
from torchconv import PoolWindow

Sequential = torch.nn.Sequential


def conv(nn, channels=3, **options):
    return nn.Conv2d(channels, 4, 3, **options)


def head():
    return [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)]


def plain(nn, act="ReLU", act_options=(), pool=(2,), **options):
    return Sequential(
        conv(nn, **options), getattr(nn, act)(*act_options), nn.MaxPool2d(*pool), *head()
    )


# ---- Sequentials -------------------------------------------------------------------------------


def vgg(nn):
    layers, channels = [], 3
    for width in (4, "M", 8, 8, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return Classifier(
        Sequential(*layers), Sequential(nn.Linear(72, 8), nn.ReLU(), torch.nn.Dropout(0))
    )


def alexnet(nn):
    features = Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 1, 1),
        nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 1),
    )  # fmt: skip
    return Classifier(features, nn.Linear(32, 5))


def nested(nn):
    return Sequential(Sequential(conv(nn), Sequential(nn.Sigmoid())), nn.MaxPool2d(2), *head())


def shared_layers(nn):
    relu, pool = nn.ReLU(), nn.MaxPool2d(2)
    return Sequential(conv(nn), relu, pool, conv(nn, 4), relu, pool, *head())


def partly_shared(nn):
    relu = nn.ReLU()
    return Sequential(conv(nn), relu, nn.MaxPool2d(2), relu, *head())


# ---- modules with a forward of their own -------------------------------------------------------


class Classifier(torch.nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Untraceable(Classifier):
    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return super().forward(x)


class Layers(torch.nn.Module):
    """conv, act, pool and head, on which subclasses call what they like."""

    def __init__(self, nn):
        super().__init__()
        self.conv, self.act, self.pool = conv(nn), nn.ReLU(), nn.MaxPool2d(2)
        self.conv2 = conv(nn, 4)
        self.head = Sequential(*head())

    def forward(self, x):
        return self.head(self.pool(self.act(self.conv(x))))


class Twice(Layers):
    """Layers for two convolutions, and one of them also for something else."""

    def forward(self, x):
        x = self.pool(self.act(self.conv(x)))
        return self.act(self.head(self.pool(self.act(self.conv2(x)))))


class Tutorial(Layers):
    """As in torch's tutorials: functions, and one pooling for all."""

    def forward(self, x):
        x = self.pool(functional.relu(self.conv(x)))
        x = functional.relu(self.conv2(x))
        x = functional.max_pool2d(x, (2, 1), stride=1)
        x = functional.dropout(x, 0.5, self.training)
        return functional.relu(self.head(x))


class Torch(Layers):
    def forward(self, x: Annotated[torch.Tensor, "batch channels height width"]) -> torch.Tensor:
        x = torch.max_pool2d(torch.sigmoid(self.conv(x)), 3, 2, ceil_mode=True)
        return self.head(torch.max_pool2d(torch.relu(self.conv2(x)), kernel_size=[2, 2]))


class Scaled(Layers):
    """A tensor that is neither parameter nor buffer is read in each call."""

    def __init__(self, nn):
        super().__init__(nn)
        self.scale = torch.tensor(0.25)

    def forward(self, x):
        self.scale.neg_()
        return self.head(self.pool(functional.relu(self.conv(x * (self.scale * 2)))))


class Methods(Layers):
    def forward(self, x):
        x = self.pool(self.conv(x).relu())
        x = self.pool(self.conv2(x).sigmoid_())
        return self.head(x) + self.pool(x).mean()


class Ours(Layers):
    def forward(self, x):
        x = torchconv.max_pool2d(torchconv.relu(self.conv(x), True), 2, padding=1)
        x = torchconv.max_pool2d(torchconv.sigmoid(self.conv2(x)), kernel_size=2)
        return self.head(x)


class InPlace(Layers):
    def forward(self, x):
        return self.head(functional.max_pool2d(functional.relu(self.conv(x), inplace=True), 2))


class Siamese(Layers):
    def forward(self, x):
        both = [self.pool(self.act(self.conv(half))) for half in (x, -x)]
        return self.head(both[0] + both[1])


class ConvAct(torch.nn.Module):
    def __init__(self, nn, channels=3):
        super().__init__()
        self.conv, self.act = conv(nn, channels), nn.ReLU()

    def forward(self, x):
        return self.act(self.conv(x))


class Block(ConvAct):
    def forward(self, x):
        return functional.max_pool2d(torch.relu(self.conv(x)), 2)


class Children(torch.nn.Module):
    """A block by functions, one by layers across a border, and one in a list."""

    def __init__(self, nn):
        super().__init__()
        self.block, self.conv_act, self.pool = Block(nn), ConvAct(nn, 4), nn.MaxPool2d(2)
        self.rest = torch.nn.ModuleList([conv(nn, 4, padding=1), nn.Sigmoid(), nn.MaxPool2d(2)])
        self.head = Sequential(*head())

    def forward(self, x):
        x = self.pool(self.conv_act(self.block(x)))
        for layer in self.rest:
            x = layer(x)
        return self.head(x)


class ActivationOutside(Layers):
    """Only a new forward can leave out the function, and only a layer can the pooling."""

    def __init__(self, nn):
        super().__init__(nn)
        self.stem = Sequential(self.conv)

    def forward(self, x):
        return self.head(self.pool(functional.relu(self.stem(x))))


class Frozen(Classifier):
    """What the tracer does not see is no reason to leave out what is inside."""

    def forward(self, x):
        with torch.no_grad():
            x = self.features(x)
        return self.classifier(torch.flatten(x, 1))


class Sliced(Classifier):
    def forward(self, x):
        return self.classifier(torch.flatten(self.features[2:](self.features[:2](x)), 1))


class PoolFirst(Layers):
    def forward(self, x):
        return self.head(functional.relu(functional.max_pool2d(self.conv(x), 2)))


def classified(cls):
    return lambda nn: cls(Sequential(conv(nn), nn.ReLU(), nn.MaxPool2d(2)), nn.Linear(144, 5))


# ---- what must be left alone -------------------------------------------------------------------


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


class Finish(torch.nn.Module):
    def forward(self, x):
        return functional.max_pool2d(functional.relu(x), 2)


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


def watched_block(nn):
    """A hook sees what comes out at its end."""
    model = Sequential(plain(nn)[:3], *head())
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


def nothing(*_):
    return None


# name -> how to make the model, and what is fused in it
FUSED = {
    "relu": (plain, {"0": ("relu", 2)}),
    "relu in place": (lambda nn: plain(nn, act_options=(True,)), {"0": ("relu", 2)}),
    "sigmoid": (lambda nn: plain(nn, "Sigmoid"), {"0": ("sigmoid", 2)}),
    "no activation": (lambda nn: Sequential(conv(nn), nn.MaxPool2d((2, 1)), *head()),
                      {"0": (None, (2, 1))}),
    "activation after pooling": (PoolFirst, {"conv": (None, 2)}),
    "pooling with all arguments": (lambda nn: plain(nn, pool=(3, 2, 1, (1, 2), False, True)),
                                   {"0": ("relu", PoolWindow(3, 2, 1, (1, 2), True))}),
    **{f"padding {mode}": (lambda nn, mode=mode: plain(nn, padding=(1, 2), padding_mode=mode),
                           {"0": ("relu", 2)})
       for mode in ("zeros", "reflect", "replicate", "circular")},
    "padding same": (lambda nn: plain(nn, padding="same", dilation=2), {"0": ("relu", 2)}),
    "stride, no bias": (lambda nn: plain(nn, stride=2, bias=False), {"0": ("relu", 2)}),
    "vgg": (vgg, {"features.0": ("relu", 2), "features.5": ("relu", 2)}),
    "alexnet": (alexnet, {"features.0": ("relu", PoolWindow(3, 2)),
                          "features.3": ("relu", PoolWindow(3, 1, 1)),
                          "features.8": ("relu", PoolWindow(2, 1))}),
    "nested Sequentials": (nested, {"0.0": ("sigmoid", 2)}),
    "shared layers": (shared_layers, {"0": ("relu", 2), "3": ("relu", 2)}),
    "inside an untraceable model": (classified(Untraceable), {"features.0": ("relu", 2)}),
    "under no_grad": (classified(Frozen), {"features.0": ("relu", 2)}),
    "in a sliced Sequential": (classified(Sliced), {"features.0": ("relu", 2)}),
    "with a hook": (watched_block, {"0.0": ("relu", 2)}),
    "in DataParallel": (lambda nn: torch.nn.DataParallel(plain(nn)), {"module.0": ("relu", 2)}),
    "layers": (Layers, {"conv": ("relu", 2)}),
    "layers used twice": (Twice, {"conv": ("relu", 2), "conv2": ("relu", 2)}),
    "chain used twice": (Siamese, {"conv": ("relu", 2)}),
    "children": (Children, {"block.conv": ("relu", 2), "conv_act.conv": ("relu", 2),
                            "rest.0": ("sigmoid", 2)}),
    "activation outside": (ActivationOutside, {"conv": ("relu", 2)}),
    "tutorial": (Tutorial, {"conv": ("relu", 2), "conv2": ("relu", PoolWindow((2, 1), 1))}),
    "torch's functions": (Torch, {"conv": ("sigmoid", PoolWindow(3, 2, ceil_mode=True)),
                                  "conv2": ("relu", 2)}),
    "tensor in an attribute": (Scaled, {"conv": ("relu", 2)}),
    "methods": (Methods, {"conv": ("relu", 2), "conv2": ("sigmoid", 2)}),
    "our functions": (Ours, {"conv": ("relu", PoolWindow(2, padding=1)), "conv2": ("sigmoid", 2)}),
    "functions in place": (InPlace, {"conv": ("relu", 2)}),
}  # fmt: skip

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
