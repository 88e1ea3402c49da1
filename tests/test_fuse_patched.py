"""Layers that somebody has changed: fuse leaves them alone, and a block goes back to its parts."""

import copy
import functools
import io
import pickle

import pytest
import torch
from devices import GPU
from fused_parts import ChainLayers, block_of, images, wrap_forward
from fusible import Methods, Tutorial, plain
from torch.nn import functional

import torchconv
from torchconv.fusion import Block

libraries = pytest.mark.parametrize("nn", [torch.nn, torchconv.nn], ids=["torch", "torchconv"])


def circular(conv):
    """As tiling patches of diffusion models do."""
    conv._conv_forward = lambda x, weight, bias: functional.conv2d(
        functional.pad(x, (1, 1, 1, 1), mode="circular"), weight, bias
    )


def own(name, function):
    return lambda layer: setattr(layer, name, function)


def double_on_class(cls, name):
    method = getattr(cls, name)

    def change(monkeypatch):
        monkeypatch.setattr(cls, name, lambda self, *args: 2 * method(self, *args) - 0.1)

    return change


# What is done to the layers of a chain.
ON_OBJECTS = {
    "conv._conv_forward": lambda parts: circular(parts.conv),
    "conv._call_impl": lambda parts: own("_call_impl", lambda x: x - 0.1)(parts.conv),
    "conv.forward": lambda parts: wrap_forward(parts.conv),
    "conv hook": lambda parts: parts.conv.register_forward_hook(lambda *args: args[2] - 0.5),
    "conv pre-hook": lambda parts: parts.conv.register_forward_pre_hook(lambda _, x: (x[0] * -1,)),
    "conv parametrization": lambda parts: torch.nn.utils.parametrize.register_parametrization(
        parts.conv, "weight", torch.nn.Tanh()
    ),
    "relu.forward": lambda parts: wrap_forward(parts.relu),
    "relu._call_impl": lambda parts: own("_call_impl", torch.tanh)(parts.relu),
    "relu hook": lambda parts: parts.relu.register_forward_hook(lambda *args: args[2] - 0.5),
    "pool.forward": lambda parts: wrap_forward(parts.pool),
    "pool hook": lambda parts: parts.pool.register_forward_hook(lambda *args: args[2] - 0.5),
    "pool.kernel_size": lambda parts: own("kernel_size", 3)(parts.pool),
    "pool.stride": lambda parts: own("stride", 1)(parts.pool),
}
# A method to replace: its class and its name.
ON_LIBRARIES = {
    "Conv2d.forward": lambda nn: (nn.Conv2d, "forward"),
    "Conv2d._conv_forward": lambda nn: (nn.Conv2d, "_conv_forward"),
    "Conv2d._call_impl": lambda nn: (nn.Conv2d, "_call_impl"),
    "ReLU.forward": lambda nn: (nn.ReLU, "forward"),
    "MaxPool2d.forward": lambda nn: (nn.MaxPool2d, "forward"),
    "MaxPool2d.__call__": lambda nn: (nn.MaxPool2d, "__call__"),
    "Sequential.forward": lambda nn: (torch.nn.Sequential, "forward"),
}
FUNCTIONS = {
    "functional.relu": (functional, "relu"),
    "functional.max_pool2d": (functional, "max_pool2d"),
    "functional.conv2d": (functional, "conv2d"),
    "torch.sigmoid": (torch, "sigmoid"),
    "Tensor.sigmoid_": (torch.Tensor, "sigmoid_"),
}


@pytest.fixture(autouse=True)
def no_hooks_remain():
    yield
    assert not torch.nn.modules.module._global_forward_hooks


@pytest.mark.parametrize("change", ON_OBJECTS.values(), ids=ON_OBJECTS)
@libraries
def test_changed_objects(nn, change):
    """Before fuse, and after it."""
    model = plain(nn, padding=1, pool=(2, 2)).double()[:3]
    before, after, x = copy.deepcopy(model), copy.deepcopy(model), images()
    torchconv.fuse(after)
    assert block_of(after) is not None
    unchanged = after(x)
    for each in (model, before, after):
        change(ChainLayers(each))
    expected = model(x)
    assert expected.shape != unchanged.shape or not torch.allclose(expected, unchanged)
    torch.testing.assert_close(after(x), expected)
    torch.testing.assert_close(torchconv.fuse(before)(x), expected)


