"""Measures what README.md says of memory: bytes kept for backward, and pages of large results."""

import statistics
import time
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

import torchconv


def bytes_kept(layers: ModuleType) -> float:
    """Bytes that conv → relu → max-pool keeps for backward, per element that conv puts out.

    Parameters and the block's input are not counted: they would be there anyway.
    """
    conv = layers.Conv2d(3, 64, 3, padding=1)
    block = torch.nn.Sequential(conv, layers.ReLU(), layers.MaxPool2d(2))
    images = torch.randn(4, 3, 64, 64)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        block(images)
    for tensor in (images, *block.parameters()):
        kept.pop(tensor.data_ptr(), None)
    return sum(kept.values()) / conv(images).numel()


def milliseconds(call: Callable[[], Tensor], repeats: int = 7) -> float:
    """Median time of a call whose result is thrown away, without the first."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
        del result  # before the next call: every result is fresh memory
    return 1000 * statistics.median(seconds[1:])


def main() -> None:
    """Prints the figures."""
    for name, layers in (("torchconv", torchconv.nn), ("torch", torch.nn)):
        print(f"{name:9} keeps {bytes_kept(layers):.2f} bytes per convolution output")
    x = torch.randn(64_000_000)
    print(f"torchconv sigmoid of 256 MB: {milliseconds(lambda: torchconv.sigmoid(x)):.0f} ms")
    with torchconv.backends.huge_pages(False):
        print(f"  without huge pages: {milliseconds(lambda: torchconv.sigmoid(x)):.0f} ms")
    print(f"torch     sigmoid of 256 MB: {milliseconds(lambda: torch.sigmoid(x)):.0f} ms")


if __name__ == "__main__":
    main()
