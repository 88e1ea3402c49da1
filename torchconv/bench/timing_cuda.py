"""How long calls take on a GPU, without the launches and without what its cache still holds.

Calls are captured in a CUDA graph, which the GPU runs without waiting for the CPU. Each call of a
graph has input tensors of its own, and all of them together are larger than twice the L2 cache:
when their turn comes again, they are no longer there. The memory of a result is used again by the
next call, as in a program.
"""

import gc
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from torchconv.bench.timing import Call, Times, interleave

Name = TypeVar("Name", bound=Hashable)

LEAST_SETS, _MOST_SETS = 3, 128
_CACHES = 2  # how often the inputs of all sets would fill the L2 cache
SHARE = 0.25  # of the free memory, for the inputs
_WARM_UP = 3
_LEAST_SECONDS = 2e-3  # of a graph: launching it takes a few microseconds, between the events, too
_MOST_CALLS = 2048  # in a graph


class CaptureError(RuntimeError):
    """Calls that cannot be captured: why, in one sentence."""


def number_of_sets(set_bytes: int, cache_bytes: int, free_bytes: int) -> int:
    """How many sets of inputs take turns: enough to leave the cache, not more than fit in memory.

    Three are made even where memory is short, and 128 at most.
    """
    enough = math.ceil(_CACHES * cache_bytes / set_bytes) + 1
    affordable = int(SHARE * free_bytes) // set_bytes
    return max(LEAST_SETS, min(_MOST_SETS, enough, affordable))


def interleave_graphs(calls: Mapping[Name, Sequence[Call]], seconds: float) -> dict[Name, Times]:
    """Times calls in turns, as :func:`torchconv.bench.timing.interleave` does, on the GPU.

    Args:
        calls: What to time: the same call on several sets of inputs.
        seconds: Time for each entry; five repetitions are made even if they take longer.

    Returns:
        Times of one call by the keys of ``calls``.

    Raises:
        CaptureError: If calls cannot be captured.
    """
    # All graphs find their results in the same memory: none runs while another does.
    pool = torch.cuda.graph_pool_handle()
    graphs = {name: _Graph(sets, pool) for name, sets in calls.items()}
    return interleave(graphs, seconds, _Graph.seconds)


class _Graph:
    """Captured calls, which are made over and over until the clock can see them."""

    def __init__(self, calls: Sequence[Call], pool: Any) -> None:
        self._calls = calls  # whose inputs the graph reads
        _warm_up(calls[0])
        self._rounds = 1
        self._graph = self._capture(pool)
        self.seconds()
        once = max(self.seconds() * len(calls), 1e-6)
        rounds = min(math.ceil(_LEAST_SECONDS / once), _MOST_CALLS // len(calls))
        if rounds > 1:
            self._rounds = rounds
            self._graph = self._capture(pool)

    def seconds(self) -> float:
        """Of one call: the mean over the graph."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        self._graph.replay()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) * 1e-3 / (self._rounds * len(self._calls))

    def _capture(self, pool: Any) -> "torch.cuda.CUDAGraph":
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        try:
            with _no_collection(), torch.cuda.graph(graph, pool=pool):
                for _ in range(self._rounds):
                    for call in self._calls:
                        call()  # the result is dropped, and its memory is the next one's
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # which a capture that fails may leave changed
            first = _first(error)
            raise CaptureError(f"cannot be captured in a CUDA graph: {first}") from None
        return graph


def _warm_up(call: Call) -> None:
    """Makes a call a few times beside the main stream: libraries start and choose algorithms."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the collector from freeing an older graph, which a capture does not survive."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _first(error: BaseException) -> str:
    """What went wrong first, in one line: the end of a capture complains of it once more."""
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return str(error).partition("\n")[0]
