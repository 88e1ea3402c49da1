"""conv2d_act_pool gives what conv2d, the activation and max_pool2d give one after the other."""

import pytest
import torch
from accuracy import same_on_any_threads
from torch.utils.flop_counter import FlopCounterMode

import torchconv
from torchconv import PoolWindow

CASES = {
    "2x2": {"x": (3, 4, 13, 12), "weight": (6, 4, 3, 3), "padding": 1},
    "overlapping": {"x": (2, 3, 17, 15), "weight": (5, 3, 3, 3), "pool": PoolWindow(3, 2, 1)},
    "stride": {
        "x": (2, 3, 21, 20), "weight": (4, 3, 5, 3), "stride": (3, 2), "padding": (1, 2, 0, 3),
    },
    "dilation": {
        "x": (2, 2, 16, 17), "weight": (3, 2, 2, 3), "dilation": (2, 1),
        "pool": PoolWindow(2, 1, 0, 2, True),
    },
    "groups in lanes": {
        "x": (3, 8, 23, 12), "weight": (8, 2, 3, 3), "groups": 4, "pool": PoolWindow(3, 2, 1),
    },
    "groups": {"x": (2, 4, 9, 9), "weight": (6, 2, 3, 3), "groups": 2},
    "depthwise": {"x": (2, 5, 9, 9), "weight": (5, 1, 3, 3), "groups": 5, "padding": 1},
    "depthwise planes": {
        "x": (2, 4, 40, 19), "weight": (8, 1, 5, 3), "groups": 4, "pool": PoolWindow(3, 2, 1),
    },
    "winograd": {"x": (2, 32, 18, 17), "weight": (32, 32, 3, 3), "padding": 1},
    "wide": {"x": (1, 2, 22, 23), "weight": (2, 2, 2, 2), "pool": PoolWindow((16, 17), 3)},
}  # fmt: skip
ACTIVATIONS = {"relu": torchconv.relu, "sigmoid": torchconv.sigmoid, None: lambda x: x}
PORTIONS = (1, 3000, 2 << 20)  # some rows at a time, images, everything


def operands(case, dtype=torch.float64, channels_last=False, bias=True):
    format = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(CASES[case]["x"], dtype=dtype).to(memory_format=format)
    weight = torch.randn(CASES[case]["weight"], dtype=dtype)
    given = [x, weight, torch.randn(weight.shape[0], dtype=dtype)][: 2 + bias]
    return [tensor.requires_grad_() for tensor in given]


def options(case):
    return {k: v for k, v in CASES[case].items() if k not in ("x", "weight")}


def one_after_the_other(case, activation, *given):
    rest = options(case)
    pool = rest.pop("pool", 2)
    window = pool if isinstance(pool, PoolWindow) else PoolWindow(pool)
    return torchconv.max_pool2d(ACTIVATIONS[activation](torchconv.conv2d(*given, **rest)), *window)


def block(case, activation, *given):
    return torchconv.conv2d_act_pool(*given, activation=activation, **options(case))


@pytest.mark.parametrize("portion", PORTIONS)
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES)
def test_results_and_gradients(kernels, case, activation, channels_last, portion):
    given = operands(case, channels_last=channels_last)
    expected = one_after_the_other(case, activation, *given)
    with torchconv.backends.portion_bytes(portion):
        out = block(case, activation, *given)
        grad_out = torch.randn_like(out)
        gradients = torch.autograd.grad(out, given, grad_out)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        gradients, torch.autograd.grad(expected, given, grad_out), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES)
