"""torch.func on every operator, beside torch's own operators and beside plain loops."""

import itertools

import pytest
import torch
from operators import CASES, cases, distinct, network
from operators import direct_samples as samples
from torch.utils._python_dispatch import TorchDispatchMode

import torchconv

func = torch.func
pytestmark = pytest.mark.usefixtures("device")


class CountCalls(TorchDispatchMode):
    """Counts the kernels of torchconv that run, and refuses torch's own for the same work."""

    THEIRS = (
        "mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "convolution",
        "max_pool2d_with_indices", "sigmoid", "relu",
    )  # fmt: skip

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        namespace, name = function.name().split(".")[0].split("::")
        assert name not in self.THEIRS or namespace == "torchconv"
        self.calls += namespace == "torchconv"
        return function(*args, **(kwargs or {}))


def each_in_dims(case):
    """Every place of vmap's dimension in every input, None included, but not in all of them."""
    places = [(None, *range(len(shape) + 1)) for shape in case.shapes]
    return [dims for dims in itertools.product(*places) if any(d is not None for d in dims)]


def batched(shape, dim, size):
    return distinct(shape if dim is None else (*shape[:dim], size, *shape[dim:]))


@cases
def test_vmap_with_each_in_dims(case):
    for in_dims in each_in_dims(case):
        given = [batched(s, d, 3) for s, d in zip(case.shapes, in_dims, strict=True)]
        with CountCalls() as counted:
            out = func.vmap(case.ours, in_dims)(*given)
        assert counted.calls == 1  # never a loop
        torch.testing.assert_close(out, func.vmap(case.native, in_dims)(*given))


@cases
def test_vmap_over_no_items(case):
    """Empty, with the shape of one result; torch's own conv2d and max_pool2d do not manage that."""
    out = func.vmap(case.ours)(*[batched(shape, 0, 0) for shape in case.shapes])
    single = case.ours(*case.inputs())
    assert out.shape == (0, *single.shape)
    assert out.dtype == single.dtype


@cases
def test_vmap_out_dims_and_nested(case):
    given = [distinct((2, *shape[:1], 3, *shape[1:])) for shape in case.shapes]
    inner = (1,) * len(given)
    results = [func.vmap(func.vmap(f, inner, out_dims=-1), out_dims=1)(*given)
               for f in (case.ours, case.native)]  # fmt: skip
    torch.testing.assert_close(*results)


@cases
@pytest.mark.parametrize("chunk_size", [1, 2])
def test_vmap_in_chunks(case, chunk_size):
    given = [batched(shape, 0, 3) for shape in case.shapes]
    whole = func.vmap(case.ours)(*given)
    torch.testing.assert_close(func.vmap(case.ours, chunk_size=chunk_size)(*given), whole)


def everything(case):
    return tuple(range(len(case.shapes)))


def cubed(function):
    return lambda *tensors: function(*tensors).pow(3).sum()


