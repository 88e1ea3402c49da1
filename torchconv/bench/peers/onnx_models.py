"""ONNX Runtime and OpenVINO, which both read a model of a single ONNX operator."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchconv.bench.cases import Case
from torchconv.bench.cases.memory_bound import MaxPool2d, Sigmoid
from torchconv.bench.cases.products import Conv, Linear, MatMul
from torchconv.bench.errors import optional

_OPSET = 17


def model_of(case: Case, given: list[Tensor]) -> bytes:
    """An ONNX model of a shape, with weight and bias as constants."""
    (onnx,) = optional("onnx")
    helper, element = onnx.helper, onnx.TensorProto.FLOAT
    node, options = _node(case)
    constants = given[1:] if isinstance(case, Conv | Linear) else []
    variables = given[: len(given) - len(constants)]
    inputs = [
        helper.make_tensor_value_info(f"in{i}", element, list(t.shape))
        for i, t in enumerate(variables)
    ]
    weights = [
        onnx.numpy_helper.from_array(t.numpy(), f"constant{i}") for i, t in enumerate(constants)
    ]
    names = [value.name for value in (*inputs, *weights)]
    shape = list(case.native(*(t.to("meta") for t in given)).shape)
    out = helper.make_tensor_value_info("out", element, shape)
    nodes = [helper.make_node(node, names, ["out"], **options)]
    graph = helper.make_graph(nodes, "case", inputs, [out], weights)
    # Versions that older engines read, too, whatever the installed onnx would write.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _node(case: Case) -> tuple[str, dict[str, Any]]:
    match case:
        case Conv():
            window = {"strides": case.stride, "pads": case.pad * 2, "dilations": case.dilation}
            return "Conv", {**window, "group": case.groups}
        case MaxPool2d():
            window = {"strides": case.stride, "pads": case.pad * 2}
            return "MaxPool", {**window, "kernel_shape": (case.kernel_h, case.kernel_w)}
        case Linear():
            return "Gemm", {"transB": 1}
        case MatMul():
            return "MatMul", {}
        case Sigmoid():
            return "Sigmoid", {}
    raise NotImplementedError(f"no ONNX operator for {case.operator}")


def onnxruntime_call(case: Case, given: list[Tensor], threads: int) -> Callable[[], Tensor]:
    """A call of ONNX Runtime on the CPU."""
    (onnxruntime,) = optional("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model_of(case, given), options, providers=["CPUExecutionProvider"]
    )
    feed = {value.name: t.numpy() for value, t in zip(session.get_inputs(), given, strict=False)}
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def openvino_call(case: Case, given: list[Tensor], threads: int) -> Callable[[], Tensor]:
    """A call of OpenVINO on the CPU."""
    (openvino,) = optional("openvino")

    core = openvino.Core()
    # float32 as asked for: by default it may compute in bfloat16 where the CPU is faster at it.
    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model_of(case, given)), "CPU", hints)
    request = compiled.create_infer_request()
    feed = [t.numpy() for t in given[: len(compiled.inputs)]]

    def call() -> Tensor:
        request.infer(feed, share_inputs=True, share_outputs=True)
        return torch.from_numpy(request.get_output_tensor().data)

    return call
