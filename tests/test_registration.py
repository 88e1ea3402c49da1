"""What the dispatcher knows of each operator: torch's own checks, meta kernels, derivatives."""

import pytest
import torch
from layouts import channels_last, contiguous
from operators import direct_samples as samples

import torchconv  # noqa: F401

pytestmark = pytest.mark.usefixtures("device")
ops = torch.ops.torchconv
names = pytest.mark.parametrize("name", list(samples()))
layouts = pytest.mark.parametrize("layout", [contiguous, channels_last])


def to_meta(value):
    return value.detach().to("meta") if isinstance(value, torch.Tensor) else value


def test_every_operator_has_a_sample():
    schemas = torch._C._jit_get_all_schemas()
    registered = {s.name.split("::")[1] for s in schemas if s.name.startswith("torchconv::")}
    assert registered == set(samples())


@names
@layouts
def test_opcheck(name, layout):
    torch.library.opcheck(getattr(ops, name).default, samples(layout)[name]())


@names
@layouts
def test_meta_kernel_agrees_with_the_real_one(name, layout):
    arguments = samples(layout)[name]()
    real = getattr(ops, name)(*arguments)
    meta = getattr(ops, name)(*map(to_meta, arguments))
    pairs = zip(real, meta, strict=True) if isinstance(real, tuple) else [(real, meta)]
    for a, b in pairs:
        assert b.is_meta
        assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)


@names
def test_operator_called_directly_is_differentiable(name):
    arguments = samples()[name]()
    out = getattr(ops, name)(*arguments)
    out = out[0] if isinstance(out, tuple) else out
    assert out.requires_grad == (name != "max_pool2d_indices")
    if out.requires_grad:
        tensors = [t for t in arguments if isinstance(t, torch.Tensor) and t.requires_grad]
        tensors = tensors[:1] if name == "relu_backward" else tensors  # flat in its second argument
        torch.autograd.grad(out.square().sum(), tensors)
