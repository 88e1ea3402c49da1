"""What compute-sanitizer watches: every CUDA operator, forward and twice backward, on odd shapes.

``python -m torchconv.bench.gpu.sanitized``
"""

import torch
from torch import Tensor

import torchconv
from torchconv import backends
from torchconv.bench.cases import CASES, Case, arrange
from torchconv.bench.gpu.times import NAMES

_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
# Sizes and rows that fill neither vectors nor warps nor blocks, and some that fill all of them;
# windows overlap, leave gaps or hang over. Products: tiles that are whole or have a rest, strides,
# groups, and sums so long that they are cut, those of biases, too; groups of few channels, with
# every known window.
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
        "N=1,C=13,H=7,K=11,R=1", "N=2,C=64,H=16,K=64,R=3,pad=1",
        "N=2,C=40,H=15,W=13,K=72,R=3,stride=2,pad=1", "N=1,C=24,H=10,K=130,R=1,stride=2",
        "N=1,C=32,H=9,W=10,K=48,R=3,groups=2", "N=8,C=9,H=34,K=13,R=3,pad=1",
        "N=2,C=6,H=13,W=11,K=10,R=3,stride=2x1,pad=1,groups=2",
        "N=1,C=9,H=9,K=9,R=3,dilation=2,groups=9", "N=2,C=8,H=64,K=8,R=3,pad=1,groups=8",
        "N=1,C=24,H=16,K=24,R=3,stride=2,pad=1,groups=24", "N=1,C=16,H=8,K=16,R=3,pad=1,groups=4",
        "N=1,C=8,H=14,W=16,K=8,R=5,pad=2,groups=8",
        "N=1,C=10,H=12,K=20,R=5,stride=2,pad=2,groups=10", "N=1,C=3,H=11,K=3,R=7,pad=3,groups=3",
        "N=2,C=4,H=96,K=20,R=1",
    ),
    "linear": ("N=3,in=37,out=29", "N=65,in=130,out=67", "N=128,in=64,out=192"),
    "matmul": (
        "M=1", "B=3,M=33,K=17,N=65", "M=129", "M=128", "B=2,M=72,K=40,N=136", "M=5,K=8200,N=3",
    ),
    "block": (
        "N=2,C=16,H=12,K=72,R=3,pad=1", "N=1,C=9,H=13,W=11,K=13,R=3,pool=3",
        "N=1,C=24,H=13,K=40,R=3,pad=1,pool=3,pool_stride=2",
        "N=2,C=6,H=13,W=11,K=10,R=3,pad=1,groups=2,pool=3,pool_stride=2",
    ),
}  # fmt: skip
# What is forced here, a GPU takes by itself only for larger tensors, or others.
_TILES = (
    ("128x128", "tf32"), ("128x64", "tf32"), ("64x64", "tf32"),
    ("128x64", "tf32x3"), ("64x64", "tf32x3"), ("128x64", "fma"), ("64x64", "fma"),
)  # fmt: skip
FORCED: list[tuple[str, str, dict[str, str]]] = [
    *(
        (operator, shape, {"tile": tile, "float32": float32})
        for operator, shape in (
            ("conv", "N=2,C=64,H=12,K=136,R=3,pad=1"),
            ("matmul", "M=264,K=72,N=136"),
        )
        for tile, float32 in _TILES
    ),
    ("conv", "N=2,C=64,H=12,K=136,R=1", {"tile": "128x128", "float32": "tf32"}),
    ("conv", SHAPES["conv"][8], {"algorithm": "product"}),
    ("conv", SHAPES["conv"][0], {"algorithm": "direct"}),
    *(("block", SHAPES["block"][0], {"float32": float32}) for float32 in ("tf32x3", "fma")),
    ("block", "N=2,C=1,H=512,K=40,R=1", {"float32": "fma"}),  # in portions
]


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
            for dtype, offset in _kinds(case):
                for layout in case.layouts:
                    count += _call(case, dtype, layout, offset, device)
    for operator, text, choices in FORCED:
        if NAMES[operator] in names:
            with backends.cuda_kernels(**choices):
                case = CASES[operator].parse(text)
                several = choices.get("float32", "tf32") == "tf32"
                for dtype in _DTYPES[1:] if several else _DTYPES[1:2]:
                    for layout in case.layouts:
                        count += _call(case, dtype, layout, 0, device)
    return count


def _kinds(case: Case) -> list[tuple[torch.dtype, int]]:
    """Dtypes and offsets.

    Of products only some: where they are not aligned, they are loaded as odd ones are; and float16
    is multiplied as bfloat16 is.
    """
    if case.memory_bound:
        return [(dtype, offset) for dtype in _DTYPES for offset in (0, 1)]
    return [*((dtype, 0) for dtype in _DTYPES[:3]), (torch.bfloat16, 1)]


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
