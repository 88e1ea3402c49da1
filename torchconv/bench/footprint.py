"""What a training step takes in memory, measured in this process: a new one, for each network.

The first step starts libraries and chooses algorithms; the second one, of the same batch, counts.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from torchconv.bench import child, resident, saved
from torchconv.bench.networks import NETWORKS
from torchconv.bench.training import Training

# Of the process. glibc then maps what is larger, and unmaps it when it is freed. Left alone it
# raises the bound up to 32 MiB and keeps what is freed below, so that the order of calls would
# decide on the peak.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "131072"}


@dataclass(frozen=True)
class Footprint:
    """What one side takes, in bytes; None where the system does not tell.

    ``before`` is resident as the step begins, with parameters and images, but without gradients.
    Without ``reset``, ``peak`` is that of all that the process has done.
    """

    loss: float
    saved: int
    before: int | None
    peak: int | None
    reset: bool


def serve() -> None:
    """What the process does."""
    child.serve(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`Footprint`, or ``failure``."""
    try:
        return asdict(_measure(**request))
    except Exception as error:  # whatever it is, the report tells it
        return {"failure": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}


def _measure(name: str, side: str, batch: int, layout: str, dtype: str, threads: int) -> Footprint:
    torch.set_num_threads(threads)
    torch.manual_seed(0)  # every side gets the same images and parameters
    images = torch.randn(batch, *NETWORKS[name].image).to(getattr(torch, dtype))
    labels = torch.randint(NETWORKS[name].classes, (batch,))
    training = Training(name, side, images, labels, layout)
    del images  # the network has its own, if they are in another layout
    loss = training.gradients().item()
    training.optimizer.step()
    training.optimizer.zero_grad()  # as a step begins, too
    resident.return_free_memory()
    before = resident.now()
    reset = resident.reset_peak()
    training.step()
    return Footprint(loss, saved_bytes(training), before, resident.peak(), reset)


def saved_bytes(training: Training) -> int:
    """Bytes that autograd keeps from forward to backward, of each storage once and all.

    Parameters and buffers do not count, nor do their views: the network has them anyway. The images
    do.
    """
    network = training.network
    return saved.saved_bytes(training.loss, (*network.parameters(), *network.buffers()))
