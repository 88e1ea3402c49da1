"""What the command line says of itself, by subcommand where they differ."""

from torchconv.bench.memory_report import LEGEND as LEGEND_MEMORY
from torchconv.bench.report import LEGEND

_NET = """\
Times training steps of whole networks, built from torchconv.nn and from torch.nn: forward, cross
entropy, backward and a step of SGD. The losses and gradients of the first step must agree; else the
network is shown as FAILED, and the exit code is 1. Then both take turns, in each layout."""
_MEMORY = """\
Measures what training steps of whole networks take in memory, built from torch.nn, from
torchconv.nn, and from the latter with torchconv.fuse: the bytes that autograd saves for backward,
and the most resident memory of a process that does nothing else. The losses of the first step must
agree; else the network is shown as FAILED, and the exit code is 1."""
DESCRIPTION = """\
Times torchconv beside torch. Every shape is first verified against float64, forward and each
gradient, a large one with a smaller batch; a wrong result is shown as FAILED, and the exit code is
1. Then both libraries take turns, forward (under no_grad) and forward with backward (gradients of
all arguments, but of a convolution with 4 channels or fewer, a first layer, not that of its
images), in each layout. With --device cuda, what is bound by memory is timed backward, too, on its
own."""
_GPU = """\
Proves and measures on a GPU, in one go: the tests that run there (those of tests/, in this folder),
times of what has CUDA kernels, and NVIDIA's compute-sanitizer, if it is installed. Each part has
processes of its own and a time limit, so that a crash, or a kernel that never ends, leaves the
results of the others. The table at the end says which goals are met. The exit code is 1 if a test
fails, a result is wrong, the sanitizer finds something, or a process of tests or times does not
come to its end."""

# Of the subcommands that are no operators: in the list, at the head and at the foot of their help.
NETWORK_HELP = {
    "net": ("whole training steps of networks", _NET, LEGEND),
    "memory": ("what training steps of networks take in memory", _MEMORY, LEGEND_MEMORY),
}
GPU_HELP = ("tests, times and sanitizer on a GPU, as one report", _GPU)
SHAPES = {
    "conv": "N=8,C=64,H=56,W=56,K=64,R=3,S=3,stride=1,pad=1,dilation=1,groups=1 (batch, input "
    "channels, height, width, output channels, kernel height and width); C, H, K and R must be "
    "given; stride, pad and dilation may be HEIGHTxWIDTH",
    "linear": "N=64,in=9216,out=4096 (batch and features); in and out must be given",
    "matmul": "B=1,M=512,K=512,N=512 (B products of [M, K] and [K, N]); M must be given, "
    "and K and N are M by default",
    "pool": "N=8,C=64,H=112,W=112,R=3,S=3,stride=2,pad=1 (batch, channels, height, width, window); "
    "C, H and R must be given, stride is R by default",
    "sigmoid": "size=1000000 (elements)",
    "relu": "size=1000000 (elements)",
    "block": "N=8,C=64,H=56,W=56,K=64,R=3,S=3,stride=1,pad=1,dilation=1,groups=1,pool=2,"
    "pool_stride=2 (as for conv, then the size of a square window and its step); C, H, K and R "
    "must be given, pool is 2 by default, and pool_stride is pool",
}
BATCHES = {
    **dict.fromkeys(
        ("conv", "pool", "block"),
        "4 and 8, or the table's own where it is smaller; on cuda the table's own",
    ),
    "linear": "the table's own",
    **dict.fromkeys(("net", "memory"), "64 for lenet, 4 for vgg_16, 8 for the others"),
}
