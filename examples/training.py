"""One training: the LeNet-style network, its first weights, its steps, and what they gave."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from argparse import Namespace
from dataclasses import dataclass
from types import ModuleType

import torch
from datasets import CLASSES, Dataset, batches
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

FILTERS = 32  # of the first block; every further block has twice as many
HIDDEN = 128
WARM_UP = 10  # steps that are not timed: they start threads and fill caches


@dataclass(frozen=True)
class Run:
    """What one training gave: the loss and the seconds of every step, and the results."""

    losses: list[float]
    seconds: list[float]
    final_loss: float
    accuracy: float

    @property
    def step(self) -> float:
        """The median time of a step in milliseconds, without the warm-up."""
        return 1000 * statistics.median(self.seconds[WARM_UP:] or self.seconds)


def build_network(
    layers: ModuleType, shape: torch.Size, convs: int, blocks: int, fully_connected: int
) -> torch.nn.Sequential:
    """Build `[(CONV-RELU)*N-POOL]*M-(FC-RELU)*K` and a last FC, whose scores go to the softmax.

    The softmax is not a layer here: the cross-entropy loss contains it.

    Args:
        layers: The library of the layers, `torchconv.nn` or `torch.nn`.
        shape: Channels, height and width of a picture.
        convs: The N of the form: convolutions per block, which keep the size of the picture.
        blocks: The M of the form: blocks, each of which ends by halving the picture.
        fully_connected: The K of the form: hidden layers after the blocks.

    Returns:
        The network, from `Tensor[batch, channels, height, width]` to `Tensor[batch, CLASSES]`.
    """
    channels, height, width = shape
    stack = []
    for block in range(blocks):
        filters = FILTERS * 2**block
        for _ in range(convs):
            stack += [layers.Conv2d(channels, filters, kernel_size=3, padding=1), layers.ReLU()]
            channels = filters
        stack.append(layers.MaxPool2d(kernel_size=2))
    stack.append(torch.nn.Flatten())
    features = channels * (height >> blocks) * (width >> blocks)
    for _ in range(fully_connected):
        stack += [layers.Linear(features, HIDDEN), layers.ReLU()]
        features = HIDDEN
    return torch.nn.Sequential(*stack, layers.Linear(features, CLASSES))


def initial_weights(network: torch.nn.Module, seed: int) -> dict[str, Tensor]:
    """Return He's weights, with which signals keep their size through ReLU, and zero biases."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for value in state.values():
        if value.dim() > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu", generator=generator)
    return state


@torch.no_grad()
def accuracy_of(network: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the fraction of the pictures whose highest score is that of the right class."""
    scores = torch.cat([network(part) for part in images.split(1000)])
    return (scores.argmax(dim=1) == labels).double().mean().item()


def train(name: str, network: torch.nn.Module, data: Dataset, options: Namespace) -> Run:
    """Train a network from the start; the seed alone decides about weights and batches.

    Args:
        name: What the progress bar calls it.
        network: The network, whose weights are replaced by the initial ones of the seed.
        data: The pictures to learn from and to test with.
        options: `seed`, `epochs`, `batch_size` and `lr`, the first learning rate.
    """
    network.load_state_dict(initial_weights(network, options.seed))
    generator = torch.Generator().manual_seed(options.seed)
    steps = math.ceil(len(data.train_labels) / options.batch_size)
    optimizer = torch.optim.SGD(network.parameters(), lr=options.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * steps)
    losses, seconds, accuracy = [], [], math.nan
    # disable=None: no bar where the output is no terminal, but a line now and then.
    # ncols: a terminal that does not know its width would show nothing.
    width = shutil.get_terminal_size().columns
    with tqdm(
        total=options.epochs * steps, desc=name, unit="step", ncols=width, disable=None
    ) as bar:
        for epoch in range(1, options.epochs + 1):
            for images, labels in batches(data, options.batch_size, generator):
                # Only what the libraries differ in is timed, not the making of the batch.
                start = time.perf_counter()
                optimizer.zero_grad()
                loss = functional.cross_entropy(network(images), labels)
                loss.backward()
                optimizer.step()
                seconds.append(time.perf_counter() - start)
                schedule.step()
                losses.append(loss.item())
                known = {} if math.isnan(accuracy) else {"accuracy": accuracy}
                bar.set_postfix(loss=losses[-1], **known, refresh=False)
                bar.update()
            accuracy = accuracy_of(network, data.test_images, data.test_labels)
            mean = statistics.fmean(losses[-steps:])
            bar.set_postfix(loss=mean, accuracy=accuracy)
            if bar.disable and epoch % math.ceil(options.epochs / 5) == 0:
                print(f"{name} epoch {epoch}: loss {mean:.4f}, test accuracy {accuracy:.4f}")
    return Run(losses, seconds, mean, accuracy)
