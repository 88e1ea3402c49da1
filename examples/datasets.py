"""The demo's pictures: what a data set is, scikit-learn's handwritten digits, and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

CLASSES = 10
Arrays = tuple[np.ndarray, np.ndarray]


class DataError(Exception):
    """The pictures cannot be had; the message is one sentence for the user."""


@dataclass(frozen=True)
class Dataset:
    """Pictures `Tensor[count, channels, height, width]` and labels `Tensor[count]`."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @classmethod
    def from_arrays(cls, name: str, train: Arrays, test: Arrays) -> Dataset:
        """Turn integer pixels, scaled to a mean square of 1 as He's weights want it, into tensors.

        Black stays 0, so that what a shift brings into a picture is black, too.
        """
        (train_images, train_labels), (test_images, test_labels) = (
            (torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64))
            for images, labels in (train, test)
        )
        scale = train_images.square().mean().sqrt().clamp(min=1)
        return cls(name, train_images / scale, train_labels, test_images / scale, test_labels)


def load_digits() -> Dataset:
    """Return the 1,797 scanned digits (grey, 8x8) that come with scikit-learn."""
    from sklearn.datasets import load_digits as load_scans
    from sklearn.model_selection import train_test_split

    pixels, labels = load_scans(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8)
    # Always the same split, whatever the seed of the training: all runs take the same test.
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    return Dataset.from_arrays("digits", (split[0], split[2]), (split[1], split[3]))


def shift_randomly(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move every picture by up to an eighth of its height, so that no two epochs are the same.

    Args:
        images: `Tensor[batch, channels, height, width]`, black being 0.
        generator: The source of the random numbers.
    """
    batch, _, height, width = images.shape
    reach = height // 8
    padded = functional.pad(images, (reach, reach, reach, reach))
    down, right = torch.randint(2 * reach + 1, (2, batch, 1, 1), generator=generator)
    rows, columns = down + torch.arange(height)[:, None], right + torch.arange(width)
    moved = padded[torch.arange(batch)[:, None, None], :, rows, columns]
    return moved.movedim(-1, 1).contiguous()


def batches(
    data: Dataset, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of shuffled, shifted pictures and their labels, `size` at a time."""
    for chosen in torch.randperm(len(data.train_labels), generator=generator).split(size):
        yield shift_randomly(data.train_images[chosen], generator), data.train_labels[chosen]
