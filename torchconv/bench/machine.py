"""What a measurement was made on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

import torchconv
from torchconv import _C, backends
from torchconv.bench import cuda_machine

_PEAK_SECONDS = 0.3


def machine(device: str, threads: int) -> dict[str, Any]:
    """Processor, instruction set in use, and versions."""
    found = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "isa": backends.get_cpu_isa(),
        "threads": threads,
        "torch": torch.__version__,
        "torchconv": torchconv.__version__,
        "python": platform.python_version(),
        "compiler": torchconv.build_info["compiler"],
    }
    if device == "cuda":
        found |= cuda_machine.gpu()
    return found


def sentence(found: dict[str, Any]) -> str:
    """The same as a line to print."""
    gpu = ""
    if "gpu" in found:
        gpu = f"{found['gpu']}, CUDA {found['cuda']}, driver {found['driver']}; "
    return (
        f"{gpu}{found['cpu']}, {found['cores']} cores, {found['threads']} threads, kernels for "
        f"{found['isa']}; torch {found['torch']}, torchconv {found['torchconv']} built by "
        f"{found['compiler']}, Python {found['python']}"
    )


def fma_peak(dtype: str, threads: int) -> float:
    """GFLOP/s of multiply-adds in registers, in the type in which ``dtype`` is added up.

    No kernel made of such instructions is faster. Instructions for bfloat16 or for matrices, where
    a CPU has them, do more at a time: a share of this peak may then be above 100 %.
    """
    return _C.fma_peak(dtype, threads, _PEAK_SECONDS)


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