@pytest.mark.parametrize("where", ON_LIBRARIES.values(), ids=ON_LIBRARIES)
@libraries
def test_changed_classes(nn, where, monkeypatch):
    model = plain(nn, padding=1).double()[:3]
    after, x = torchconv.fuse(copy.deepcopy(model)), images()
    unchanged = after(x)
    double_on_class(*where(nn))(monkeypatch)
    expected = model(x)
    assert not torch.allclose(expected, unchanged)
    torch.testing.assert_close(after(x), expected)
    torch.testing.assert_close(copy.deepcopy(after)(x), expected)
    if where(nn)[0] is not torch.nn.Sequential:  # fuse sees through a new forward
        assert block_of(torchconv.fuse(copy.deepcopy(model))) is None
    monkeypatch.undo()
    assert torch.equal(after(x), unchanged)
    assert block_of(after)._torchconv_fusion.is_intact()


@pytest.mark.parametrize("place", FUNCTIONS.values(), ids=FUNCTIONS)
def test_changed_functions(place, monkeypatch):
    """Functions that counters of operations replace, called by layers or by a forward."""
    models = [plain(torch.nn), plain(torch.nn, act="Sigmoid"), Tutorial(torch.nn)]
    x, all_calls = images(), 0
    for model in (m.double().eval() for m in [*models, Methods(torch.nn)]):
        fused = torchconv.fuse(copy.deepcopy(model))
        assert block_of(fused) is not None
        function, seen = getattr(*place), []

        def counting(*args, _function=function, _seen=seen, **kwargs):
            _seen.append(1)
            return _function(*args, **kwargs)

        monkeypatch.setattr(*place, counting)
        expected = model(x)
        calls = len(seen)
        all_calls += calls
        torch.testing.assert_close(fused(x), expected)
        assert len(seen) == 2 * calls
        fused_later = torchconv.fuse(copy.deepcopy(model))  # which calls functions to record them
        seen.clear()
        torch.testing.assert_close(fused_later(x), expected)
        assert len(seen) == calls
        monkeypatch.undo()
        assert block_of(fused)._torchconv_fusion.is_intact()
    assert all_calls > 0


