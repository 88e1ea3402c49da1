"""How convolutions would be computed: plans of the C++ half, as named tuples."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from torchconv import _C

_CONV2D_KERNELS = ("forward", "backward_input", "backward_weight")


class Conv2dPlan(NamedTuple):
    """How one kernel of a convolution works on the CPU.

    Attributes:
        algorithm: One of those of :func:`conv2d_algorithm`; ``none`` where a tensor is empty.
        out_channels: Channels of the result in one portion of work (of grad_out, for the gradient
            of the weight).
        images: Images in a portion, or in a block of the sum that is the gradient of the weight;
            tiles of images, for Winograd's algorithm.
        rows: Rows of each of these images; outputs, of a tile.
        columns: Columns of each of these rows.
        items: Portions that are shared out among threads; 0 where no plan counts them (depthwise).
        chunks: Parts into which a sum is cut so that threads can share it.
        scratch_bytes: Scratch memory of each thread.
    """

    algorithm: str
    out_channels: int
    images: int
    rows: int
    columns: int
    items: int
    chunks: int
    scratch_bytes: int


class Conv2dCudaPlan(NamedTuple):
    """How one kernel of a convolution works on a GPU.

    Attributes:
        algorithm: One of those of :func:`cuda_kernels`; ``none`` where a tensor is empty, or where
            no output reads the input.
        arithmetic: ``bf16``, ``f16`` or ``f64`` on tensor cores, or one of the ways to multiply
            float32; empty for ``direct``.
        tile: What a block of threads computes at a time: rows (pixels; for the gradient of the
            weight, output channels, or with ``wgmma`` input channels and taps) by columns.
        chunks: Parts into which a sum is cut, which are added in order; 0 with ``direct``, whose
            kernels settle that as they start.
        launches: Products that are started, with ``wgmma`` one for each group and for each portion
            of images that is copied at a time; for the gradient of the input, each has the pixels
            that leave the same remainders when divided by the strides. 0 with ``direct``.
        workspace_bytes: Memory for parts of sums, and for copies of operands in an order that can
            be read; 0 with ``direct``, which takes at most 64 MiB, and a copy of the weights.
    """

    algorithm: str
    arithmetic: str
    tile: str
    chunks: int
    launches: int
    workspace_bytes: int


_H200 = (132, 90)  # processors, compute capability


def explain_conv2d(
    x: Tensor,
    weight: Tensor,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    device: str | torch.device | None = None,
) -> dict[str, Conv2dPlan] | dict[str, Conv2dCudaPlan]:
    """Says how a convolution and its gradients would be computed now.

    Args:
        x: ``Tensor[batch, in_channels, height, width]`` on any device, ``meta``, too: only sizes,
            dtype and layout are read.
        weight: ``Tensor[out_channels, in_channels / groups, kernel_h, kernel_w]``.
        stride: As for :func:`torchconv.conv2d`, like the rest.
        padding: As for :func:`torchconv.conv2d`.
        dilation: As for :func:`torchconv.conv2d`.
        groups: As for :func:`torchconv.conv2d`.
        device: Where it would be computed; where ``x`` is, if None. ``"cuda"`` needs no GPU: if
            there is none, one like an H200 is assumed.

    Returns:
        The plans of ``forward``, ``backward_input`` and ``backward_weight``:
        :class:`Conv2dCudaPlan` for a GPU, else :class:`Conv2dPlan`.

    Raises:
        RuntimeError: If shapes, dtypes or sizes do not fit together.
        ValueError: If there are no kernels for such a device.
        TypeError: If an argument has the wrong type.

    Example:
        >>> x, weight = torch.randn(8, 64, 56, 56), torch.randn(64, 64, 3, 3)
        >>> torchconv.backends.explain_conv2d(x, weight, padding=1)["forward"].algorithm
        'winograd_4x4'
        >>> x, weight = x.bfloat16(), weight.bfloat16()
        >>> plans = torchconv.backends.explain_conv2d(x, weight, padding=1, device="cuda")
        >>> plans["forward"].arithmetic
        'bf16'
    """
    from torchconv.ops._arguments import check_tensors, conv_padding, integer, pair

    op = "explain_conv2d"
    check_tensors(op, x=x, weight=weight)
    where = x.device if device is None else torch.device(device)
    if device is not None and where.type not in ("cpu", "cuda", "meta"):
        raise ValueError(f"{op}: expected device to be of type cpu, cuda or meta, but got {where}")
    x, weight = (torch.empty_like(t, device="meta") for t in (x, weight))
    strides, dilations = pair(op, "stride", stride), pair(op, "dilation", dilation)
    amounts = conv_padding(op, padding, x.shape, weight.shape, strides, dilations)
    groups = integer(op, "groups", groups)
    out = torch.ops.torchconv.conv2d(x, weight, None, strides, amounts, dilations, groups)
    sizes = [*x.shape, *weight.shape[:1], *weight.shape[2:], *strides, *amounts, *dilations, groups]
    channels_last = out.stride(1) == 1 and out.stride(3) != 1
    sizes += out.shape[2:]
    if where.type == "cuda":
        dtype = str(x.dtype).removeprefix("torch.")
        cuda = _C.explain_conv2d_cuda(sizes, dtype, channels_last, *_gpu(where))
        named = (Conv2dCudaPlan(*plan) for plan in cuda)
        return dict(zip(_CONV2D_KERNELS, named, strict=True))
    is_bf16 = x.dtype == torch.bfloat16
    plans = _C.explain_conv2d(sizes, x.element_size(), is_bf16, channels_last)
    return dict(zip(_CONV2D_KERNELS, (Conv2dPlan(*plan) for plan in plans), strict=True))


def _gpu(device: torch.device) -> tuple[int, int]:
    if not torch.cuda.is_available():
        return _H200
    found = torch.cuda.get_device_properties(device)
    return found.multi_processor_count, 10 * found.major + found.minor
