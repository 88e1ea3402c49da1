"""Fuses convolution, activation and max-pooling in models that exist already."""

from typing import TypeVar

import torch

from torchconv.fusion._chains import Block
from torchconv.fusion._forward import (
    ORIGINAL_CLASS,
    is_rewritten,
    original_class,
    rewritten,
)
from torchconv.fusion._plan import make_plan
from torchconv.nn.conv_act_pool2d import ConvActPool2d

__all__ = ["fuse", "unfuse"]
_Model = TypeVar("_Model", bound=torch.nn.Module)


def fuse(model: _Model) -> _Model:
    """Makes one block of each convolution, its activation, if any, and the max-pooling after these.

    The convolution becomes a :class:`torchconv.nn.ConvActPool2d`, the layers after it become
    ``torch.nn.Identity``: the same objects under the same names, of other classes. So parameters,
    ``state_dict`` keys, optimizers, hooks on the model, ``train()`` and ``eval()`` stay what they
    were. Layers of ``torch.nn`` and of ``torchconv.nn`` count alike.

    Chains are found in ``torch.nn.Sequential``, and in the forward of any module that ``torch.fx``
    can trace, across the modules it calls. Where an activation or a pooling is a function, or a
    layer with other uses, the module that calls it gets the traced forward without this call (and
    a class of the same name); what its forward decided by Python values stays decided, except by
    ``self.training``. The chain is left as it is

    * if something else takes one of its inner results, or calls its convolution,
    * if one of its layers has hooks, a parametrization, a class or a forward of its own, is lazy,
      or is also part of a module whose forward cannot be traced,
    * if the pooling returns indices,
    * if a new forward were needed in a class that decorates forward or registers its subclasses,
      or that says itself how it is copied,
    * if parameters are neither float32, float64, bfloat16 nor float16, or not on the CPU.

    A forward that cannot be traced (by control flow on tensors or on ``self.training``, default
    arguments, random numbers, ``torch.no_grad()`` or autocast inside, changed attributes) is left
    as it is, and so are chains that it takes part in; the modules that it calls are still looked
    at, each for itself. Whoever calls layers otherwise than by the forwards that were traced
    (``model.features[0](x)``, a method, a hook added later) meets the block.

    Args:
        model: Any module; it is changed in place. Its forward is run on placeholders.

    Returns:
        ``model`` itself, unchanged where there is nothing to fuse.

    Raises:
        TypeError: If ``model`` is no module.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 6, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()
        ... )
        >>> torchconv.fuse(model)
        Sequential(
          (0): ConvActPool2d(1, 6, kernel_size=(5, 5), stride=(1, 1), activation='relu', pool=2)
          (1): Identity()
          (2): Identity()
          (3): Flatten(start_dim=1, end_dim=-1)
        )
    """
    _check(model, "fuse")
    plan = make_plan(model)
    classes = {m: rewritten(original_class(m), graph) for m, graph in plan.forwards.items()}
    # Up to here nothing has changed, from here on nothing can fail.
    for module, block in plan.blocks.items():
        module.__dict__.update(block._asdict())
        _become(module, ConvActPool2d)
    for module in plan.identities:
        _become(module, torch.nn.Identity)
    for module, cls in classes.items():
        _become(module, cls)
    return model


def unfuse(model: _Model) -> _Model:
    """Undoes :func:`fuse`, also on a copy: every layer is what it was, with its parameters of now.

    Args:
        model: What ``fuse`` was given, or a copy; it is changed in place. In a part of that, what
            belongs to a chain with layers outside the part would be undone only half.

    Returns:
        ``model`` itself. A :class:`torchconv.nn.ConvActPool2d` that was made as such stays.

    Raises:
        TypeError: If ``model`` is no module.
        RuntimeError: If a fused module got another class meanwhile, as by a parametrization.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 6, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
        ... )
        >>> torchconv.unfuse(torchconv.fuse(model))
        Sequential(
          (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
          (1): ReLU()
          (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
        )
    """
    _check(model, "unfuse")
    fused = {n: m for n, m in model.named_modules() if ORIGINAL_CLASS in m.__dict__}
    for name, module in fused.items():
        if type(module) not in (ConvActPool2d, torch.nn.Identity) and not is_rewritten(module):
            raise RuntimeError(
                f"unfuse: expected {name or 'model'} to have the class that fuse gave it, "
                f"but got {type(module).__name__}"
            )
    for module in fused.values():
        if type(module) is ConvActPool2d:
            for name in Block._fields:
                del module.__dict__[name]
        module.__class__ = module.__dict__.pop(ORIGINAL_CLASS)
    return model


def _become(module: torch.nn.Module, cls: type[torch.nn.Module]) -> None:
    module.__dict__[ORIGINAL_CLASS] = original_class(module)
    module.__class__ = cls


def _check(model: object, function: str) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"{function}: expected model to be a torch.nn.Module, but got {type(model).__name__}"
        )
