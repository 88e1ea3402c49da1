"""The same values in every memory layout that a user may bring."""

import torch


def contiguous(x):
    return x.contiguous()


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else transposed(x)


def transposed(x):
    if x.dim() < 2:
        return sliced(x)
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


def sliced(x):
    """Every second element of a larger tensor in each dimension, at an odd offset."""
    large = torch.full(
        [2 * size + 3 for size in x.shape], torch.nan if x.is_floating_point() else 99
    )
    large = large.to(x.dtype)
    view = large[tuple(slice(1, 1 + 2 * size, 2) for size in x.shape)]
    return view.copy_(x)


LAYOUTS = [contiguous, channels_last, transposed, sliced]


def in_layout(layout, x):
    """A copy in that layout, requiring grad where ``x`` does."""
    return layout(x.detach().clone()).requires_grad_(x.requires_grad)
