"""ncnn, whose nets are a text with a line per layer and a file with the weights."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from torchconv.bench.cases import Case
from torchconv.bench.cases.memory_bound import MaxPool2d, Sigmoid
from torchconv.bench.cases.products import Conv, Linear, MatMul
from torchconv.bench.errors import optional

_FORMAT = "7767517"
_FLOAT32 = b"\0\0\0\0"  # the tag before a weight that is stored as it is


def ncnn_call(case: Case, given: list[Tensor], threads: int) -> Callable[[], Tensor]:
    """A call of ncnn. A net takes one image at a time, so a batch is a loop."""
    (ncnn,) = optional("ncnn")

    inputs = len(given) if isinstance(case, MatMul) else 1
    lines = [f"Input in{i} 0 1 in{i}" for i in range(inputs)]
    names = " ".join(f"in{i}" for i in range(inputs))
    kind, *values = _layer(case, given)
    settings = " ".join(map(str, values))
    lines.append(f"{kind} layer {inputs} 1 {names} out {settings}")
    text = "\n".join([_FORMAT, f"{len(lines)} {inputs + 1}", *lines, ""])
    net = ncnn.Net()
    net.opt.num_threads = threads
    weights = b""
    if isinstance(case, Conv | Linear):
        weights = _FLOAT32 + given[1].numpy().tobytes() + given[2].numpy().tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.bin")
        path.write_bytes(weights)
        if net.load_param_mem(text) or net.load_model(str(path)):
            raise RuntimeError(f"ncnn does not load a net for {case}")
    batched = not isinstance(case, MatMul | Sigmoid)
    samples = [[t] for t in given[0]] if batched else [given]
    mats = [[ncnn.Mat(t.numpy()).clone() for t in sample] for sample in samples]

    def call() -> Tensor:
        outs = []
        for sample in mats:
            extractor = net.create_extractor()
            for i, mat in enumerate(sample):
                extractor.input(f"in{i}", mat)
            outs.append(torch.from_numpy(extractor.extract("out")[1].numpy()))
        return torch.stack(outs) if batched else outs[0]

    return call


def _layer(case: Case, given: list[Tensor]) -> list[str]:
    """The kind of a layer and its settings, number=value as ncnn's documentation numbers them."""
    match case:
        case Conv():
            kind = "Convolution" if case.groups == 1 else "ConvolutionDepthWise"
            numbers = {
                0: case.out_channels, 1: case.kernel_w, 11: case.kernel_h,
                2: case.dilation[1], 12: case.dilation[0], 3: case.stride[1], 13: case.stride[0],
                4: case.pad[1], 14: case.pad[0], 5: 1, 6: given[1].numel(), 7: case.groups,
            }  # fmt: skip
        case Linear():
            kind, numbers = "InnerProduct", {0: case.out_features, 1: 1, 2: given[1].numel()}
        case MaxPool2d():
            kind = "Pooling"
            numbers = {
                0: 0, 1: case.kernel_w, 11: case.kernel_h, 2: case.stride[1], 12: case.stride[0],
                3: case.pad[1], 13: case.pad[0], 5: 1,
            }  # fmt: skip
        case MatMul():
            kind, numbers = "MatMul", {}
        case Sigmoid():
            kind, numbers = "Sigmoid", {}
        case _:
            raise NotImplementedError(f"no ncnn layer for {case.operator}")
    return [kind, *(f"{number}={value}" for number, value in numbers.items())]
