"""How long calls take, measured in turns."""

import gc
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Call = Callable[[], Any]
Name = TypeVar("Name", bound=Hashable)
Timed = TypeVar("Timed")

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


def on_cpu(call: Call) -> float:
    """Seconds of a call; its result is dropped after the clock has stopped."""
    start = time.perf_counter()
    result = call()
    elapsed = time.perf_counter() - start
    del result  # before the next call: its memory is fresh, too
    return elapsed


def interleave(
    calls: Mapping[Name, Timed],
    seconds: float,
    clock: Callable[[Timed], float] = on_cpu,  # type: ignore[assignment]
) -> dict[Name, Times]:
    """Times several calls in turns: A B A B …, so that all of them see the same machine.

    Args:
        calls: What to time.
        seconds: Time for each call; five repetitions are made even if they take longer.
        clock: Makes a call and says how long it took; by default on the CPU.

    Returns:
        Times by the keys of ``calls``.
    """
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
