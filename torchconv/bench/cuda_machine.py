"""The GPU in use: what it is, how fast it copies, and how torch is told to use it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from torchconv.bench.timing_cuda import LEAST_SETS, SHARE, interleave_graphs, number_of_sets

_COPY_BYTES = 1 << 29  # of each of the tensors that are copied
_DRIVER = ("--query-gpu=driver_version", "--format=csv,noheader")


def gpu() -> dict[str, Any]:
    """Name, versions of CUDA and of the driver, and the size of the L2 cache in MiB."""
    properties: Any = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "gpu": properties.name,
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "l2_mib": properties.L2_cache_size >> 20,
    }


def _driver() -> str:
    if (program := shutil.which("nvidia-smi")) is None:
        return "unknown"
    try:
        found = subprocess.run([program, *_DRIVER], capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "unknown"
    lines = found.stdout.split()
    return lines[0] if found.returncode == 0 and lines else "unknown"


def sets_here(set_bytes: int) -> int:
    """How many sets of inputs take turns, of so many bytes each."""
    properties: Any = torch.cuda.get_device_properties(torch.cuda.current_device())
    torch.cuda.empty_cache()  # what is cached counts as taken
    free, _ = torch.cuda.mem_get_info()
    return number_of_sets(set_bytes, properties.L2_cache_size, free)


def copy_bandwidth(seconds: float) -> float:
    """GB/s that a copy of a large tensor reads and writes.

    Args:
        seconds: Time for the measurement.
    """
    free, _ = torch.cuda.mem_get_info()
    size = min(_COPY_BYTES, int(SHARE * free) // (2 * LEAST_SETS))
    # Random, as data are: memory that holds one value only may be faster.
    sources = [
        torch.randint(256, (size,), dtype=torch.uint8, device="cuda") for _ in range(LEAST_SETS)
    ]
    pairs = [(torch.empty_like(source), source) for source in sources]
    calls = [partial(out.copy_, x) for out, x in pairs]
    return 2e-9 * size / interleave_graphs({"copy": calls}, seconds)["copy"].median


@contextmanager
def settings(tf32: bool) -> Iterator[None]:
    """Lets cuDNN choose the fastest algorithms, and float32 be multiplied as TF32 or not."""
    wanted: list[tuple[Any, str, bool]] = [
        (torch.backends.cudnn, "benchmark", True),
        (torch.backends.cudnn, "allow_tf32", tf32),
        (torch.backends.cuda.matmul, "allow_tf32", tf32),
    ]
    before = [getattr(backend, name) for backend, name, _ in wanted]
    for backend, name, value in wanted:
        setattr(backend, name, value)
    try:
        yield
    finally:
        for (backend, name, _), value in zip(wanted, before, strict=True):
            setattr(backend, name, value)
