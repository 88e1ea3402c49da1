"""fuse and unfuse: what becomes a block, what is left alone, and that nothing else changes."""

import copy
import io
import pickle

import pytest
import torch
from fusible import FUSED, Classifier, Layers, Tutorial, conv, plain, vgg
from torch.export import Dim
from unfusible import LEFT_ALONE

import torchconv
from torchconv.fusion import Block
from torchconv.nn import ConvActPool2d

libraries = pytest.mark.parametrize("nn", [torch.nn, torchconv.nn], ids=["torch", "torchconv"])
fused_models = pytest.mark.parametrize(("make", "expected"), FUSED.values(), ids=FUSED)


def blocks(model):
    """Where blocks are in a model."""
    return {
        name: (module.activation, module.pool)
        for name, module in model.named_modules()
        if isinstance(module, Block)
    }


def insides(model):
    """All that makes up a model: its modules, their classes and attributes."""
    return [(module, type(module), dict(module.__dict__)) for module in model.modules()]


def batch(size=2):
    return torch.randn(size, 3, 14, 14, dtype=torch.float64)


def gradients(model, x):
    """The result, and the gradients of the input and of all parameters."""
    model.zero_grad()
    torch.manual_seed(0)  # for dropout
    x = x.clone().requires_grad_()
    out = model(x)
    out = out if isinstance(out, torch.Tensor) else out[0]
    out.pow(2).sum().backward()
    return [out, x.grad, [p.grad for p in model.parameters()]]


def assert_same(model, other, x=None):
    x = batch() if x is None else x
    torch.testing.assert_close(gradients(model, x), gradients(other, x))


# ---- what is fused, and what is not ------------------------------------------------------------


@fused_models
@libraries
def test_fused(nn, make, expected):
    """Everything but the classes of a few modules is what it was, and comes back by unfuse."""
    model = make(nn).double()
    before, text, twin = insides(model), repr(model), copy.deepcopy(model)
    keys, parameters = list(model.state_dict()), list(model.parameters())

    assert torchconv.fuse(model) is model
    assert blocks(model) == expected
    assert isinstance(model, type(twin))
    assert list(model.state_dict()) == keys
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    for training in (True, False):
        assert_same(model.train(training), twin.train(training))

    fused = repr(model)
    assert repr(torchconv.fuse(model)) == fused  # there is nothing left to fuse

    model.train()
    assert torchconv.unfuse(model) is model
    assert insides(model) == before
    assert repr(model) == text
    assert_same(model, twin.train())


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("make", LEFT_ALONE.values(), ids=LEFT_ALONE)
@libraries
def test_left_alone(nn, make):
    model = make(nn).double()
    before, text, seed = insides(model), repr(model), torch.get_rng_state()
    assert torchconv.fuse(model) is model
    assert blocks(model) == {}
    assert repr(model) == text
    assert insides(model) == before
    assert torch.equal(torch.get_rng_state(), seed)
    assert torchconv.unfuse(model) is model
    assert insides(model) == before
    model(batch())


def test_nobody_hears_of_classes_that_are_not_needed():
    torchconv.fuse(LEFT_ALONE["subclasses are noted"](torch.nn))
    assert LEFT_ALONE["subclasses are noted"].subclasses == []


def test_lists_of_the_model_are_left_as_they_were():
    model = LEFT_ALONE["attributes changed"](torch.nn)
    model(batch().float())
    torchconv.fuse(model)
    assert (model.calls, model.seen) == (1, [1])


def test_lazy_layers_are_fused_once_they_know_their_input():
    model = torch.nn.Sequential(
        torchconv.nn.LazyConv2d(4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
    )
    assert blocks(torchconv.fuse(model)) == {}
    model(torch.randn(1, 3, 8, 8))
    assert blocks(torchconv.fuse(model)) == {"0": ("relu", 2)}


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e5m2])
def test_dtypes_without_kernels_are_left_alone(dtype):
    model = plain(torch.nn)
    model[0].weight = torch.nn.Parameter(model[0].weight.detach().to(dtype), requires_grad=False)
    assert blocks(torchconv.fuse(model)) == {}


