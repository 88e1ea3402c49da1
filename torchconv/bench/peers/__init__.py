"""Inference engines beside which forward passes can be timed, where they happen to be installed.

An engine gets weights as constants, which it may pack in advance; torchconv and torch read theirs
in every call. Each is a module here with a function that makes a call of a shape.
"""

import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from torchconv.bench.cases import Case
from torchconv.bench.errors import UsageError
from torchconv.bench.timing import Call

# The packages that each needs, and the function that makes a call.
ENGINES = {
    "onnxruntime": (("onnx", "onnxruntime"), "onnx_models.onnxruntime_call"),
    "openvino": (("onnx", "openvino"), "onnx_models.openvino_call"),
    "ncnn": (("ncnn",), "ncnn_nets.ncnn_call"),
}
Maker = Callable[[Case, list[Tensor], int], Callable[[], Tensor]]


def check_engines(names: list[str]) -> None:
    """Refuses engines that are unknown or not installed.

    Raises:
        UsageError: With the first of them.
    """
    for name in names:
        if name not in ENGINES:
            raise UsageError(f"--peers: expected some of {', '.join(ENGINES)}, but got {name!r}")
        absent = [p for p in ENGINES[name][0] if importlib.util.find_spec(p) is None]
        if absent:
            raise UsageError(
                f"--peers: expected what {name} needs to be installed, but found no "
                f"{' and no '.join(absent)}; run `python -m pip install {' '.join(absent)}`"
            )


def engine_call(name: str, case: Case, threads: int) -> Call:
    """A forward pass of a shape in float32 by an engine, after a look at its result.

    Raises:
        RuntimeError: If the engine cannot do it, or does something else.
    """
    module, _, function = ENGINES[name][1].partition(".")
    make: Maker = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    given = case.tensors()
    call = make(case, given, threads)
    expected, found = case.native(*given), call()
    # Far coarser than rounding, fine enough to tell another operator: engines are not on trial.
    if found.shape != expected.shape or not torch.allclose(found, expected, 1e-2, 1e-2):
        raise RuntimeError(f"{name} computes something else for {case}")
    return call
