"""Layers: interchangeable with torch.nn's, and what they can do beyond them."""

import copy
import io

import pytest
import torch

import torchconv
from torchconv import PoolWindow

LAYERS = {
    "Sigmoid": [((), {})],
    "ReLU": [((), {}), ((True,), {})],
    "Linear": [((5, 3), {}), ((5, 3), {"bias": False, "dtype": torch.float64})],
    "Conv2d": [
        ((4, 6, 3), {}),
        ((4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False), {}),
        ((4, 6, 3), {"padding": "same", "dilation": 2}),
        ((4, 6, 2), {"padding": "valid", "stride": 2}),
        *[((4, 6, 3), {"padding": (2, 1), "padding_mode": mode, "stride": 2})
          for mode in ("zeros", "reflect", "replicate", "circular")],
        ((4, 6, 4), {"padding": "same", "padding_mode": "reflect"}),
    ],
    "MaxPool2d": [
        ((2,), {}),
        ((3, 2, 1), {"ceil_mode": True}),
        (((2, 3),), {"stride": (1, 2), "dilation": (1, 2), "return_indices": True}),
    ],
}  # fmt: skip
CASES = [(name, *arguments) for name, several in LAYERS.items() for arguments in several]
INPUTS = {"Linear": (7, 5), "Conv2d": (2, 4, 9, 8), "MaxPool2d": (2, 4, 9, 8)}


def both(name, args, kwargs):
    """The layer of each library, initialised from the same seed."""
    layers = []
    for library in (torchconv.nn, torch.nn):
        torch.manual_seed(1)
        layers.append(getattr(library, name)(*args, **kwargs))
    return layers


def example_input(name, layer):
    dtype = next((p.dtype for p in layer.parameters()), torch.float32)
    return torch.randn(INPUTS.get(name, (3, 4)), dtype=dtype)


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_layer_is_interchangeable_with_torchs(device, name, args, kwargs):
    ours, torchs = both(name, args, kwargs)
    assert isinstance(ours, type(torchs))
    assert repr(ours) == repr(torchs)
    for (key, a), (other, b) in zip(
        ours.state_dict().items(), torchs.state_dict().items(), strict=True
    ):
        assert key == other
        assert torch.equal(a, b)  # the same draws from the same seed
    ours.load_state_dict(torchs.state_dict())
    torchs.load_state_dict(ours.state_dict())

    x = example_input(name, ours)
    results = []
    for layer in (ours, torchs):
        layer.zero_grad()
        given = x.clone().requires_grad_()
        out = layer(given * 1)
        out = out if isinstance(out, tuple) else (out,)
        out[0].square().sum().backward()
        results.append([*out, given.grad, *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(*results)
    if x.dim() == 4:
        torch.testing.assert_close(ours(x[0]), torchs(x[0]))


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_layer_can_be_copied_and_saved(device, name, args, kwargs):
    layer = both(name, args, kwargs)[0]
    x = example_input(name, layer)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for twin in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        torch.testing.assert_close(twin(x.clone()), layer(x.clone()), rtol=0, atol=0)


def test_matmul_layer(device):
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    torch.testing.assert_close(torchconv.nn.MatMul()(a, b), a @ b)
    assert repr(torchconv.nn.MatMul()) == "MatMul()"


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("padding", "stride", "amounts"),
    [
        ((1, 2, 0, 0), 1, (1, 2, 0, 0)),
        ((0, 1, 2, 3), 2, (0, 1, 2, 3)),
        (
            "same",
            2,
            (0, 1, 1, 1),
        ),  # 8 wide: (4 - 1) * 2 + 3 - 8 = 1; 9 high: (5 - 1) * 2 + 3 - 9 = 2
        (
            "same",
            3,
            (0, 1, 0, 0),
        ),  # 8 wide: (3 - 1) * 3 + 3 - 8 = 1; 9 high: (3 - 1) * 3 + 3 - 9 = 0
    ],
)
def test_conv2d_pads_in_ways_that_torch_does_not(device, mode, padding, stride, amounts):
    layer = torchconv.nn.Conv2d(4, 6, 3, stride, padding, padding_mode=mode)
    x = torch.randn(2, 4, 9, 8)
    padded = torch.nn.functional.pad(x, amounts, mode="constant" if mode == "zeros" else mode)
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(x), expected)
    assert f"padding={padding}" in repr(layer)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"padding": "full"}, ValueError, "conv2d: expected padding to be an int.* got 'full'"),
        (
            {"padding": (1, 2, 3)},
            ValueError,
            r"conv2d: expected padding to be .* got \(1, 2, 3\)",
        ),
        (
            {"padding": (0, -1)},
            ValueError,
            r"conv2d: expected padding to be non-negative.*\(0, -1\)",
        ),
        ({"padding": 1.5}, TypeError, "conv2d: expected padding to hold integers, but got 1.5"),
        ({"groups": 3}, ValueError, "divisible by groups"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode"),
    ],
)
def test_conv2d_refuses_bad_arguments_at_once(kwargs, error, message):
    with pytest.raises(error, match=message):
        torchconv.nn.Conv2d(4, 6, 3, **kwargs)


def test_conv2d_with_other_padding_says_what_is_wrong_with_its_input(device):
    layer = torchconv.nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")
    sentence = "conv2d: expected x to be a Tensor, but got list"
    with pytest.raises(TypeError, match=sentence):
        layer([1])
    with torch.device("cpu"), pytest.raises(TypeError, match=sentence):  # a mode sees all calls
        layer([1])
    with pytest.raises(RuntimeError, match="conv2d: expected x to have 4 dimensions"):
        layer(torch.ones(4, 9))