def test_exact_on_small_integers(case, dtype):
    given = [
        torch.randint(-1, 2, tensor.shape).to(dtype).requires_grad_() for tensor in operands(case)
    ]
    with torchconv.backends.winograd(allow=False):  # whose fractions would be rounded
        expected = one_after_the_other(case, "relu", *given)
        out = block(case, "relu", *given)
        grad_out = torch.randint(-1, 2, out.shape).to(dtype)
        gradients = [torch.autograd.grad(o, given, grad_out) for o in (out, expected)]
    assert torch.equal(out, expected)
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("portion", PORTIONS)
@pytest.mark.parametrize("channels_last", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_threads_and_weight_gradients_not_on_portions(
    kernels, case, channels_last, portion
):
    given = operands(case, torch.float32, channels_last)
    (expected,) = torch.autograd.grad(one_after_the_other(case, "relu", *given).sum(), given[1])

    def call():
        with torchconv.backends.portion_bytes(portion):
            out = block(case, "relu", *given)
            return out, *torch.autograd.grad(out.sum(), given)

    assert torch.equal(same_on_any_threads(call)[2], expected)


def test_many_small_images():
    """Of which a portion holds so many that rows of all of them follow each other in scratch."""
    x, weight = torch.randn(32, 16, 8, 8), torch.randn(255, 16, 3, 3, requires_grad=True)
    grads = [
        torch.autograd.grad(out.sum(), weight)[0]
        for out in (
            torchconv.conv2d_act_pool(x, weight, padding=1),
            torchconv.max_pool2d(torchconv.relu(torchconv.conv2d(x, weight, padding=1)), 2),
        )
    ]
    assert torch.equal(*grads)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", ["overlapping", "stride", "groups"])
def test_derivatives_of_both_orders_and_modes(case, activation):
    given = [tensor.detach()[:, :, :9, :9].requires_grad_() if tensor.dim() == 4 and i == 0
             else tensor for i, tensor in enumerate(operands(case))]  # fmt: skip

    def call(*tensors):
        return block(case, activation, *tensors)

    assert torch.autograd.gradcheck(call, given, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, given, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize("in_dims", [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)])
@pytest.mark.parametrize("case", ["2x2", "groups"])
def test_vmap(case, in_dims):
    given = [
        torch.stack([tensor.detach(), 2 * tensor.detach()]) if place == 0 else tensor.detach()
        for tensor, place in zip(operands(case), in_dims, strict=True)
    ]

    def gradients(*tensors):
        return torch.func.grad(lambda *t: block(case, "sigmoid", *t).sin().sum(), (0, 1, 2))(
            *tensors
        )

    items = [[t[i] if d == 0 else t for t, d in zip(given, in_dims, strict=True)] for i in (0, 1)]
    for call in (lambda *t: (block(case, "relu", *t),), gradients):
        batched = torch.func.vmap(call, in_dims)(*given)
        for i in (0, 1):
            torch.testing.assert_close([each[i] for each in batched], list(call(*items[i])))


@pytest.mark.parametrize("algorithm", ["channels", "pixels", "winograd_2x2", "winograd_4x4"])
@pytest.mark.parametrize("portion", PORTIONS)
def test_every_algorithm(algorithm, portion):
    given = operands("winograd")
    expected = one_after_the_other("winograd", "relu", *given)
    with torchconv.backends.conv2d_algorithm(algorithm), torchconv.backends.portion_bytes(portion):
        out = block("winograd", "relu", *given)
        grad_out = torch.randn_like(out)
        gradients = torch.autograd.grad(out, given, grad_out)
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(
        gradients, torch.autograd.grad(expected, given, grad_out), rtol=1e-9, atol=1e-9
    )


def test_autocast_makes_it_bfloat16():
    x, weight, bias = operands("2x2", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = block("2x2", "relu", x, weight, bias)
    expected = block("2x2", "relu", *(t.bfloat16() for t in (x, weight, bias)))
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected)


def test_counts_the_operations_of_the_convolution():
    given = operands("stride", torch.float32)
    counts = []
    for call in (block, one_after_the_other):
        with FlopCounterMode(display=False) as counter:
            call("stride", "relu", *given).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_compiles_whole():
    given = operands("2x2", torch.float32)
    compiled = torch.compile(
        lambda *t: block("2x2", "relu", *t), fullgraph=True, backend="aot_eager"
    )
    torch.testing.assert_close(compiled(*given), block("2x2", "relu", *given))
    torch.testing.assert_close(
        torch.autograd.grad(compiled(*given).sum(), given),
        torch.autograd.grad(block("2x2", "relu", *given).sum(), given),
    )


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_keeps_a_byte_for_each_element(activation):
    x, weight, bias = operands("2x2", torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = block("2x2", activation, x, weight, bias)
    others = [t for t in kept if t.data_ptr() not in (x.data_ptr(), weight.data_ptr())]
    bytes_of_out = out.element_size() if activation == "sigmoid" else 0
    assert sum(t.nbytes for t in others) == out.numel() * (1 + bytes_of_out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"activation": "tanh"}, "activation to be 'relu', 'sigmoid' or None, but got 'tanh'"),
        (
            {"pool": 9},
            "the dilated window of pool to fit into the padded size 8 of the convolution's output",
        ),
        ({"pool": PoolWindow(2, 0)}, "stride to be positive"),
    ],
)
def test_refusals(arguments, sentence):
    with pytest.raises(RuntimeError, match="conv2d_act_pool: expected ") as error:
        torchconv.conv2d_act_pool(torch.randn(1, 2, 10, 10), torch.randn(3, 2, 3, 3), **arguments)
    assert sentence in str(error.value)