class Counter:
    """A function object, as tools that count operations make."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.__wrapped__(*args, **kwargs)


@pytest.mark.parametrize("wrapped", [Counter, functools.lru_cache])
def test_functions_replaced_by_objects(wrapped, monkeypatch):
    model = plain(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    monkeypatch.setattr(functional, "relu", wrapped(functional.relu))
    assert torch.equal(fused(x), model(x))
    assert block_of(torchconv.fuse(copy.deepcopy(model))) is None


def test_hooks_on_all_modules_see_every_layer():
    model, seen = torchconv.fuse(plain(torch.nn)), []
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _, out: seen.append(tuple(out.shape[1:]))
    )
    try:
        model(images().float())
        assert seen[:3] == [(4, 12, 12), (4, 12, 12), (4, 6, 6)]
        assert block_of(torchconv.fuse(plain(torch.nn))) is None
    finally:
        handle.remove()


def test_one_changed_chain_leaves_the_others_fused():
    model = torch.nn.Sequential(plain(torch.nn)[:3], plain(torch.nn, stride=2)[:3])
    blocks = [m for m in torchconv.fuse(model).modules() if isinstance(m, Block)]
    blocks[0]._conv_forward = blocks[0]._conv_forward
    assert [block._torchconv_fusion.is_intact() for block in blocks] == [False, True]


@libraries
def test_an_edited_padding_is_used(nn):
    model = plain(nn, padding=1, padding_mode="circular").double()[:3]
    twin = plain(torch.nn, padding=1, padding_mode="circular").double()[:3]
    twin.load_state_dict(model.state_dict())
    for each in (model, twin):
        each[0]._reversed_padding_repeated_twice = [0, 2, 1, 3]
    expected, x = twin(images()), images()
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(torchconv.fuse(model)(x), expected)
    model[0]._reversed_padding_repeated_twice = twin[0]._reversed_padding_repeated_twice = [3] * 4
    torch.testing.assert_close(model(x), twin(x))


def test_a_strided_same_layer_keeps_no_fixed_padding():
    layer = torchconv.nn.Conv2d(3, 4, 3, stride=2, padding="same", padding_mode="reflect")
    assert layer._reversed_padding_repeated_twice is None
    assert layer(torch.randn(1, 3, 7, 8)).shape == (1, 4, 4, 4)


def half_less(module, inputs, out):
    return out - 0.5


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_go_back_on_their_own(copied):
    model, x = torchconv.fuse(plain(torch.nn).double()), images()
    twin, expected = copied(model), model(x)
    twin[1].register_forward_hook(half_less)
    assert torch.equal(model(x), expected)
    assert not torch.allclose(twin(x), expected)
    torch.testing.assert_close(copied(twin)(x), torchconv.unfuse(twin)(x))


def test_compiled_blocks_notice_changes():
    torch._dynamo.reset()
    model = plain(torch.nn).double()
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    compiled = torch.compile(fused, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))
    for each in (model, fused):
        wrap_forward(ChainLayers(each).conv)
    torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("derived", [False, True])
def test_another_class_given_later(at, derived):
    model = plain(torch.nn).double()[:3]
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    cls = (torch.nn.Conv2d, torch.nn.ReLU, torch.nn.MaxPool2d)[at]
    if derived:
        forward = cls.forward
        cls = type("Mine", (cls,), {"forward": lambda self, x: forward(self, x) * 2 - 0.1})
    for each in (model, fused):
        each[at].__class__ = cls
    torch.testing.assert_close(fused(x), model(x))


class Ours(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torchconv.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torchconv.max_pool2d(torchconv.relu(self.conv(x)), 2)


@pytest.mark.parametrize("before", [False, True])
def test_torchconvs_own_functions_replaced(before, monkeypatch):
    model, x = Ours().double(), images()
    fused = copy.deepcopy(model)
    if not before:
        torchconv.fuse(fused)
    monkeypatch.setattr(torchconv, "relu", lambda x, inplace=False: x.tanh())
    if before:
        torchconv.fuse(fused)
    torch.testing.assert_close(fused(x), model(x))


@pytest.mark.parametrize("name", ["_conv_forward", "forward"])
def test_compiled_blocks_notice_methods_set_later(name):
    torch._dynamo.reset()
    model = plain(torch.nn).double()[:3]
    fused, x = torchconv.fuse(copy.deepcopy(model)), images()
    compiled = torch.compile(fused, backend="eager")
    compiled(x)
    for each in (model, fused):
        setattr(each[0], name, lambda x, *_: functional.conv2d(-x, model[0].weight))
    torch.testing.assert_close(compiled(x), model(x))


def test_new_objects_of_fused_classes_are_plain_layers():
    fused, x = torchconv.fuse(Tutorial(torch.nn).double().eval()), images()
    conv = type(fused.conv)(3, 4, 3).double()
    assert torch.equal(conv(x), torch.nn.Conv2d.forward(conv, x))
    assert "activation" not in repr(conv)
    assert type(fused)(torch.nn).double()(x).shape == fused(x).shape
    pooled = torchconv.fuse(plain(torch.nn))[2]
    assert torch.equal(type(pooled)(2)(x), functional.max_pool2d(x, 2))


def test_an_attribute_of_the_users_is_left_alone():
    model = plain(torch.nn)
    model._fusion = {"mode": "late"}
    torchconv.unfuse(torchconv.fuse(model))
    assert model._fusion == {"mode": "late"}


def test_an_output_is_saved_like_any_tensor():
    with torch.no_grad():
        out = torchconv.fuse(plain(torch.nn))[:3](images().float())
    file = io.BytesIO()
    torch.save(out, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), out)


@pytest.mark.parametrize("device", [GPU], indirect=True)
def test_models_on_a_gpu_are_fused(device):
    model = plain(torch.nn)
    fused = torchconv.fuse(copy.deepcopy(model))
    x = images().to(model[0].weight)
    assert block_of(fused)._torchconv_fusion.is_intact()
    torch.testing.assert_close(fused(x), model(x))


@pytest.mark.filterwarnings("ignore:.*Complex modules")
def test_a_block_of_a_type_without_kernels_is_a_convolution():
    model = torchconv.fuse(plain(torch.nn).double())
    twin, x = plain(torch.nn)[0].to(torch.complex128), images().to(torch.complex128)
    model[0].to(torch.complex128).load_state_dict(twin.state_dict())
    assert torch.equal(model[0](x), twin(x))


def test_a_device_without_kernels_is_left_alone(monkeypatch):
    model = plain(torch.nn)
    monkeypatch.setattr("torchconv.fusion._group._DEVICES", ("meta",))
    assert block_of(torchconv.fuse(model)) is None
    monkeypatch.setattr("torchconv.fusion._group._DEVICES", ("cpu", "cuda"))
    assert block_of(torchconv.fuse(model)) is not None
    twin, x = copy.deepcopy(model), images().float()
    monkeypatch.setattr("torchconv.fusion._group._DEVICES", ())
    assert not block_of(model)._torchconv_fusion.is_intact()
    assert torch.equal(model(x), torchconv.unfuse(twin)(x))