@pytest.mark.parametrize("act", ["relu", "sigmoid", None])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), (1, 2, 0, 0), "same", "valid"])
def test_block_computes_what_its_layers_compute(device, act, mode, padding):
    options = {"stride": 2, "padding": padding, "padding_mode": mode, "dtype": torch.float64}
    pool = PoolWindow((2, 1), stride=1, ceil_mode=True)
    block = torchconv.nn.ConvActPool2d(4, 6, 3, **options, activation=act, pool=pool)
    conv = torchconv.nn.Conv2d(4, 6, 3, **options)
    conv.load_state_dict(block.state_dict())
    activation = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, None: torch.nn.Identity}[act]
    layers = torch.nn.Sequential(conv, activation(), torch.nn.MaxPool2d(*pool[:4], False, True))
    results = []
    for module in (block, layers):
        x = torch.linspace(-2, 2, 2 * 4 * 9 * 8, dtype=torch.float64).sin().reshape(2, 4, 9, 8)
        x.requires_grad_()
        out = module(x)
        out.square().sum().backward()
        results.append((out, x.grad, [p.grad for p in module.parameters()]))
        torch.testing.assert_close(module(x[0]), out[0])
    torch.testing.assert_close(*results)


def test_block_is_a_conv2d_with_two_arguments_more(device):
    torch.manual_seed(1)
    block = torchconv.nn.ConvActPool2d(4, 6, 3, 2, "same", 2, 2, False, "reflect", pool=(2, 1))
    torch.manual_seed(1)
    conv = torchconv.nn.Conv2d(4, 6, 3, 2, "same", 2, 2, False, "reflect")
    assert isinstance(block, torchconv.nn.Conv2d)
    assert repr(block) == (
        repr(conv).replace("Conv2d", "ConvActPool2d").removesuffix(")")
        + ", activation='relu', pool=(2, 1))"
    )
    torch.testing.assert_close(block.state_dict(), conv.state_dict(), rtol=0, atol=0)
    window = PoolWindow(3, 2)
    assert f"pool={window}" in repr(torchconv.nn.ConvActPool2d(4, 6, 3, pool=window))
    file = io.BytesIO()
    torch.save(block, file)
    file.seek(0)
    x = torch.randn(2, 4, 9, 8)
    for twin in (copy.deepcopy(block), torch.load(file, weights_only=False)):
        assert repr(twin) == repr(block)
        assert torch.equal(twin(x), block(x))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"activation": "gelu"}, "activation to be 'relu', 'sigmoid' or None, but got 'gelu'"),
        ({"activation": []}, r"activation to be 'relu', 'sigmoid' or None, but got \[\]"),
        ({"pool": "2"}, "pool to hold integers, but got '2'"),
        ({"pool": (2, 1.5)}, "pool to hold integers, but got 1.5"),
        ({"pool": None}, "pool to hold integers, but got None"),
        ({"pool": 0}, r"pool to be one or two positive integers .*, but got \[0, 0\]"),
        ({"pool": (1, 2, 3)}, r"pool to be one or two positive .*, but got \[1, 2, 3\]"),
        ({"pool": PoolWindow(2, -1)}, r"pool.stride to be .* positive .*\[-1, -1\]"),
        ({"pool": PoolWindow(2, padding=-1)}, r"pool.padding to be .* non-neg.*\[-1, -1\]"),
        ({"pool": PoolWindow(3, padding=2)}, "pool.padding to be at most .*, 1, but got 2"),
        ({"pool": PoolWindow(2, dilation=0)}, r"pool.dilation to be .* positive .*\[0, 0\]"),
        ({"pool": PoolWindow(2, ceil_mode=1)}, "ceil_mode to be a bool, but got 1"),
        ({"pool": 2**64}, "pool to fit in 64 bits"),
    ],
)
def test_block_refuses_bad_arguments_at_once(kwargs, message):
    with pytest.raises(ValueError, match=f"^conv2d_act_pool: expected {message}"):
        torchconv.nn.ConvActPool2d(4, 6, 3, **kwargs)


def test_relu_in_place_overwrites_its_input(device):
    x = torch.randn(5, requires_grad=True)
    y = x * 2
    version = y._version
    out = torchconv.nn.ReLU(inplace=True)(y)
    assert out is y
    assert y._version > version
    out.sum().backward()
    assert torch.equal(x.grad, 2.0 * (x > 0))
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        torchconv.nn.ReLU(inplace=True)(x)


@pytest.mark.parametrize("nn", [torch.nn, torchconv.nn])
def test_relu_in_place_under_transforms(device, nn):
    """The input is overwritten inside every transform as outside."""
    x, layer = torch.linspace(-2, 2, 6).reshape(2, 3), nn.ReLU(inplace=True)

    def overwritten(x):
        y = x * 2
        layer(y)
        return y

    expected = torch.relu(2 * x)
    assert torch.equal(torch.compile(overwritten, backend="aot_eager", fullgraph=True)(x), expected)
    assert torch.equal(torch.func.vmap(overwritten)(x), expected)
    assert torch.equal(torch.func.jvp(overwritten, (x,), (x,))[1], expected)
    assert torch.equal(torch.func.grad(lambda x: overwritten(x).sum())(x), 2.0 * (x > 0))


def test_network_takes_the_weights_of_its_twin(device):
    def network(nn):
        return torch.nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), torch.nn.Flatten(),
            nn.Linear(64, 10), nn.Sigmoid(),
        )  # fmt: skip

    ours, torchs = network(torchconv.nn), network(torch.nn)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(ours(x), torchs(x))
    for memory_format in (torch.channels_last, torch.contiguous_format):
        ours.to(memory_format=memory_format)
        torch.testing.assert_close(ours(x.to(memory_format=memory_format)), torchs(x))