def test_weights_of_another_class_are_left_alone():
    class Mine(torch.Tensor):
        pass

    model = plain(torch.nn)
    model[0].weight = torch.nn.Parameter(model[0].weight.detach().as_subclass(Mine))
    assert blocks(torchconv.fuse(model)) == {}

    class Computing(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    model = torchconv.fuse(plain(torch.nn))
    model[0]._parameters["weight"] = model[0].weight.detach().as_subclass(Computing)
    assert not model[0]._torchconv_fusion.is_intact()


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_scripted_models_are_left_alone():
    scripted = torch.jit.script(plain(torch.nn).double())
    model = torch.nn.Sequential(scripted, plain(torch.nn).double()[:3])
    assert blocks(torchconv.fuse(scripted)) == {}
    assert blocks(torchconv.fuse(torch.nn.Sequential(scripted, torch.nn.MaxPool2d(1)))) == {}
    assert blocks(torchconv.fuse(model)) == {"1.0": ("relu", 2)}


def test_traced_models_are_fused_where_layers_are_called():
    model = torch.fx.symbolic_trace(Layers(torch.nn).double())
    twin = copy.deepcopy(model)
    assert blocks(torchconv.fuse(model)) == {"conv": ("relu", 2)}
    assert_same(model, twin)
    assert_same(torchconv.unfuse(copy.deepcopy(model)), twin)


def test_what_could_not_be_fused_can_be_later():
    model = Tutorial(torch.nn).double()
    twin = copy.deepcopy(model)
    handle = model.conv.register_forward_hook(lambda *_: None)
    assert list(blocks(torchconv.fuse(model))) == ["conv2"]
    handle.remove()
    assert list(blocks(torchconv.fuse(model))) == ["conv", "conv2"]
    assert_same(model, twin)
    assert type(torchconv.unfuse(model)) is Tutorial
    assert_same(model, twin)


def test_a_part_may_be_fused_first():
    model = FUSED["children"][0](torch.nn).double()
    twin = copy.deepcopy(model)
    torchconv.fuse(model.block)
    assert list(blocks(model)) == ["block.conv"]
    assert blocks(torchconv.fuse(model)) == FUSED["children"][1]
    assert_same(model, twin)
    torchconv.unfuse(model)
    assert_same(model, twin)


@pytest.mark.parametrize("function", [torchconv.fuse, torchconv.unfuse])
def test_only_modules_are_taken(function):
    sentence = f"{function.__name__}: expected model to be a torch.nn.Module, but got list"
    with pytest.raises(TypeError, match=sentence):
        function([plain(torch.nn)])


def test_unfuse_does_all_or_nothing():
    model = torchconv.fuse(plain(torch.nn))
    torch.nn.utils.parametrizations.weight_norm(model[0])
    before = insides(model)
    sentence = "unfuse: expected 0 to have the class that fuse gave it, but got Parametrized"
    with pytest.raises(RuntimeError, match=sentence):
        torchconv.unfuse(model)
    assert insides(model) == before
    torch.nn.utils.parametrize.remove_parametrizations(model[0], "weight")
    assert type(torchconv.unfuse(model)[0]) is torch.nn.Conv2d


def test_unfuse_leaves_blocks_that_were_made_as_such():
    model = torch.nn.Sequential(ConvActPool2d(3, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    text = repr(model)
    assert repr(torchconv.fuse(model)) == text
    assert repr(torchconv.unfuse(model)) == text


# ---- a fused model is still a model ------------------------------------------------------------


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_a_file(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@fused_models
@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle, through_a_file])
def test_copies(make, expected, copied):
    model = torchconv.fuse(make(torch.nn).double())
    twin = copied(model)
    assert blocks(twin) == expected
    assert not set(twin.parameters()) & set(model.parameters())
    for training in (False, True):
        assert_same(twin.train(training), model.train(training))
    torchconv.unfuse(twin)
    assert blocks(twin) == {}
    assert blocks(model) == expected
    assert type(twin) is type(make(torch.nn))
    assert_same(twin, model)


def test_a_class_derived_later_stays_in_copies():
    model = torchconv.fuse(Tutorial(torch.nn))
    model.__class__ = type("Derived", (type(model),), {})
    assert type(copy.deepcopy(model)) is type(model)
    with pytest.raises(RuntimeError, match=r"unfuse: expected model to .* got Derived"):
        torchconv.unfuse(model)


def test_state_dicts_go_both_ways():
    fused, other = torchconv.fuse(Tutorial(torch.nn).double()), Tutorial(torch.nn).double()
    other.load_state_dict(fused.state_dict())
    assert_same(fused, other)
    fused.load_state_dict(Tutorial(torch.nn).double().state_dict())
    other.load_state_dict(fused.state_dict())
    assert_same(fused, other)


@pytest.mark.parametrize("make", [vgg, Tutorial], ids=["vgg", "tutorial"])
def test_an_optimizer_made_before_goes_on(make):
    """Three steps: as it was, fused, and unfused again."""
    model = make(torch.nn).double().eval()
    twin = copy.deepcopy(model)
    optimizers = [torch.optim.Adam(m.parameters()) for m in (model, twin)]
    x = batch()
    for change in (lambda m: m, torchconv.fuse, torchconv.unfuse):
        change(model)
        for m, optimizer in zip((model, twin), optimizers, strict=True):
            optimizer.zero_grad()
            m(x).square().sum().backward()
            optimizer.step()
        torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_hooks_on_the_model_stay():
    seen = []
    model = Tutorial(torch.nn)
    model.register_forward_hook(lambda module, args, out: seen.append(out))
    out = torchconv.fuse(model)(batch().float())
    assert seen == [out]


def test_training_is_asked_for_in_each_call():
    model, x = torchconv.fuse(Tutorial(torch.nn).double()), batch()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
    assert torch.equal(through_pickle(model)(x), model(x))
    assert not torch.equal(through_pickle(model).train()(x), model(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_and_memory_format_stay(dtype):
    model = plain(torchconv.nn).to(dtype=dtype, memory_format=torch.channels_last)
    model[0].weight.requires_grad_(False)
    twin = copy.deepcopy(model)
    torchconv.fuse(model)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not model[0].weight.requires_grad
    x = batch().to(dtype=dtype, memory_format=torch.channels_last)
    for images in (x, x[0]):  # a batch, and one image
        out, expected = model[:3](images), twin[:3](images)
        assert out.dtype == expected.dtype
        if images is x:
            assert out.stride() == expected.stride()
        torch.testing.assert_close(out, expected)


def test_a_failing_forward_shows_its_line():
    model = torchconv.fuse(Tutorial(torch.nn))
    with pytest.raises(RuntimeError) as error:
        model(torch.randn(1, 5, 14, 14))
    assert any("self.conv(x)" in str(line) for line in error.traceback)


# ---- compilers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [vgg, Tutorial], ids=["vgg", "tutorial"])
@pytest.mark.parametrize(
    "backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
def test_compiled(make, backend):
    torch._dynamo.reset()
    model = torchconv.fuse(make(torch.nn).double().eval())
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for size in (2, 3):
        assert_same(compiled, model, batch(size))


def test_compiled_before():
    """The compiled model runs what the model is now."""
    torch._dynamo.reset()
    model = Tutorial(torch.nn).double().eval()
    compiled, x = torch.compile(model, backend="eager"), batch()
    expected = compiled(x)
    for change in (torchconv.fuse, torchconv.unfuse):
        change(compiled)
        torch.testing.assert_close(compiled(x), expected)
        torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.parametrize("make", [vgg, Tutorial], ids=["vgg", "tutorial"])
@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
def test_exported(make, strict):
    model = torchconv.fuse(make(torch.nn).double().eval())
    program = torch.export.export(
        model, (batch(4),), dynamic_shapes=({0: Dim("batch", min=1, max=64)},), strict=strict
    )
    assert list(program.state_dict) == list(model.state_dict())
    x = batch(3)
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize("make", [vgg, Tutorial], ids=["vgg", "tutorial"])
def test_symbolic_trace(make):
    model = torchconv.fuse(make(torch.nn).double().eval())
    traced, x = torch.fx.symbolic_trace(model), batch()
    assert torchconv.conv2d_act_pool in {node.target for node in traced.graph.nodes}
    torch.testing.assert_close(traced(x), model(x))


def test_functional_call_and_checkpoint():
    model, x = torchconv.fuse(Classifier(plain(torch.nn)[:3], torch.nn.Linear(144, 5))), batch()
    model = model.double()
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    assert not torch.func.functional_call(model, zeros, (x,)).any()
    expected = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    out = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), list(model.parameters())), expected)


def test_meta_device():
    with torch.device("meta"):
        model = torchconv.fuse(torch.nn.Sequential(conv(torch.nn), torch.nn.MaxPool2d(2)))
        assert blocks(model) == {"0": (None, 2)}
        assert model(torch.empty(1, 3, 8, 8)).shape == (1, 4, 3, 3)
