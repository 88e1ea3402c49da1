"""Fuses convolution, activation and max-pooling in models that exist already."""

from typing import TypeVar

import torch

from torchconv.fusion._callers import is_rewritten, original_class
from torchconv.fusion._group import GROUP, Group, library_class
from torchconv.fusion._layers import FUSED, Block
from torchconv.fusion._plan import make_plan
from torchconv.fusion._rewritten import rewritten

__all__ = ["fuse", "unfuse"]
_Model = TypeVar("_Model", bound=torch.nn.Module)


def fuse(model: _Model) -> _Model:
    """Makes one block of each convolution, its activation, if any, and the max-pooling after these.

    The convolution, which then prints as ``FusedConv2d``, computes
    :func:`torchconv.conv2d_act_pool`. The layers after it return their input. All are the same
    objects under the same names, of derived classes: parameters, ``state_dict`` keys, optimizers,
    hooks on the model, ``train()`` and ``eval()`` stay what they were. Layers of ``torch.nn`` and
    of ``torchconv.nn`` count alike, on a CPU and, if this build has CUDA kernels, on a GPU.

    Chains are found in ``torch.nn.Sequential``, and in the forward of any module that ``torch.fx``
    can trace, across the modules it calls. An activation or pooling may be a function call, or a
    layer with other calls. The module that calls it then gets a class of the same name, whose
    forward is the traced graph without that call. Branches on Python values stay as traced;
    ``self.training`` as an argument stays dynamic. The chain is left as it is

    * if something else takes one of its inner results, or calls its convolution,
    * if one of its layers is lazy, has hooks, a parametrization or a class of its own, or is also
      part of a module whose forward cannot be traced,
    * if a method of one of its layers, on the object or on its class, or a function that it calls
      (such as ``torch.nn.functional.relu``), is not what it was when torchconv was imported,
    * if there are hooks on all modules,
    * if the pooling returns indices,
    * if a new forward were needed in a class that decorates forward or registers its subclasses,
      or that says itself how it is copied,
    * if parameters are neither float32, float64, bfloat16 nor float16, or on a device without
      kernels.

    Each call of a fused convolution repeats these checks, and the layers after it follow the
    result. It also checks hooks, ``forward`` and children of each module whose call runs only a
    part of a chain. For the classes that call a chain or a part of it, it checks ``forward`` and
    the methods and functions that ``forward`` calls. If any check fails, or an input of a traced
    forward is no plain tensor, the layers compute separately, as if nothing had been fused. So do
    those of a saved model that is loaded by another version of Python, with ``-O``, or after a
    change of its classes.

    Not noticed are a new ``forward`` or method on an object that calls a whole chain, and, in a
    compiled graph, hooks that are added before ``torch.compiler.reset()``. Function modes, dispatch
    modes and profilers see the block as one operator.

    A forward that cannot be traced is left as it is, with the chains that it takes part in. Causes
    are control flow on tensors or on ``self.training``, numbers and texts made of values, default
    arguments, random numbers, changed attributes, and ``torch.no_grad()`` or autocast inside. The
    modules that it calls are traced separately. No new forward is made where a dtype or device is a
    constant in the graph. What else a forward does, such as printing, happens in :func:`fuse`.

    Call :func:`unfuse` before calling layers outside the traced forwards: ``model.features[0](x)``,
    a method, a layer copied by ``copy.copy``, ``checkpoint_sequential``. Such a call computes the
    block. Call it, too, before layers are replaced, inserted or removed.

    Args:
        model: Any module; it is changed in place. Its forward is run on placeholders, which are no
            Tensors and have every attribute: a forward that branches on ``isinstance(x, Tensor)``,
            ``hasattr`` or ``is`` must not be fused. What an earlier call has fused is fused anew.

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
          (0): FusedConv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), activation='relu', pool=2)
          (1): FusedReLU()
          (2): FusedMaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
          (3): Flatten(start_dim=1, end_dim=-1)
        )
    """
    _check(model, "fuse")
    _undo(_fused_modules(model))
    plan = make_plan(model)
    classes = {}
    for m, graph in plan.forwards.items():
        has_convolution = not {*plan.groups[m].convolutions}.isdisjoint(m.modules())
        classes[m] = rewritten(original_class(m), graph, has_convolution)
    classes |= {m: FUSED[type(m)] for m in (*plan.blocks, *plan.followers)}
    # Planning is complete; the rest only sets attributes and classes.
    for module, tail in plan.blocks.items():
        module.__dict__.update(tail._asdict())
    for module, cls in classes.items():
        module.__dict__[GROUP] = plan.groups[module]
        object.__setattr__(module, "__class__", cls)  # past a __setattr__ of the class
    return model


def unfuse(model: _Model) -> _Model:
    """Undoes :func:`fuse`, also on a copy: each layer gets its class back and keeps its parameters.

    Args:
        model: What ``fuse`` was given, a part of it, or a copy; it is changed in place. If a chain
            has layers outside this part, they compute separately again.

    Returns:
        ``model`` itself. A :class:`torchconv.nn.ConvActPool2d` stays.

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
    fused = _fused_modules(model)
    for name, module in fused.items():
        if not _has_fused_class(module):
            raise RuntimeError(
                f"unfuse: expected {name or 'model'} to have the class that fuse gave it, "
                f"but got {type(module).__name__}"
            )
    _undo(fused)
    return model


def _fused_modules(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    modules = model.named_modules()
    return {name: m for name, m in modules if isinstance(m.__dict__.get(GROUP), Group)}


def _has_fused_class(module: torch.nn.Module) -> bool:
    """Whether the module has the very class that ``fuse`` gave it."""
    return type(module) in FUSED.values() or is_rewritten(module)


def _undo(fused: dict[str, torch.nn.Module]) -> None:
    """Gives modules their classes back, unless a module of their group has another class."""
    lasting = {m.__dict__[GROUP] for m in fused.values() if not _has_fused_class(m)}
    for module in fused.values():
        if module.__dict__[GROUP] in lasting:
            continue
        module.__dict__.pop(GROUP).is_undone = True
        if isinstance(module, Block):
            del module.__dict__["activation"], module.__dict__["pool"]
        is_layer = type(module) in FUSED.values()
        cls = library_class(type(module)) if is_layer else original_class(module)
        object.__setattr__(module, "__class__", cls)


def _check(model: object, function: str) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"{function}: expected model to be a torch.nn.Module, but got {type(model).__name__}"
        )