# name -> a transform of (function of the inputs, their numbers, the inputs, as many tangents)
TRANSFORMS = {
    "grad": lambda f, n, x, v: func.grad(cubed(f), n)(*x),
    "grad_and_value": lambda f, n, x, v: func.grad_and_value(cubed(f), n)(*x),
    "vjp": lambda f, n, x, v: func.vjp(f, *x)[1](f(*v)),
    "jvp": lambda f, n, x, v: func.jvp(f, tuple(x), tuple(v)),
    "linearize": lambda f, n, x, v: func.linearize(f, *x)[1](*v),
    "jacrev": lambda f, n, x, v: func.jacrev(f, n)(*x),
    "jacfwd": lambda f, n, x, v: func.jacfwd(f, n)(*x),
    "hessian": lambda f, n, x, v: func.hessian(cubed(f), n)(*x),
    "jacrev-of-jacfwd": lambda f, n, x, v: func.jacrev(func.jacfwd(cubed(f), n), n)(*x),
    "jacrev-of-jacrev": lambda f, n, x, v: func.jacrev(func.jacrev(cubed(f), n), n)(*x),
    "jacfwd-of-jacfwd": lambda f, n, x, v: func.jacfwd(func.jacfwd(cubed(f), n), n)(*x),
    "hvp": lambda f, n, x, v: func.jvp(func.grad(cubed(f), n), tuple(x), tuple(v)),
    "grad-of-jvp": lambda f, n, x, v: func.grad(
        lambda *x: func.jvp(cubed(f), x, tuple(v))[1], n)(*x),
    "grad-of-vmap": lambda f, n, x, v: func.grad(
        lambda *x: func.vmap(f)(*[torch.stack([t, 2 * t]) for t in x]).pow(3).sum(), n)(*x),
    "vmap-of-grad": lambda f, n, x, v: func.vmap(func.grad(cubed(f), n))(
        *[torch.stack(pair) for pair in zip(x, v, strict=True)]),
    "vmap-of-jvp": lambda f, n, x, v: func.vmap(lambda *v: func.jvp(f, tuple(x), v))(
        *[torch.stack([t, 2 * t]) for t in v]),
    "vmap-of-hessian": lambda f, n, x, v: func.vmap(func.hessian(cubed(f)))(
        *[torch.stack(pair) for pair in zip(x, v, strict=True)]),
    "functionalize": lambda f, n, x, v: func.functionalize(f)(*x),
}  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@cases
def test_transform_equals_torchs(case, transform):
    given, tangents = case.inputs(), case.inputs()
    ours, native = (
        transform(function, everything(case), given, tangents)
        for function in (case.ours, case.native)
    )
    torch.testing.assert_close(ours, native)


@cases
def test_per_sample_gradients(case):
    """The last inputs are parameters, shared by all samples: vmap over grad, in one pass."""
    x = batched(case.shapes[0], 0, 3)
    parameters = case.inputs()[1:]
    numbers = everything(case)

    def gradients(function):
        in_dims = (0, *[None] * len(parameters))
        return func.vmap(func.grad(cubed(function), numbers), in_dims)(x, *parameters)

    grads = gradients(case.ours)
    torch.testing.assert_close(grads, gradients(case.native))
    for i in range(3):
        single = func.grad(cubed(case.ours), numbers)(x[i], *parameters)
        torch.testing.assert_close([g[i] for g in grads], list(single))


def test_per_sample_gradients_of_a_network_are_one_pass():
    net = network(torchconv.nn).double()
    parameters = dict(net.named_parameters())
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)

    def loss(parameters, image):
        return func.functional_call(net, parameters, (image[None],)).square().sum()

    with CountCalls() as once:
        func.grad(loss)(parameters, images[0])
    with CountCalls() as counted:
        grads = func.vmap(func.grad(loss), (None, 0))(parameters, images)
    assert counted.calls == once.calls
    for i, image in enumerate(images):
        single = func.grad(loss)(parameters, image)
        torch.testing.assert_close({k: g[i] for k, g in grads.items()}, single)


@pytest.mark.parametrize("x_dim", [None, 0])
def test_ensemble_of_networks(x_dim):
    """vmap over parameters: more output channels for an input that all share, else more groups."""
    nets = [torchconv.nn.Conv2d(2, 3, 3) for _ in range(4)]
    parameters, buffers = func.stack_module_state(nets)
    x = torch.randn(2, 2, 6, 6) if x_dim is None else torch.randn(4, 2, 2, 6, 6)

    def call(parameters, buffers, x):
        return func.functional_call(nets[0], (parameters, buffers), (x,))

    with CountCalls() as counted:
        out = func.vmap(call, (0, 0, x_dim))(parameters, buffers, x)
    assert counted.calls == 1
    images = [x] * 4 if x_dim is None else x
    expected = [net(image) for net, image in zip(nets, images, strict=True)]
    torch.testing.assert_close(out, torch.stack(expected))


# Direct calls of every operator of the dispatcher, those of gradients included.
DIRECT = list(samples())


def direct(name):
    """The operator as a function of its floating-point tensors, and those, in float64."""
    arguments = samples()[name]()
    places = [i for i, a in enumerate(arguments) if isinstance(a, torch.Tensor) and a.requires_grad]
    if name == "relu_backward":  # flat in its second argument
        places = places[:1]

    def call(*tensors):
        given = [a.detach().double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
                 for a in arguments]  # fmt: skip
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        out = getattr(torch.ops.torchconv, name)(*given)
        return out[0] if isinstance(out, tuple) else out

    return call, [arguments[i].detach().double() for i in places]


