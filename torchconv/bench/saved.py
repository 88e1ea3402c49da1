"""What autograd keeps from forward to backward."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(forward: Callable[[], object], own: Iterable[Tensor] = ()) -> int:
    """Bytes that a forward pass keeps for backward, of each storage once and all.

    Args:
        forward: Runs it; arguments that are kept count, too.
        own: Tensors that do not count, nor do their views: somebody has them anyway.
    """
    owned = {tensor.untyped_storage().data_ptr() for tensor in own}
    saved: dict[int, torch.UntypedStorage] = {}  # held, so that no address comes twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            saved[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in saved.values())
