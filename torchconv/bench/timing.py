"""How long calls take, measured in turns."""

import gc
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

Call = Callable[[], Any]
Name = TypeVar("Name", bound=Hashable)

# The first calls start threads, choose algorithms and fill caches.
_WARM_UP = 2
_LEAST_REPETITIONS = 5


@dataclass(frozen=True)
class Times:
    """Seconds of one call: the median of the repetitions, and the quartiles around it."""

    median: float
    lower: float
    upper: float
    repetitions: int


def interleave(
    calls: Mapping[Name, Call], seconds: float, device: str = "cpu"
) -> dict[Name, Times]:
    """Times several calls in turns: A B A B …, so that all of them see the same machine.

    Args:
        calls: What to time; results are dropped between the measurements.
        seconds: Time for each call; five repetitions are made even if they take longer.
        device: Whose clock counts, ``cpu`` or ``cuda``.

    Returns:
        Times by the keys of ``calls``.
    """
    clock = _seconds_on_cuda if device == "cuda" else _seconds
    for call in calls.values():
        for _ in range(_WARM_UP):
            clock(call)
    samples: dict[Name, list[float]] = {name: [] for name in calls}
    gc.disable()  # a collection would be charged to whoever happens to run
    try:
        rounds, end = 0, time.perf_counter() + seconds * len(calls)
        while rounds < _LEAST_REPETITIONS or time.perf_counter() < end:
            for name, call in calls.items():
                samples[name].append(clock(call))
            rounds += 1
    finally:
        gc.enable()
    return {name: _times(values) for name, values in samples.items()}


def _times(samples: list[float]) -> Times:
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return Times(median, lower, upper, len(samples))


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    result = call()
    elapsed = time.perf_counter() - start
    del result  # after the clock has stopped, and before the next call: its memory is fresh, too
    return elapsed


def _seconds_on_cuda(call: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    result = call()
    end.record()
    torch.cuda.synchronize()
    del result
    return start.elapsed_time(end) * 1e-3
