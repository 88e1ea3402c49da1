"""torch.compile and torch.export: one graph, forward and backward, for changing shapes."""

import io

import pytest
import torch
from operators import CASES, cases, operators
from refusals import CASES as REFUSALS
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim

import torchconv

pytestmark = pytest.mark.usefixtures("device")
slow_inductor = pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(function, given):
    given = [t.detach().requires_grad_() for t in given]
    out = function(*given)
    return [out, *torch.autograd.grad(out.pow(2).sum(), given)]


@cases
@slow_inductor
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_equals_eager(case, backend, dynamic):
    given = case.inputs()
    compiled = torch.compile(case.ours, backend=backend, dynamic=dynamic, fullgraph=True)
    torch.testing.assert_close(gradients(compiled, given), gradients(case.ours, given))


# A vector has no dimension that could change from call to call.
CHANGING = [name for name, case in CASES.items() if len(case.shapes[0]) > 1]


@pytest.mark.parametrize("name", CHANGING)
def test_changing_sizes_compile_twice_at_most(name):
    """Once for the first size of the batch, or of an image without one, once for all others."""
    case, changing = CASES[name], 1 if name.endswith("-unbatched") else 0
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(case.ours, backend=counter, fullgraph=True)
    for size in range(5, 12):
        sizes = list(case.shapes[0])
        sizes[changing] = size
        given = [torch.randn(sizes, dtype=torch.float64), *case.inputs()[1:]]
        torch.testing.assert_close(gradients(compiled, given), gradients(case.ours, given))
    assert counter.frame_count <= 2


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda *t: f(*t).pow(2).sum()),
    "jvp": lambda f: lambda *t: torch.func.jvp(f, t, t),
    "vmap": lambda f: (
        lambda *t: torch.func.vmap(f, in_dims=(0, *[None] * (len(t) - 1)))(
            torch.stack([t[0], -t[0]]), *t[1:]
        )
    ),
    "hessian": lambda f: torch.func.hessian(lambda *t: f(*t).pow(2).sum()),
    "per-sample": lambda f: (
        lambda *t: torch.func.vmap(
            torch.func.grad(lambda *t: f(*t).pow(2).sum()), in_dims=(0, *[None] * (len(t) - 1))
        )(torch.stack([t[0], -t[0]]), *t[1:])
    ),
}


@operators
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_compiled_transform_equals_eager(case, transform):
    given = case.inputs()
    function = transform(case.ours)
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    # Without the default device, with which torch compiles no hessian, not even one of its own.
    with torch._C.DisableTorchFunction():
        out, expected = compiled(*given), function(*given)
    torch.testing.assert_close(out, expected)


@operators
def test_compiled_under_autocast(device, case):
    given = case.inputs(torch.float32)

    def run(*tensors):
        with torch.autocast(device, torch.bfloat16):
            return case.ours(*tensors)

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    out, expected = compiled(*given), run(*given)
    assert out.dtype == expected.dtype
    torch.testing.assert_close(out, expected)


def strided():
    return torch.nn.Sequential(
        torchconv.nn.Conv2d(3, 4, 3, stride=2, padding="same"), torchconv.nn.ReLU(),
        torchconv.nn.MaxPool2d(2), torch.nn.Flatten(), torchconv.nn.Linear(16, 5),
        torchconv.nn.Sigmoid(),
    )  # fmt: skip


@slow_inductor
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "channels_last"]
)
def test_compiled_network_has_the_eager_gradients(backend, dynamic, memory_format):
    net = strided().to(memory_format=memory_format)
    compiled = torch.compile(net, backend=backend, dynamic=dynamic, fullgraph=True)
    for batch in (2, 3):
        x = torch.randn(batch, 3, 8, 8).to(memory_format=memory_format)
        out, expected = compiled(x), net(x)
        torch.testing.assert_close(out, expected)
        grads, wanted = (
            torch.autograd.grad(o.square().sum(), list(net.parameters())) for o in (out, expected)
        )
        torch.testing.assert_close(grads, wanted)


def test_compiled_pooling_returns_indices():
    def pool(x):
        return torchconv.max_pool2d(x, 2, return_indices=True)

    x = torch.randn(1, 2, 4, 6)
    compiled = torch.compile(pool, backend="aot_eager", fullgraph=True)
    assert all(torch.equal(a, b) for a, b in zip(compiled(x), pool(x), strict=True))


# ---- export ------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
def test_exported_network_comes_back(strict):
    """Export, save, load and run for another batch size; then train what was exported."""
    net, x = strided(), torch.randn(4, 3, 8, 8)
    program = torch.export.export(
        net, (x,), dynamic_shapes=({0: Dim("batch", min=1, max=64)},), strict=strict
    )
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert {"torchconv.conv2d.default", "torchconv.max_pool2d.default"} <= targets
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    other = torch.randn(7, 3, 8, 8)
    torch.testing.assert_close(loaded(other), net(other))
    loaded(other).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())
    decomposed = program.run_decompositions().module()
    torch.testing.assert_close(decomposed(other), net(other))


@pytest.mark.parametrize("padding", ["same", "valid", 1, (1, 2, 0, 1)])
def test_exported_with_every_size_dynamic(padding):
    class Convolution(torch.nn.Module):
        def forward(self, x, weight):
            return torchconv.conv2d(x, weight, stride=2, padding=padding)

    sizes = {0: Dim("n", min=1, max=64), 2: Dim("h", min=8, max=64), 3: Dim("w", min=8, max=64)}
    x, weight = torch.randn(4, 3, 16, 18), torch.randn(5, 3, 3, 3)
    program = torch.export.export(Convolution(), (x, weight), dynamic_shapes=(sizes, None))
    for shape in ((1, 3, 8, 9), (9, 3, 33, 64)):
        x = torch.randn(shape)
        torch.testing.assert_close(program.module()(x, weight), Convolution()(x, weight))


@operators
def test_exported_operator(case):
    class Call(torch.nn.Module):
        def forward(self, *tensors):
            return case.ours(*tensors)

    given = tuple(case.inputs())
    program = torch.export.export(Call(), given)
    torch.testing.assert_close(program.module()(*given), case.ours(*given))


# ---- tensors without data ----------------------------------------------------------------------


@cases
@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "channels_last"]
)
def test_fake_tensors_have_the_real_strides(case, memory_format):
    def run(given):
        given = [t.detach().requires_grad_() for t in given]
        out = case.ours(*given)
        return [out, *torch.autograd.grad(out.sum(), given)]

    given = [t.to(memory_format=memory_format) if t.dim() == 4 else t for t in case.inputs()]
    real = run(given)
    with FakeTensorMode() as mode:
        fake = run([mode.from_tensor(t) for t in given])
    meta = run([t.to("meta") for t in given])
    for other in (fake, meta):
        for a, b in zip(real, other, strict=True):
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)


@pytest.mark.parametrize("name", REFUSALS)
def test_fake_tensors_get_the_same_sentences(device, name):
    call, sentence = REFUSALS[name]
    with pytest.raises(RuntimeError) as error, FakeTensorMode(allow_non_fake_inputs=True) as mode:
        call(lambda tensor: mode.from_tensor(tensor).to(device))
    assert str(error.value).startswith(sentence)
