"""Models for the tests of fuse in which it finds blocks.

Every model takes images of 3 channels and 14 x 14 pixels. ``nn`` is torch.nn or torchconv.nn.
"""

from typing import Annotated

import torch
from torch.nn import functional

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


class Finish(torch.nn.Module):
    def forward(self, x):
        return functional.max_pool2d(functional.relu(x), 2)


def watched_block(nn):
    """A hook sees what comes out at its end."""
    model = Sequential(plain(nn)[:3], *head())
    model[0].register_forward_hook(nothing)
    return model


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
