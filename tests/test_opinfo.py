"""torch's own samples, reference inputs and bad inputs for these operators, beside native torch."""

import itertools

import pytest
import torch
from accuracy import FLOATS, INTEGERS, assert_sum_close
from torch.testing._internal.common_methods_invocations import op_db

import torchconv

NAMES = {
    "sigmoid": "sigmoid",
    "nn.functional.relu": "relu",
    "matmul": "matmul",
    "nn.functional.linear": "linear",
    "nn.functional.conv2d": "conv2d",
    "nn.functional.max_pool2d": "max_pool2d",
}
INFOS = {NAMES[info.name]: info for info in op_db if info.name in NAMES}
SUMS = ("matmul", "linear", "conv2d")  # judged by Σ|a||b|; the others agree to the last bit or so
PAIRS = [
    (name, dtype)
    for name, info in INFOS.items()
    for dtype in [*FLOATS, *INTEGERS, torch.bool]
    if dtype in info.dtypes and (dtype in FLOATS or name not in SUMS)
]


def named(value):
    return str(value).removeprefix("torch.")


pairs = pytest.mark.parametrize(("name", "dtype"), PAIRS, ids=named)


def samples(info, dtype, device="cpu"):
    if dtype not in info.supported_dtypes(device):
        pytest.skip(f"torch's own operator takes no {named(dtype)} on {device}")
    for source in (info.sample_inputs, info.reference_inputs):
        for sample in source(device, dtype):
            yield (sample.input, *sample.args), sample.kwargs


def tensors_in(values):
    return [value for value in values if isinstance(value, torch.Tensor)]


def several(out):
    return list(out) if isinstance(out, tuple) else [out]


def described(arguments, kwargs):
    shapes = [(*a.shape, a.stride()) if isinstance(a, torch.Tensor) else a for a in arguments]
    return f"{shapes} {kwargs}"


def assert_alike(name, ours, native, exact, scale):
    assert (ours.dtype, ours.shape) == (native.dtype, native.shape)
    if name in SUMS:
        assert_sum_close(ours, exact, scale)
    elif name == "sigmoid":
        # The outputs may be one unit apart, and gradients, with grad_out up to 3, three of these.
        eps = torch.finfo(ours.dtype).eps
        torch.testing.assert_close(ours, native, rtol=2 * eps, atol=3 * eps, equal_nan=True)
    else:
        torch.testing.assert_close(ours, native, rtol=0, atol=0, equal_nan=True)


@pairs
def test_values_dtypes_and_strides(device, name, dtype):
    info, function = INFOS[name], getattr(torchconv, name)
    for arguments, kwargs in samples(info, dtype, device):
        native = several(info.op(*arguments, **kwargs))
        ours = several(function(*arguments, **kwargs))
        exact = scale = itertools.repeat(None)
        if name in SUMS:
            doubles = [a.double() if isinstance(a, torch.Tensor) else a for a in arguments]
            sizes = [a.abs() if isinstance(a, torch.Tensor) else a for a in doubles]
            exact, scale = [info.op(*doubles, **kwargs)], [info.op(*sizes, **kwargs)]
        for values in zip(ours, native, exact, scale, strict=False):
            assert_alike(name, *values)
        strides = [t.stride() for t in native]
        assert [t.stride() for t in ours] == strides, described(arguments, kwargs)


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, d in PAIRS if d in FLOATS], ids=named)
def test_gradients(device, name, dtype):
    info, function = INFOS[name], getattr(torchconv, name)
    for arguments, kwargs in samples(info, dtype, device):
        grads = []
        arguments = [a.detach().requires_grad_() if isinstance(a, torch.Tensor) else a
                     for a in arguments]  # fmt: skip
        doubles = [a.detach().double().requires_grad_() if isinstance(a, torch.Tensor) else a
                   for a in arguments]  # fmt: skip
        sizes = [a.detach().abs().requires_grad_() if isinstance(a, torch.Tensor) else a
                 for a in doubles]  # fmt: skip
        grad_out = None
        for call, given in (
            (function, arguments), (info.op, arguments), (info.op, doubles), (info.op, sizes),
        ):  # fmt: skip
            out = several(call(*given, **kwargs))[0]
            if grad_out is None:  # of whole numbers, so that sums of a few are exact
                grad_out = torch.randint(-3, 4, out.shape)
            weights = grad_out.abs() if given is sizes else grad_out
            inputs = tensors_in(given)
            grads.append(torch.autograd.grad(out, inputs, weights.to(out.dtype)))
        for values in zip(*grads, strict=True):
            assert_alike(name, *values)


@pytest.mark.parametrize("name", [n for n, info in INFOS.items() if info.error_inputs_func])
def test_refusals(device, name):
    """What torch's own list says must be refused is refused, in one sentence of ours."""
    function = getattr(torchconv, name)
    for error in INFOS[name].error_inputs(device):
        sample = error.sample_input
        with pytest.raises(RuntimeError, match=f"^{name}: expected .*, but got "):
            function(sample.input, *sample.args, **sample.kwargs)


def test_every_operator_has_torchs_samples():
    beyond_torch = {"conv2d_act_pool"}
    assert set(INFOS) == set(torchconv.functional.__all__) - beyond_torch
    assert all(any(samples(info, torch.float32)) for info in INFOS.values())
    assert all(any(INFOS[name].error_inputs("cpu")) for name in ("conv2d", "max_pool2d"))
