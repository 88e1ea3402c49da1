"""Private names of torch: each is there, does what torchconv needs it for, and is in one module."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from torchconv import _torch

PACKAGE = Path(_torch.__file__).parent
CONV = torch.nn.Conv2d(2, 2, 1)
X = torch.ones(2)


def inside(transform, read):
    """What is read within a transform of torch.func."""
    seen = []

    def function(x):
        seen.append(read())
        return x * 1

    transform(function)(X)
    return seen[0]


def under_vmap(read):
    return inside(torch.func.vmap, read)


def with_autocast(read):
    with torch.autocast("cpu"):
        return read()


def older_vmap():
    seen = []

    class Watch(torch.autograd.Function):
        forward = staticmethod(lambda ctx, x: x.clone())

        @staticmethod
        def backward(ctx, grad):
            seen.append(_torch.older_vmap_active())
            return grad

    x = torch.ones(2, requires_grad=True)
    torch.autograd.grad(Watch.apply(x), x, torch.eye(2), is_grads_batched=True)
    return seen == [True] and not _torch.older_vmap_active()


def below_autograd():
    with _torch.below_autograd():
        return not torch.relu(torch.ones(2, requires_grad=True)).requires_grad


def without_autocast():
    with torch.autocast("cpu"), _torch.without_keys(_torch.key_set("AutocastCPU")):
        return torch.mm(torch.eye(2), torch.eye(2)).dtype == torch.float32


def forward_mode():
    with torch.autograd.forward_ad.dual_level():
        inside_level = _torch.in_forward_mode()
    return inside_level and not _torch.in_forward_mode()


def forward_mode_enabled():
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, X)
        with _torch.forward_mode_enabled(False):
            return torch.autograd.forward_ad.unpack_dual(dual * 2).tangent is None


def functionalized():
    def function(x):
        interpreter = _torch.current_interpreter()
        api = _torch.Functionalization(interpreter)
        (inner,) = api.unwrap_tensors((x,))
        with api.redispatch_to_next():
            out = inner * 2
        return api.wrap_tensors(out)

    return torch.equal(torch.func.functionalize(function)(X), 2 * X)


def escaped():
    seen = []
    torch.func.grad(lambda x: (seen.append(x), x.sum())[1])(X)
    (found,) = _torch.unwrap_dead_wrappers((seen[0],))
    return "GradTrackingTensor" in repr(seen[0]) and "GradTrackingTensor" not in repr(found)


def global_hook(register):
    def check():
        handle = register(lambda *_: None)
        found = _torch.any_global_hooks()
        handle.remove()
        return found and not _torch.any_global_hooks()

    return check


def fx_wrapper():
    original, seen = torch.nn.Module.__call__, []

    class Tracer(torch.fx.Tracer):
        def call_module(self, *args):
            seen.append(torch.nn.Module.__call__)
            return super().call_module(*args)

    Tracer().trace(torch.nn.Sequential(copy.deepcopy(CONV)))
    return seen[0] is not original and _torch.without_fx_tracing(seen[0]) is original


def modes():
    with torch.device("cpu"):
        return _torch.function_modes() == 1 and CONV(torch.ones(1, 2, 3, 3)).shape[1] == 2


def saved_hooks():
    hooks = (lambda x: x, lambda x: x)
    with torch.autograd.graph.saved_tensors_hooks(*hooks):
        return tuple(_torch.saved_tensor_hooks()[:2]) == hooks


modules = torch.nn.modules.module
TYPES = _torch.TransformType
CHECKS = {
    "torch._C._AutoDispatchBelowAutograd": below_autograd,
    "torch._C._is_any_autocast_enabled": lambda: (
        with_autocast(_torch.any_autocast_enabled) and not _torch.any_autocast_enabled()
    ),
    "torch._C._are_functorch_transforms_active": lambda: (
        under_vmap(_torch.any_transform_active) and not _torch.any_transform_active()
    ),
    "torch._C._dispatch_tls_is_dispatch_key_included": older_vmap,
    "torch._C._parse_dispatch_key": older_vmap,
    "torch._C.DispatchKey": without_autocast,
    "torch._C.DispatchKeySet": without_autocast,
    "torch._C._ExcludeDispatchKeyGuard": without_autocast,
    "torch._C._functorch.TransformType": lambda: all((TYPES.Grad, TYPES.Jvp, TYPES.Functionalize)),
    "torch._C._functorch.get_interpreter_stack": lambda: (
        under_vmap(_torch.active_transforms) == [TYPES.Vmap] and not _torch.active_transforms()
    ),
    "torch._functorch.pyfunctorch.retrieve_current_functorch_interpreter": lambda: (
        under_vmap(lambda: _torch.current_interpreter().key()) == TYPES.Vmap
    ),
    "torch._functorch.utils.unwrap_dead_wrappers": escaped,
    "torch._subclasses.functional_tensor.FunctorchFunctionalizeAPI": functionalized,
    "torch.autograd.forward_ad._current_level": forward_mode,
    "torch.autograd.forward_ad._set_fwd_grad_enabled": forward_mode_enabled,
    "torch.utils._pytree.tree_map": lambda: (
        _torch.tree_map(lambda x: x + 1, (1, (2, [3]))) == (2, (3, [4]))
    ),
    "torch._subclasses.fake_tensor.FakeTensor": lambda: _torch.is_plain(
        FakeTensorMode().from_tensor(CONV.weight)
    ),
    "torch._subclasses.functional_tensor.FunctionalTensor": lambda: (
        _torch.is_plain(CONV.weight)
        and not _torch.is_plain(X.as_subclass(type("Mine", (torch.Tensor,), {})))
    ),
    "torch.nn.modules.module._global_forward_hooks": global_hook(
        modules.register_module_forward_hook
    ),
    "torch.nn.modules.module._global_forward_pre_hooks": global_hook(
        modules.register_module_forward_pre_hook
    ),
    "torch.nn.modules.module._global_backward_hooks": global_hook(
        modules.register_module_full_backward_hook
    ),
    "torch.nn.modules.module._global_backward_pre_hooks": global_hook(
        modules.register_module_full_backward_pre_hook
    ),
    "torch.fx._symbolic_trace.Tracer": fx_wrapper,
    "torch._C._len_torch_function_stack": modes,
    "torch._C._autograd._top_saved_tensors_default_hooks": saved_hooks,
}


@pytest.mark.parametrize("name", sorted({*CHECKS, *_torch.NAMES}))
def test_name(name):
    purpose = _torch.NAMES[name]
    sentence = f"torch {torch.__version__}: {name} is not what torchconv needs for {purpose}"
    assert _torch.lookup(name) is not None, sentence
    assert CHECKS[name](), sentence


@pytest.mark.parametrize("name", _torch.MODULE_ATTRIBUTES)
def test_attribute_of_modules(name):
    purpose = _torch.MODULE_ATTRIBUTES[name]
    assert hasattr(CONV, name), f"torch {torch.__version__}: Conv2d has no {name}, for {purpose}"


def test_a_name_that_is_not_there_is_an_error_of_the_import():
    sentence = r"torchconv needs torch's private name torch\._C\._gone for autocast, but torch "
    with pytest.raises(ImportError, match=sentence):
        _torch.private("torch._C._gone", "autocast")
    del _torch.NAMES["torch._C._gone"]


def test_no_other_module_has_private_names():
    private = re.compile(r"torch(\.\w+)*\._(?!_)\w|from torch[\w.]* import _|_(ad|func)\._[a-z]")
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if path.name != "_torch.py" and private.search(line.replace("torchconv", "ours"))
    ]
    assert found == []
