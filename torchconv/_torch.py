"""Private names of torch's modules, and the private attributes of its layers, that torchconv uses.

No other module of torchconv looks up a private name of torch. If a torch lacks one, the import
tells what depends on it, and so does the test of each name in ``tests/test_private_names.py``.
"""

import functools
import importlib
from typing import Any

import torch

NAMES: dict[str, str] = {}  # by the full name: what depends on it


def private(name: str, purpose: str) -> Any:
    """The object of a private name.

    Args:
        name: A module of torch, and an attribute in it, or an attribute of that.
        purpose: What in torchconv depends on it.

    Raises:
        ImportError: If this torch has no such name.
    """
    NAMES[name] = purpose
    try:
        return lookup(name)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"torchconv needs torch's private name {name} for {purpose}, "
            f"but torch {torch.__version__} has none: {error}"
        ) from None


def lookup(name: str) -> Any:
    """The object of a full name, whose last part or parts are attributes of a module."""
    module, _, rest = name.rpartition(".")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError:
        found = lookup(module)
    return getattr(found, rest)


# ---- dispatcher --------------------------------------------------------------------------------

below_autograd = private(
    "torch._C._AutoDispatchBelowAutograd", "calling kernels from an operator's Function"
)
any_autocast_enabled = private(
    "torch._C._is_any_autocast_enabled", "leaving the quick way to an operator under autocast"
)
any_transform_active = private(
    "torch._C._are_functorch_transforms_active", "operators under torch.func's transforms"
)
_is_key_included = private(
    "torch._C._dispatch_tls_is_dispatch_key_included", "operators under is_grads_batched"
)
_parse_key = private("torch._C._parse_dispatch_key", "operators under is_grads_batched")
# torch.func has a vmap of its own; this is the one behind is_grads_batched and vectorize.
older_vmap_active = functools.partial(_is_key_included, _parse_key("VmapMode"))

_Key = private("torch._C.DispatchKey", "autocast")
_KeySet = private("torch._C.DispatchKeySet", "autocast")
# A context in which the dispatcher passes over the kernels of some keys.
without_keys = private("torch._C._ExcludeDispatchKeyGuard", "autocast")


def key_set(name: str) -> Any:
    """The set of one dispatch key."""
    return _KeySet(getattr(_Key, name))


# ---- torch.func --------------------------------------------------------------------------------

TransformType = private("torch._C._functorch.TransformType", "operators under torch.func")
_interpreter_stack = private(
    "torch._C._functorch.get_interpreter_stack", "no_grad within torch.func's transforms"
)
current_interpreter = private(
    "torch._functorch.pyfunctorch.retrieve_current_functorch_interpreter",
    "operators under torch.func.functionalize",
)
unwrap_dead_wrappers = private(
    "torch._functorch.utils.unwrap_dead_wrappers", "tensors that have left a transform"
)
Functionalization = private(
    "torch._subclasses.functional_tensor.FunctorchFunctionalizeAPI",
    "operators under torch.func.functionalize",
)


def active_transforms() -> list[Any]:
    """The transforms of torch.func around this call, outermost first."""
    return [level.key() for level in _interpreter_stack() or []]


# ---- forward-mode differentiation --------------------------------------------------------------

_forward_ad: Any = torch.autograd.forward_ad
private("torch.autograd.forward_ad._current_level", "forward-mode differentiation")
forward_mode_enabled = private(
    "torch.autograd.forward_ad._set_fwd_grad_enabled", "nested forward-mode differentiation"
)


def in_forward_mode() -> bool:
    """Whether tensors may have tangents."""
    return _forward_ad._current_level >= 0


# ---- symbolic sizes ----------------------------------------------------------------------------


def is_known_true(condition: Any) -> bool:
    """True if a comparison of sizes is known to hold; False if it does not, or depends on data."""
    if isinstance(condition, bool):
        return condition
    # Late, since it imports sympy, which takes longer than all of torchconv.
    from torch.fx.experimental.symbolic_shapes import guard_or_false

    return guard_or_false(condition)


# ---- tensors -----------------------------------------------------------------------------------

tree_map = private("torch.utils._pytree.tree_map", "vmap of operators with several tensors")
_RECORDERS = (  # what torch.compile, torch.export and torch.fx record with
    torch.fx.Proxy,
    private("torch._subclasses.fake_tensor.FakeTensor", "fuse under torch.compile"),
    private("torch._subclasses.functional_tensor.FunctionalTensor", "fuse under torch.export"),
)


