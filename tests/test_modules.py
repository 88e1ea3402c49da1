"""torchconv's layers under everything that torch.nn does to modules, beside torch.nn's own."""

import copy
import io
import pickle

import distributed
import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune, skip_init
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import torchconv

# name of a layer with parameters -> its arguments, a shape for its input
WEIGHTED = {"Conv2d": ((4, 6, 3), (2, 4, 6, 6)), "Linear": ((4, 6), (3, 4))}
# The same for every layer but MatMul, which torch does not have.
LAYERS = {
    **WEIGHTED, "MaxPool2d": ((2,), (2, 4, 6, 6)), "ReLU": ((), (3, 4)), "Sigmoid": ((), (3, 4)),
}  # fmt: skip
weighted = pytest.mark.parametrize("name", WEIGHTED)
layers = pytest.mark.parametrize("name", LAYERS)


def pair(name):
    """Ours and torch's, with the same parameters, and an input, in float64."""
    arguments, shape = LAYERS[name]
    ours = getattr(torchconv.nn, name)(*arguments).double()
    native = getattr(torch.nn, name)(*arguments).double()
    native.load_state_dict(ours.state_dict())
    return ours, native, torch.randn(shape, dtype=torch.float64)


def assert_same_gradients(ours, native, x):
    results = []
    for layer in (ours, native):
        layer.zero_grad()
        given = x.clone().requires_grad_()
        out = layer(given)
        out.square().sum().backward()
        grads = {key: p.grad for key, p in layer.named_parameters() if p.grad is not None}
        results.append((out, given.grad, grads))
    torch.testing.assert_close(*results)


@weighted
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrizations(device, name, norm):
    ours, native, x = pair(name)
    for layer in (ours, native):
        torch.manual_seed(1)
        getattr(parametrizations, norm)(layer)
    native.load_state_dict(ours.state_dict())
    assert isinstance(ours, getattr(torchconv.nn, name))
    assert_same_gradients(ours, native, x)
    torch.nn.utils.parametrize.remove_parametrizations(ours, "weight")
    assert "weight" in dict(ours.named_parameters())
    ours(x)


@weighted
def test_pruning(device, name):
    ours, native, x = pair(name)
    for layer in (ours, native):
        prune.l1_unstructured(layer, "weight", amount=0.5)
        prune.ln_structured(layer, "weight", amount=0.3, n=2, dim=0)
    assert (ours.weight == 0).float().mean() >= 0.5
    assert_same_gradients(ours, native, x)
    with torch.no_grad():
        ours.weight_orig += 1  # the layer reads the weight anew in each call
        native.weight_orig += 1
    torch.testing.assert_close(ours(x), native(x))
    prune.remove(ours, "weight")
    torch.testing.assert_close(ours(x), native(x))


@layers
def test_hooks(device, name):
    ours, native, x = pair(name)
    seen = []
    for layer in (ours, native):
        log = []
        layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        layer.register_forward_hook(lambda module, args, out: out + 1)
        layer.register_full_backward_pre_hook(lambda module, grads: (grads[0] * 3,))
        layer.register_full_backward_hook(
            lambda module, grads, outs, log=log: log.append((grads, outs))
        )
        seen.append(log)
    assert_same_gradients(ours, native, x)
    torch.testing.assert_close(*seen)


@weighted
def test_functional_call(device, name):
    ours, native, x = pair(name)
    other = {key: torch.randn_like(value) for key, value in ours.state_dict().items()}
    before = ours(x)
    torch.testing.assert_close(functional_call(ours, other, (x,)),
                               functional_call(native, other, (x,)))  # fmt: skip
    assert torch.equal(ours(x), before)


