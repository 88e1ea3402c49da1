"""The shapes that are timed on a GPU: some of each kind, since time there is short."""

# Results are larger than the cache.
_SIZES = tuple(f"size={2**power}" for power in (25, 26, 28))
# Layers of published networks, with the batch that torchconv/bench/tables gives them.
_CONV = (
    "N=50,C=3,H=224,K=64,R=7,stride=2,pad=3",
    "N=50,C=256,H=14,K=256,R=3,pad=1",
    "N=50,C=128,H=28,K=512,R=1",
    "N=50,C=512,H=28,K=256,R=1,stride=2",
    "N=32,C=128,H=56,K=128,R=3,pad=1,groups=128",
    "N=32,C=64,H=112,K=64,R=3,stride=2,pad=1,groups=64",
    "N=32,C=256,H=28,K=256,R=3,pad=1,groups=32",
    "N=64,C=20,H=12,K=50,R=5",
)
# Too slow in float64.
_LARGE_CONV = ("N=64,C=256,H=28,K=512,R=3,pad=1", "N=256,C=96,H=27,K=256,R=5,pad=2,groups=2")
_SHAPES = {
    "sigmoid": _SIZES,
    "relu": _SIZES,
    "conv": _CONV + _LARGE_CONV,
    "linear": (
        "N=128,in=9216,out=4096", "N=64,in=4096,out=4096", "N=128,in=4096,out=1000",
        "N=40,in=1024,out=4096", "N=64,in=768,out=3072", "N=64,in=800,out=500",
    ),
    "matmul": (
        "M=256", "M=512", "M=1024", "M=2048", "M=16,K=4096,N=4096", "M=64,K=65536,N=64",
        "M=65536,K=64,N=64", "B=256,M=64",
    ),
    "block": (
        "N=64,C=256,H=56,K=256,R=3,pad=1", "N=64,C=512,H=14,K=512,R=3,pad=1",
        "N=128,C=64,H=27,K=192,R=5,pad=2,pool=3,pool_stride=2", "N=64,C=1,H=28,K=20,R=5",
    ),
}  # fmt: skip


def shapes(operator: str, dtype: str) -> tuple[str, ...]:
    """Those of a table, as ``--shape`` takes them; none: those of the operator's usual table."""
    if (operator, dtype) == ("conv", "float64"):
        return _CONV
    return _SHAPES.get(operator, ())
