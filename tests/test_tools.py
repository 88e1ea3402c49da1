"""torch's tools that look at a program: FLOP counter, fx, overrides, profiler, type checkers."""

import ast
import inspect
import itertools
from pathlib import Path

import pytest
import torch
from operators import PLAIN, cases, operators
from processes import python
from torch.utils.flop_counter import FlopCounterMode

import torchconv

# ---- FLOPs -------------------------------------------------------------------------------------


def flops(function, given):
    given = [t.detach().requires_grad_() for t in given]
    with FlopCounterMode(display=False) as forward:
        out = function(*given)
    with FlopCounterMode(display=False) as backward:
        out.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


def multiplications(case):
    out, given = case.ours(*case.inputs()), case.inputs()
    terms = {
        "matmul": lambda: given[0].shape[-1],
        "linear": lambda: given[0].shape[-1],
        "conv2d": lambda: given[1][0].numel(),
        "conv2d_act_pool": lambda: 4 * given[1][0].numel(),  # of 2 x 2 pixels for each of out
    }
    return out.numel() * terms[case.operator]() if case.operator in terms else 0


@cases
def test_flops(device, case):
    """Two for each multiplication, and twice as many backward; so does torch where it counts."""
    forward, backward = flops(case.ours, case.inputs())
    assert forward == 2 * multiplications(case)
    assert backward == 2 * forward
    native, _ = flops(case.native, case.inputs())
    assert forward == native or native == 0  # as for a product of two vectors


def test_flops_of_a_layer_by_hand(device):
    """8 x 5 x 6 x 6 outputs, each a sum of 3 x 3 x 3 products."""
    layer, x = torchconv.nn.Conv2d(3, 5, 3), torch.randn(8, 3, 8, 8, requires_grad=True)
    forward, backward = flops(lambda x: layer(x), [x])
    assert forward == 2 * 8 * 5 * 6 * 6 * 27
    assert backward == 2 * forward


# ---- graphs of autograd ------------------------------------------------------------------------


def nodes(out):
    """Every node behind a tensor."""
    found, waiting = {}, [out.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found[node] = None
            waiting += [following for following, _ in node.next_functions]
    return list(found)


@cases
def test_nodes_save_tensors_alone(case):
    """For every subset of inputs that need gradients, and behind gradients, as torchviz reads."""
    for needs in itertools.product([False, True], repeat=len(case.shapes)):
        given = [t.requires_grad_(need) for t, need in zip(case.inputs(), needs, strict=True)]
        out, wanted = case.ours(*given), [t for t in given if t.requires_grad]
        if not wanted:
            continue
        grads = torch.autograd.grad(out.square().sum(), wanted, create_graph=True)
        for each in (out, *(grad for grad in grads if grad.requires_grad)):
            for node in nodes(each):
                for saved in getattr(node, "saved_tensors", ()):
                    assert isinstance(saved, torch.Tensor), (node, needs)


# ---- fx ----------------------------------------------------------------------------------------


@operators
def test_symbolic_trace_of_a_function(device, case):
    class Call(torch.nn.Module):
        def forward(self, a, b=None, c=None):
            return case.ours(*(a, b, c)[: len(case.shapes)])

    given = case.inputs()
    traced = torch.fx.symbolic_trace(Call())
    calls = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert calls == [getattr(torchconv, case.operator)]
    torch.testing.assert_close(traced(*given), case.ours(*given))


def layered(**conv):
    return torch.nn.Sequential(
        torchconv.nn.Conv2d(3, 4, 3, **conv), torchconv.nn.ReLU(), torchconv.nn.MaxPool2d(2),
        torch.nn.Flatten(), torchconv.nn.LazyLinear(5), torchconv.nn.Sigmoid(),
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, "same", (2, 1, 0, 1)])
def test_symbolic_trace_of_layers(device, mode, padding):
    net, x = layered(padding=padding, padding_mode=mode), torch.randn(2, 3, 8, 8)
    expected = net(x)
    traced = torch.fx.symbolic_trace(net)
    assert {torchconv.conv2d, torchconv.max_pool2d} <= {n.target for n in traced.graph.nodes}
    torch.testing.assert_close(traced(x), expected)
    other = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(traced(other), net(other))


def test_traced_layers_can_be_saved_and_loaded_elsewhere(device, tmp_path):
    """A GraphModule is saved as code, which a process without torchconv imported must find."""
    net, x = layered(padding=1), torch.randn(2, 3, 8, 8)
    expected = net(x)
    torch.save((torch.fx.symbolic_trace(net), x), tmp_path / "traced.pt")
    code = (
        "import torch; traced, x = torch.load('traced.pt', weights_only=False); "
        "torch.save(traced(x), 'out.pt')"
    )
    result = python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), expected)


def test_make_fx_shows_the_operators(device):
    case = PLAIN["conv2d"]
    graph = torch.fx.experimental.proxy_tensor.make_fx(case.ours)(*case.inputs()).graph
    assert torch.ops.torchconv.conv2d.default in {node.target for node in graph.nodes}


# ---- overrides ---------------------------------------------------------------------------------


@operators
def test_torch_function_modes_see_the_call(device, case):
    seen = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    given = case.inputs()
    with Mode():
        out = case.ours(*given)
    assert seen[0] is getattr(torchconv, case.operator)
    assert torch.equal(out, case.ours(*given))


@operators
def test_subclasses_see_the_call(device, case):
    class Noted(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            out = super().__torch_function__(function, types, args, kwargs or {})
            if function is getattr(torchconv, case.operator):
                out.note = "seen"
            return out

    given = [t.as_subclass(Noted) for t in case.inputs()]
    out = case.ours(*given)
    assert isinstance(out, Noted)
    assert out.note == "seen"


@operators
def test_profiler_names_the_operator(device, case):
    with torch.profiler.profile() as profiler:
        case.ours(*case.inputs())
    assert f"torchconv::{case.operator}" in {event.name for event in profiler.events()}


# ---- types -------------------------------------------------------------------------------------


def test_package_is_typed_and_its_stub_is_complete():
    folder = Path(torchconv.__file__).parent
    assert (folder / "py.typed").exists()
    stub = ast.parse((folder / "_C.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert named == {name for name in dir(torchconv._C) if not name.startswith("_")}


def test_every_function_says_its_types():
    for name in torchconv.functional.__all__:
        function = getattr(torchconv, name)
        assert set(function.__annotations__) == {*inspect.signature(function).parameters, "return"}
