"""The vmap rule of conv2d and of its gradients, which are three views of one form.

With N images, g groups, and C_in and C_out channels in each group, the operators relate

    x[N, g·C_in]      weight[g·C_out, C_in]      out[N, g·C_out]

and each computes one of the three from the other two, linear in both. Two or three of these tensors
have vmap's dimension: the result in any case, and one or both operands. Two tensors have one of N,
C_out and C_in in common, and all three have g. Vmap's dimension becomes part of that one, so that a
single call computes everything: more images, more channels or more groups.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchconv._torch import tree_map
from torchconv.ops._vmap import fold, unfold

# Which tensors have vmap's dimension -> where it goes in each: (dimension, inside its groups?).
_PLACES = {
    # N
    frozenset({"x", "out"}): {"x": (0, False), "out": (0, False)},
    # C_out
    frozenset({"weight", "out"}): {"weight": (0, True), "out": (1, True)},
    # C_in
    frozenset({"x", "weight"}): {"x": (1, True), "weight": (1, False)},
    # g
    frozenset({"x", "weight", "out"}): {"x": (1, False), "weight": (0, False), "out": (1, False)},
}


def vmap_convolution(
    call: Callable[..., Any],
    info: Any,
    result: str,
    groups: int,
    **given: tuple[Any, int | None],
) -> tuple[Any, Any]:
    """Applies ``call(*tensors, groups)`` once for all items.

    In the place of a tensor, given or returned, may be a tuple of tensors with the same channels.

    Args:
        call: The operator, as a function of its two tensors and of groups.
        info: What vmap says about itself.
        result: Which of x, weight and out the operator computes.
        groups: The operator's groups.
        given: The operator's tensors in its order, by name, and the place of vmap's dimension.

    Returns:
        The result and the place of vmap's dimension in it, None if no tensor has one.
    """
    batched = {name for name, (_, place) in given.items() if place is not None} | {result}
    if len(batched) == 1:
        out = call(*[tensor for tensor, _ in given.values()], groups)
        return out, None if isinstance(out, Tensor) else (None,) * len(out)
    places = _PLACES[frozenset(batched)]
    size = info.batch_size

    def folded(name: str) -> Any:
        tensors, place = given[name]
        if place is None:
            return tensors
        dim, inside = places[name]
        return tree_map(lambda x: fold(x, place, dim, size, groups if inside else 1), tensors)

    out = call(*map(folded, given), groups * size if len(batched) == 3 else groups)
    dim, inside = places[result]
    inner = groups if inside else 1
    if isinstance(out, Tensor):
        return unfold(out, dim, size, inner)
    pairs = [unfold(each, dim, size, inner) for each in out]
    return tuple(each for each, _ in pairs), tuple(place for _, place in pairs)
