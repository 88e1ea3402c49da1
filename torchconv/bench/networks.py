"""Classic networks, built from the layers of either library.

As published but for dropout, whose random numbers would make two trainings two, and with batch
normalisation from torch on both sides. They end in scores for cross entropy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

_Stack = list[torch.nn.Module]


@dataclass(frozen=True)
class Network:
    """How a network is built, and what it looks at."""

    build: Callable[[ModuleType], torch.nn.Module]
    image: tuple[int, int, int]
    classes: int
    batch: int  # unless asked otherwise


def _dense(nn: ModuleType, *features: int) -> _Stack:
    """Linear layers with ReLU between them."""
    layers: _Stack = [torch.nn.Flatten()]
    for i in range(len(features) - 1):
        layers += [nn.Linear(features[i], features[i + 1]), nn.ReLU()]
    return layers[:-1]


def lenet(nn: ModuleType) -> torch.nn.Module:
    """LeNet-5 with ReLU and max-pooling, for 28 x 28 pixels."""
    return torch.nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        *_dense(nn, 16 * 5 * 5, 120, 84, 10),
    )  # fmt: skip


def alexnet(nn: ModuleType) -> torch.nn.Module:
    """AlexNet of one column (arXiv:1404.5997)."""
    return torch.nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        *_dense(nn, 256 * 6 * 6, 4096, 4096, 1000),
    )  # fmt: skip


def vgg_16(nn: ModuleType) -> torch.nn.Module:
    """VGG with 16 layers, configuration D (arXiv:1409.1556)."""
    layers: _Stack = []
    channels = 3
    for filters, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return torch.nn.Sequential(*layers, *_dense(nn, 512 * 7 * 7, 4096, 4096, 1000))


class _Block(torch.nn.Module):
    """Two convolutions, and the input added to what they find."""

    def __init__(self, nn: ModuleType, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        norm = torch.nn.BatchNorm2d
        self.body = torch.nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, 1, bias=False), norm(filters), nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False), norm(filters),
        )  # fmt: skip
        self.shortcut: torch.nn.Module = torch.nn.Identity()
        if stride > 1:
            shorter = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.shortcut = torch.nn.Sequential(shorter, norm(filters))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def resnet_18(nn: ModuleType) -> torch.nn.Module:
    """ResNet with 18 layers (arXiv:1512.03385)."""
    layers: _Stack = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    channels = 64
    for filters in (64, 128, 256, 512):
        layers.append(_Block(nn, channels, filters, filters // channels))
        layers.append(_Block(nn, filters, filters, 1))
        channels = filters
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), *_dense(nn, 512, 1000))


# What is measured by each subcommand unless asked otherwise.
DEFAULT_NETWORKS = {"net": ("lenet", "alexnet"), "memory": ("lenet", "alexnet", "vgg_16")}

NETWORKS = {
    "lenet": Network(lenet, (1, 28, 28), 10, 64),
    "alexnet": Network(alexnet, (3, 224, 224), 1000, 8),
    "resnet_18": Network(resnet_18, (3, 224, 224), 1000, 8),
    "vgg_16": Network(vgg_16, (3, 224, 224), 1000, 4),
}
