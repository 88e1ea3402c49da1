"""What compute-sanitizer watches: every CUDA operator, forward and twice backward, on odd shapes.

``python -m torchconv.bench.gpu.sanitized``
"""

import torch
from torch import Tensor

import torchconv
from torchconv import backends
from torchconv.bench.cases import CASES, Case, arrange
from torchconv.bench.gpu.times import NAMES

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# Sizes and rows that fill neither vectors nor warps nor blocks, and some that fill all of them;
# windows overlap, leave gaps or hang over.
SHAPES = {
    "pool": (
        "N=2,C=3,H=13,W=11,R=3,stride=2,pad=1", "N=1,C=5,H=9,W=35,R=2",
        "N=3,C=1,H=7,W=7,R=3,S=2,stride=1", "N=1,C=70,H=8,W=9,R=2,stride=3",
        "N=1,C=2,H=20,W=19,R=17,stride=3,pad=8", "N=2,C=16,H=14,W=32,R=3,stride=2,pad=1",
        "N=2,C=16,H=33,W=66,R=3,stride=2", "N=2,C=16,H=14,W=64,R=2",
    ),
    "sigmoid": ("size=1", "size=1021", "size=4099", "size=32768"),
    "relu": ("size=1", "size=1021", "size=4099", "size=32768"),
    "conv": (
        "N=2,C=6,H=13,W=11,K=10,R=3,stride=2x1,pad=1,groups=2", "N=1,C=5,H=7,K=3,R=1",
        "N=1,C=9,H=9,K=9,R=3,dilation=2,groups=9",
    ),
    "linear": ("N=3,in=37,out=29", "N=65,in=130,out=67"),
    "matmul": ("M=1", "B=3,M=33,K=17,N=65", "M=129"),
    "block": ("N=2,C=6,H=13,W=11,K=10,R=3,pad=1,groups=2,pool=3,pool_stride=2",),
}  # fmt: skip


def exercise(names: list[str], device: str) -> int:
    """Calls operators, and returns how many results there were.

    Args:
        names: Those of operators in torchconv.
        device: Where.
    """
    count = 0
    for operator, name in NAMES.items():
        for text in SHAPES[operator] if name in names else ():
            case = CASES[operator].parse(text)
            for dtype in _DTYPES:
                for layout in case.layouts:
                    for offset in (0, 1):
                        count += _call(case, dtype, layout, offset, device)
    return count


def _call(case: Case, dtype: torch.dtype, layout: str, offset: int, device: str) -> int:
    tensors = [arrange(t.to(device, dtype), layout) for t in case.tensors()]
    leaves = [_moved(t, offset).requires_grad_() for t in tensors]
    with torch.no_grad():
        case.ours(*leaves)
    if case.operator == "pool":
        window = case.kernel_h, case.kernel_w  # type: ignore[attr-defined]
        torchconv.max_pool2d(leaves[0], window, return_indices=True)
    out = case.ours(*leaves)
    grad_out = _moved(arrange(torch.randn_like(out.detach()), layout), offset).requires_grad_()
    grads = torch.autograd.grad(out, leaves, grad_out, create_graph=True)
    again = torch.autograd.grad(grads, [grad_out], [torch.ones_like(grad) for grad in grads])
    return len([out, *grads, *again])


def _moved(tensor: Tensor, offset: int) -> Tensor:
    """A copy that starts so many elements after a boundary of memory."""
    place = torch.empty(tensor.numel() + offset, dtype=tensor.dtype, device=tensor.device)
    moved = place.as_strided(tensor.shape, tensor.stride(), offset)
    return moved.copy_(tensor).detach()


if __name__ == "__main__":
    print(f"{exercise(backends.cuda_operators(), 'cuda')} results")
    torch.cuda.synchronize()
