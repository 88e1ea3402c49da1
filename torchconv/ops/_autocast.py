"""Autocast for the operators that follow it, in whatever dtype is active.

``torch.library.register_autocast`` knows one dtype for good, and ``torch.amp.custom_fwd`` no
``setup_context``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchconv._torch import key_set, without_keys

# Devices whose autocast is followed, whether or not this build has kernels for them.
KEYS = {"cpu": "AutocastCPU", "cuda": "AutocastCUDA"}


def casting(op: Callable[..., Any], device: str) -> Callable[..., Any]:
    """The operator's kernel for the device's autocast key."""
    this_key = key_set(KEYS[device])

    def call(*args: Any) -> Any:
        args = cast(args, device)  # before the guard, under which autocast counts as off
        with without_keys(this_key):
            return op(*args)

    return call


def cast(args: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    """The arguments with the device's tensors in its autocast dtype, float64 left as it is."""
    if not torch.is_autocast_enabled(device):
        return args
    dtype = torch.get_autocast_dtype(device)

    def eligible(arg: Any) -> bool:
        is_real = isinstance(arg, Tensor) and arg.is_floating_point()
        return is_real and arg.device.type == device and arg.dtype != torch.float64

    return tuple(arg.to(dtype) if eligible(arg) else arg for arg in args)