def is_channels_last(x: torch.Tensor) -> bool:
    """Whether the strides of ``Tensor[batch, channels, height, width]`` are those of channels_last.

    Follows ``suggest_memory_format`` of C++, which guards on symbolic sizes. A data-dependent size
    counts as larger than 1, as in csrc/meta/memory_format.h.
    """
    sizes, strides = x.shape, x.stride()
    # Fast path: if every size is an int above 1, the strides determine the format. Under
    # torch.compile sizes may be symbolic.
    if all(type(size) is int and size > 1 for size in sizes):
        if x.is_contiguous():
            return False
        if x.is_contiguous(memory_format=torch.channels_last):
            return True
    if is_known_true(strides[1] == 0):
        return False
    inner, size = 0, 0
    for dim in (1, 3, 2, 0):
        stride = strides[dim]
        if is_known_true(sizes[dim] == 0):
            return False
        # Strides of torch are products of sizes, or of max(size, 1).
        if not (
            is_known_true(stride >= inner * size)
            or is_known_true(stride >= inner * torch.sym_max(size, 1))
        ):
            return False
        if dim == 0 and is_known_true(inner * size == strides[1]):
            return False
        inner, size = stride, sizes[dim]
    return True


def is_plain(tensor: Any) -> bool:
    """Whether this is a plain tensor or parameter, or a recorder's stand-in for one.

    Other subclasses, such as quantized and distributed tensors, compute on their own.
    """
    cls = type(tensor)
    return cls is torch.nn.Parameter or cls is torch.Tensor or issubclass(cls, _RECORDERS)


# ---- torch.nn.Module ---------------------------------------------------------------------------

CALL_METHODS = ("_call_impl", "forward", "_conv_forward")  # that a call of a module runs
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = [
    private(f"torch.nn.modules.module._global{kind}", "fuse, which leaves watched layers alone")
    for kind in HOOKS
]
# Attributes of every torch.nn.Conv2d, and what depends on them.
MODULE_ATTRIBUTES = {
    **dict.fromkeys(HOOKS, "fuse, which leaves watched layers alone"),
    **dict.fromkeys(CALL_METHODS, "fuse, which leaves changed layers alone"),
    "_compiled_call_impl": "fuse, which leaves compiled layers alone",
    "_parameters": "fuse, which leaves parametrized layers alone",
    "_reversed_padding_repeated_twice": "padding modes of Conv2d",
}


def has_own_call(module: torch.nn.Module) -> bool:
    """Whether the object overrides a method of its call."""
    own = module.__dict__
    for name in CALL_METHODS:  # noqa: SIM110, since any() is slower in a test of each call
        if name in own:
            return True
    return False


def has_hooks(module: torch.nn.Module) -> bool:
    """Whether hooks see the calls of the module, or a compiled function stands in for them."""
    own: Any = module.__dict__
    for name in HOOKS:
        if own[name]:
            return True
    return "_compiled_call_impl" in own


def any_global_hooks() -> bool:
    """Whether hooks see the calls of all modules."""
    before, after, back_before, back_after = _GLOBAL_HOOKS
    return bool(before or after or back_before or back_after)


# While torch.fx traces, Module.__call__ is a wrapper from this module.
_FX = "torch.fx._symbolic_trace"
private(f"{_FX}.Tracer", "fuse under torch.fx and torch.export")


def without_fx_tracing(function: Any) -> Any:
    """The function that torch.fx has wrapped, or else the function itself."""
    wrapped = getattr(function, "__wrapped__", None)
    is_fx = getattr(function, "__globals__", {}).get("__name__") == _FX
    return wrapped if is_fx else function


# ---- modes of torch that alter calls -------------------------------------------------------------

function_modes = private(
    "torch._C._len_torch_function_stack", "fuse, which leaves parts of a forward under a mode alone"
)
_saved_tensor_hooks = private(
    "torch._C._autograd._top_saved_tensors_default_hooks",
    "fuse, which leaves parts of a forward under a checkpoint alone",
)


def saved_tensor_hooks() -> Any:
    """The hooks of the innermost ``saved_tensors_hooks``, as of torch.utils.checkpoint."""
    return _saved_tensor_hooks(False)