@pytest.mark.parametrize("name", [name for name in DIRECT if name != "max_pool2d_indices"])
def test_direct_call_of_any_operator_has_its_derivatives(name):
    """Forward-mode AD agrees with reverse mode: <w, J v> = <Jᵀ w, v>; neither is zero."""
    call, given = direct(name)
    tangents = [torch.randn_like(t) for t in given]
    out, tangent = func.jvp(call, tuple(given), tuple(tangents))
    cotangent = torch.randn_like(out)
    grads = func.vjp(call, *given)[1](cotangent)
    product = sum((g * t).sum() for g, t in zip(grads, tangents, strict=True))
    torch.testing.assert_close((cotangent * tangent).sum(), product)
    assert product.abs() > 0

    with torch.autograd.forward_ad.dual_level():
        duals = map(torch.autograd.forward_ad.make_dual, given, tangents)
        dual = torch.autograd.forward_ad.unpack_dual(call(*duals))
    torch.testing.assert_close(dual.tangent, tangent)


@pytest.mark.parametrize("name", DIRECT)
def test_direct_call_of_any_operator_under_vmap(name):
    arguments = samples()[name]()
    tensors = [i for i, a in enumerate(arguments) if isinstance(a, torch.Tensor)]

    def call(*given):
        full = list(arguments)
        for place, tensor in zip(tensors, given, strict=True):
            full[place] = tensor
        return getattr(torch.ops.torchconv, name)(*full)

    given = [arguments[i].detach() for i in tensors]
    stacks = [torch.stack([t, t.flip(0), t.flip(-1)], -1) for t in given]
    for has in itertools.product([False, True], repeat=len(given)):
        if any(has):
            mixed = [s if h else t for s, t, h in zip(stacks, given, has, strict=True)]
            out = func.vmap(call, tuple(-1 if h else None for h in has))(*mixed)
            for i in range(3):
                single = call(*[m[..., i] if h else m for m, h in zip(mixed, has, strict=True)])
                pairs = zip(out, single, strict=True) if isinstance(out, tuple) else [(out, single)]
                for ours, expected in pairs:
                    torch.testing.assert_close(ours[i], expected)


@cases
def test_no_grad_inside_counts_for_every_level(case):
    """What is computed under no_grad is constant for outer transforms, too, but has tangents."""

    def product(function):
        def call(*tensors):
            with torch.no_grad():
                constant = function(*tensors)
            return (tensors[0].sum() * constant).sum()

        return call

    given, numbers = case.inputs(), everything(case)
    results = []
    for function in (case.ours, case.native):
        call = product(function)
        gradient = func.grad(call)
        leaves = [t.clone().requires_grad_() for t in given]
        assert not gradient(*leaves).requires_grad
        results.append((
            func.jacrev(gradient, numbers)(*given),
            func.jvp(gradient, tuple(given), tuple(given)),
            func.jacrev(lambda *t, f=call: func.jvp(f, t, t)[1], numbers)(*given),
        ))  # fmt: skip
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", DIRECT)
def test_a_tensor_that_escaped_from_vmap_is_refused(name):
    arguments, escaped = list(samples()[name]()), []
    func.vmap(lambda t: escaped.append(t) or t)(arguments[0].detach()[None])
    called = name.partition("_with_")[0]
    sentence = rf"^{called}: expected \w+ to be a dense .*, but got a tensor that has escaped from"
    with pytest.raises(RuntimeError, match=sentence):
        getattr(torch.ops.torchconv, name)(escaped[0], *arguments[1:])


def test_pooling_returns_indices_under_vmap():
    x = distinct((3, 2, 2, 4, 6))
    results = [func.vmap(lambda x, f=f: f(x, 2, return_indices=True))(x)
               for f in (torchconv.max_pool2d, torch.nn.functional.max_pool2d)]  # fmt: skip
    torch.testing.assert_close(*results)


def test_every_case_names_an_operator():
    operators = {case.operator for case in CASES.values()}
    assert operators == set(torchconv.functional.__all__)