@pytest.mark.parametrize(
    ("lazy", "arguments", "shape"),
    [
        ("LazyConv2d", {"out_channels": 6, "kernel_size": 3, "padding": 1}, (2, 4, 6, 6)),
        (
            "LazyConv2d",
            {"out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False},
            (4, 6, 6),
        ),
        ("LazyLinear", {"out_features": 6}, (3, 4)),
        ("LazyLinear", {"out_features": 6, "bias": False, "dtype": torch.float64}, (4,)),
    ],
    ids=["LazyConv2d", "LazyConv2d-unbatched", "LazyLinear", "LazyLinear-vector"],
)
def test_lazy_layers(device, lazy, arguments, shape):
    built = []
    for library in (torchconv.nn, torch.nn):
        layer = getattr(library, lazy)(**arguments)
        assert layer.has_uninitialized_params()
        copy.deepcopy(layer)
        x = torch.ones(shape, dtype=layer.weight.dtype)
        torch.manual_seed(1)
        built.append((layer, layer(x), layer(x)))
    (ours, *outs), (native, *wanted) = built
    assert type(ours) is getattr(torchconv.nn, lazy.removeprefix("Lazy"))
    assert repr(ours) == repr(native)
    torch.testing.assert_close(outs, wanted)
    torch.testing.assert_close(ours.state_dict(), native.state_dict())


def test_first_call_of_a_lazy_layer_is_ours(device):
    """Padding on four sides is beyond torch's own LazyConv2d."""
    layer = torchconv.nn.LazyConv2d(6, 3, padding=(1, 2, 0, 1))
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(layer(x), layer(x))
    assert layer(x).shape == (2, 6, 5, 7)
    for lazy, given in (
        (torchconv.nn.LazyLinear(3), torch.ones(2, 4)), (torchconv.nn.LazyConv2d(3, 1), x),
    ):  # fmt: skip
        with torch.profiler.profile() as profiler:
            lazy(given)
        assert any(event.name.startswith("torchconv::") for event in profiler.events())


@layers
def test_copies(device, name):
    """deepcopy, pickle, and torch.save without and with the class."""
    ours, _, x = pair(name)
    twins = [copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))]
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    twins.append(torch.load(file, weights_only=False))
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    twins.append(getattr(torchconv.nn, name)(*LAYERS[name][0]).double())
    twins[-1].load_state_dict(torch.load(file))
    for twin in twins:
        assert type(twin) is type(ours)
        assert torch.equal(twin(x), ours(x))
        assert all(a is not b for a, b in zip(twin.parameters(), ours.parameters(), strict=True))


@weighted
def test_skip_init_and_the_meta_device(device, name):
    arguments, shape = WEIGHTED[name]
    layer = skip_init(getattr(torchconv.nn, name), *arguments, device=device)
    assert not layer.weight.is_meta
    torch.nn.init.ones_(layer.weight)
    assert layer(torch.ones(shape)).shape[1] == 6
    with torch.device("meta"):
        meta = getattr(torchconv.nn, name)(*arguments)
        assert meta(torch.ones(shape)).is_meta
    assert not any(p.is_meta for p in meta.to_empty(device=device).parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@weighted
def test_conversion_to_another_dtype(device, name, dtype):
    ours, native, x = pair(name)
    out, expected = ours.to(dtype)(x.to(dtype)), native.to(dtype)(x.to(dtype))
    assert out.dtype == dtype
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)


def test_batch_norm_is_folded_into_the_layer(device):
    """torch's helpers know the layers by their attributes."""
    for layer, norm, fuse, shape in (
        (torchconv.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), fuse_conv_bn_eval, (2, 3, 6, 6)),
        (torchconv.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), fuse_linear_bn_eval, (5, 3)),
    ):
        norm(torch.randn(8, 4, 5, 5) if len(shape) == 4 else torch.randn(8, 4))
        net, x = torch.nn.Sequential(layer, norm).eval(), torch.randn(shape)
        fused = fuse(layer.eval(), norm.eval())
        assert type(fused) is type(layer)
        torch.testing.assert_close(fused(x), net(x), rtol=1e-4, atol=1e-5)


def test_checkpointing_and_weight_sharing(device):
    shared = torchconv.nn.Linear(4, 4)
    net, x = torch.nn.Sequential(shared, torchconv.nn.Sigmoid(), shared), torch.randn(3, 4)
    plain = torch.autograd.grad(net(x).sum(), list(net.parameters()))
    out = torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False)
    assert all(map(torch.equal, torch.autograd.grad(out.sum(), list(net.parameters())), plain))


@pytest.mark.slow
def test_distributed_data_parallel(tmp_path):
    """Two processes with half of the batch each have the gradients of one with all of it."""
    with torch.multiprocessing.get_context("spawn").Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(distributed.train, (str(tmp_path), results), nprocs=2)
        found = [results[0], results[1]]
    net, x = distributed.network_and_batch()
    net(x).square().mean().backward()
    for grads in found:
        expected = [p.grad for p in net.parameters()]
        torch.testing.assert_close([torch.tensor(g, dtype=torch.float64) for g in grads], expected)
