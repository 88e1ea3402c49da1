"""Autocast: which operators follow the active dtype, and what a training step under it does."""

import pytest
import torch
from operators import PLAIN, cases, network, operators

import torchconv

LOW = [torch.bfloat16, torch.float16]
low = pytest.mark.parametrize("dtype", LOW, ids=["bfloat16", "float16"])
FOLLOWS = {"conv2d", "conv2d_act_pool", "linear", "matmul"}


@cases
@low
def test_dtype_is_that_of_torchs_own_operator(device, case, dtype):
    given = case.inputs(torch.float32)
    with torch.autocast(device, dtype):
        out, expected = case.ours(*given), case.native(*given)
    assert out.dtype == expected.dtype == (dtype if case.operator in FOLLOWS else torch.float32)
    tolerance = {"rtol": 2 * torch.finfo(out.dtype).eps, "atol": 16 * torch.finfo(out.dtype).eps}
    torch.testing.assert_close(out, expected, **tolerance)


@cases
@low
def test_gradients_have_the_dtype_of_the_inputs(device, case, dtype):
    given = case.inputs(torch.float32, requires_grad=True)
    with torch.autocast(device, dtype):
        out, expected = case.ours(*given), case.native(*given)
    grads, wanted = (torch.autograd.grad(o.float().sum(), given) for o in (out, expected))
    assert all(g.dtype == torch.float32 for g in grads)
    torch.testing.assert_close(grads, wanted, rtol=0.02, atol=16 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", sorted(FOLLOWS))
def test_mixed_inputs_are_brought_together(device, name):
    case = PLAIN[name]
    given = [t.to(dtype) for t, dtype in zip(
        case.inputs(), (torch.float32, torch.bfloat16, torch.float16), strict=False)]  # fmt: skip
    with torch.autocast(device, torch.bfloat16):
        assert case.ours(*given).dtype == case.native(*given).dtype


@operators
def test_float64_is_left_alone(device, case):
    given = case.inputs(torch.float64)
    expected = case.ours(*given)
    with torch.autocast(device, torch.bfloat16):
        out = case.ours(*given)
    assert out.dtype == torch.float64
    assert torch.equal(out, expected)


@operators
def test_nested_and_disabled_regions(device, case):
    given = case.inputs(torch.float32)
    dtypes = []
    for function in (case.ours, case.native):
        found = [function(*given).dtype]
        with torch.autocast(device, torch.bfloat16):
            found.append(function(*given).dtype)
            with torch.autocast(device, enabled=False):
                found.append(function(*given).dtype)
            with torch.autocast(device, torch.float16):
                found.append(function(*given).dtype)
            found.append(function(*given).dtype)
        dtypes.append(found)
    assert dtypes[0] == dtypes[1]


@operators
def test_direct_call_follows_as_well(device, case):
    """torch.ops.torchconv.* casts by itself, outside of torchconv's own functions."""
    given = case.inputs(torch.float32)
    geometry = {
        "conv2d": ([1, 1], [0, 0, 1, 1], [1, 1], 1),
        "max_pool2d": ([2, 2], [2, 2], [0, 0], [1, 1], False),
        "conv2d_act_pool": (
            [1, 1],
            [1] * 4,
            [1, 1],
            1,
            "relu",
            [2, 2],
            [2, 2],
            [0, 0],
            [1, 1],
            False,
        ),
    }.get(case.operator, ())
    with torch.autocast(device, torch.bfloat16):
        out = getattr(torch.ops.torchconv, case.operator)(*given, *geometry)
        torch.testing.assert_close(out, case.ours(*given), rtol=0, atol=0)


@operators
def test_transforms_under_autocast(device, case):
    """The cast is part of what is differentiated, as for torch's own operators."""
    given = case.inputs(torch.float32)
    numbers = tuple(range(len(given)))
    results = []
    for function in (case.ours, case.native):
        with torch.autocast(device, torch.bfloat16):
            grads = torch.func.grad(lambda *t, f=function: f(*t).float().sum(), numbers)(*given)
            tangent = torch.func.jvp(function, tuple(given), tuple(given))[1]
        results.append([*grads, tangent])
    assert [t.dtype for t in results[0]] == [t.dtype for t in results[1]]
    torch.testing.assert_close(*results, rtol=0.02, atol=0.1)


@operators
def test_vmap_under_autocast(device, case):
    """As without vmap; torch's own conv2d and linear do not follow autocast here."""
    first, *rest = case.inputs(torch.float32)
    in_dims = (0, *[None] * len(rest))
    with torch.autocast(device, torch.bfloat16):
        out = torch.func.vmap(case.ours, in_dims)(torch.stack([first, first]), *rest)
        torch.testing.assert_close(out[1], case.ours(first, *rest))


def test_backward_inside_the_region(device):
    given = PLAIN["linear"].inputs(torch.float32, requires_grad=True)
    with torch.autocast(device, torch.bfloat16):
        out = torchconv.linear(*given)
        inside = torch.autograd.grad(out.float().sum(), given, retain_graph=True)
    outside = torch.autograd.grad(out.float().sum(), given)
    torch.testing.assert_close(inside, outside)
    assert all(g.dtype == torch.float32 for g in inside)


@low
def test_training_with_a_grad_scaler(device, dtype):
    """The usual loop: autocast, scaled loss, unscaled and clipped gradients, a step."""
    histories = []
    for nn in (torchconv.nn, torch.nn):
        torch.manual_seed(0)
        net = network(nn)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler(device, init_scale=2.0**10)
        x, target = torch.randn(8, 1, 8, 8), torch.rand(8, 5)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            with torch.autocast(device, dtype):
                out = net(x)
                loss = torch.nn.functional.mse_loss(out.float(), target)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        assert all(p.dtype == torch.float32 for p in net.parameters())
        assert losses[-1] < losses[0]
        histories.append(losses)
        assert scaler.get_scale() == 2.0**10  # nothing overflowed
    assert histories[0] == pytest.approx(histories[1], rel=4 * torch.finfo(dtype).eps)


def test_an_overflow_is_seen_by_the_grad_scaler(device):
    layer = torchconv.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach().clone()
    scaler = torch.amp.GradScaler(device, init_scale=2.0**20)
    with torch.autocast(device, torch.float16):
        loss = layer(torch.full((3, 4), 100.0)).sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(layer.weight, before)
    assert scaler.get_scale() == 2.0**19
