"""Derivatives of every order and direction: numerically, and beside torch's own."""

import gc
import itertools
import weakref

import pytest
import torch
from operators import cases, operators
from torch.autograd import forward_ad, gradcheck, gradgradcheck

pytestmark = pytest.mark.usefixtures("device")


@cases
def test_gradcheck(case):
    """Reverse and forward mode, and both with vmap over several directions at once."""
    assert gradcheck(
        case.ours, case.inputs(requires_grad=True), check_forward_ad=True,
        check_batched_grad=True, check_batched_forward_grad=True,
    )  # fmt: skip


@cases
def test_gradgradcheck(case):
    """The second derivative: reverse over reverse, forward over reverse, batched."""
    assert gradgradcheck(
        case.ours, case.inputs(requires_grad=True),
        check_fwd_over_rev=True, check_batched_grad=True,
    )  # fmt: skip


@cases
def test_third_derivative(case):
    def gradient(function, *tensors):
        out = function(*tensors)
        return torch.autograd.grad((out**3).sum(), tensors, create_graph=True)

    def third(function):
        inputs = [t.requires_grad_() for t in given]
        first = gradient(function, *inputs)
        second = torch.autograd.grad(sum((g**2).sum() for g in first), inputs, create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in second), inputs)

    given = case.inputs()
    torch.testing.assert_close(third(case.ours), third(case.native))


@cases
def test_gradient_penalty(case):
    """WGAN-GP: the gradient of the norm of a gradient, for all inputs."""

    def penalty(function):
        inputs = [t.requires_grad_() for t in given]
        (grad,) = torch.autograd.grad(
            function(*inputs).square().sum(), inputs[:1], create_graph=True
        )
        loss = (grad.flatten(1).norm(dim=1) - 1).square().mean() if grad.dim() > 1 else grad.norm()
        return torch.autograd.grad(loss, inputs)

    given = case.inputs()
    torch.testing.assert_close(penalty(case.ours), penalty(case.native))


@cases
@pytest.mark.parametrize("product", ["hvp", "vhp"])
def test_hessian_vector_product(case, product):
    given, vectors = tuple(case.inputs()), tuple(case.inputs())
    results = [
        getattr(torch.autograd.functional, product)(
            lambda *t, f=function: f(*t).pow(3).sum(), given, vectors
        )
        for function in (case.ours, case.native)
    ]
    torch.testing.assert_close(*results)


@cases
def test_forward_mode_with_tangents_of_any_inputs(case):
    """forward_ad's dual tensors, for every choice of the inputs that have a tangent."""
    inputs, tangents = case.inputs(), case.inputs()
    for has_tangent in itertools.product([False, True], repeat=len(inputs)):
        with forward_ad.dual_level():
            duals = [
                forward_ad.make_dual(x, t) if has else x
                for x, t, has in zip(inputs, tangents, has_tangent, strict=True)
            ]
            ours, native = (forward_ad.unpack_dual(f(*duals)) for f in (case.ours, case.native))
            torch.testing.assert_close(ours.primal, native.primal)
            assert (ours.tangent is None) == (not any(has_tangent))
            if any(has_tangent):
                torch.testing.assert_close(ours.tangent, native.tangent)


@cases
def test_forward_over_reverse(case):
    """A Hessian-vector product by a dual tensor that goes through backward."""

    def product(function):
        with forward_ad.dual_level():
            duals = [
                forward_ad.make_dual(x.detach().requires_grad_(), v)
                for x, v in zip(given, vectors, strict=True)
            ]
            grads = torch.autograd.grad(function(*duals).pow(3).sum(), duals, create_graph=True)
            return [forward_ad.unpack_dual(g).tangent for g in grads]

    given, vectors = case.inputs(), case.inputs()
    torch.testing.assert_close(product(case.ours), product(case.native))


@cases
def test_gradients_of_any_inputs(case):
    """Every subset of requires_grad gives the same gradients."""
    inputs = case.inputs()
    for needs in itertools.product([False, True], repeat=len(inputs)):
        if not any(needs):
            continue
        given = [x.detach().requires_grad_(need) for x, need in zip(inputs, needs, strict=True)]
        wanted = [x for x in given if x.requires_grad]
        out = case.ours(*given)
        weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
        grads = torch.autograd.grad((out * weights).sum(), wanted)
        expected = torch.autograd.grad((case.native(*given) * weights).sum(), wanted)
        torch.testing.assert_close(grads, expected)


@cases
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_vectorized_jacobian_can_be_differentiated(case, strategy):
    """By torch's older vmap, which works behind is_grads_batched and vectorize."""

    def loss_gradients(function, **options):
        inputs = tuple(t.requires_grad_() for t in given)
        blocks = torch.autograd.functional.jacobian(
            lambda *t: function(*t).pow(3), inputs, **options
        )
        return torch.autograd.grad(sum(b.pow(2).sum() for b in blocks), inputs)

    given = case.inputs()
    # Forward mode is differentiable by itself, and takes no create_graph.
    options = {"vectorize": True, "strategy": strategy, "create_graph": strategy == "reverse-mode"}
    torch.testing.assert_close(
        loss_gradients(case.ours, **options), loss_gradients(case.native, create_graph=True)
    )


@operators
def test_undefined_gradient_is_zero(case):
    """A gradient that never arrives (None) counts as zero, as in torch."""

    class NoGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return None

    inputs = case.inputs(requires_grad=True)
    out = NoGradient.apply(case.ours(*inputs))
    assert all(g is None for g in torch.autograd.grad(out.sum(), inputs, allow_unused=True))


@operators
def test_no_input_is_kept_for_its_own_gradient(case):
    """Neither for backward nor, in vain, for forward mode."""
    for i in range(len(case.shapes)):
        given = case.inputs()
        given[i] = given[i].requires_grad_() * 1
        kept = weakref.ref(given[i])
        out = case.ours(*given)
        del given
        gc.collect()
        assert kept() is None
        out.sum().backward()


@operators
def test_change_in_place_after_saving_is_noticed(case):
    """What backward kept must not be changed before it runs."""
    inputs = [x.requires_grad_() for x in case.inputs()]
    copies = [x * 1 for x in inputs]
    out = case.ours(*copies)
    kept = {t.data_ptr() for t in _saved(out) if t is not None}
    changed = [t for t in (*copies, out) if t.data_ptr() in kept]
    for tensor in changed:
        tensor.detach().add_(1)
    if changed:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()
    else:  # offsets and bits are nothing that a user can reach
        assert case.operator in ("max_pool2d", "relu")
        out.sum().backward()


def _saved(out):
    node = out.grad_fn
    while not hasattr(node, "saved_tensors"):
        node = node.next_functions[0][0]
    return node.saved_tensors
