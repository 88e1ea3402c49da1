// Tensors that no kernel can take: sparse, quantised, MKL-DNN and nested ones, and devices that
// an operator has no kernels for. Without these the dispatcher answers with a page of its own
// internals.
#include "refusals.h"

#include <torch/library.h>

#include <iterator>

namespace torchconv {
namespace {

constexpr const char* kOperators[] = {
    "sigmoid",
    "sigmoid_backward",
    "relu",
    "relu_with_mask",
    "relu_backward",
    "matmul",
    "linear",
    "linear_backward_bias",
    "conv2d",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_backward_bias",
    "max_pool2d",
    "max_pool2d_with_offsets",
    "max_pool2d_indices",
    "max_pool2d_backward",
    "max_pool2d_gather",
    "conv2d_act_pool",
    "conv2d_act_pool_with_offsets",
    "conv2d_pool_backward_input",
    "conv2d_pool_backward_weight",
};

#ifdef TORCHCONV_WITH_CUDA
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif

/// What is wrong with a tensor for the kernels of an operator; empty if nothing.
std::string complaint(const at::Tensor& tensor) {
  std::ostringstream text;
  if (tensor.key_set().has(c10::DispatchKey::FuncTorchBatched)) {
    text << "a tensor that has escaped from a function under vmap";
  } else if (tensor.is_nested()) {
    text << "a nested tensor";
  } else if (tensor.layout() != at::kStrided) {
    text << "layout " << tensor.layout();
  } else if (tensor.is_quantized()) {
    text << "a quantized tensor of type " << tensor.scalar_type();
  } else if (!tensor.is_cpu() && !tensor.is_meta() && !(kWithCuda && tensor.is_cuda())) {
    text << "device " << tensor.device() << " (this build of torchconv has kernels for the CPU ";
    text << (kWithCuda ? "and CUDA only)" : "only)");
  }
  return text.str();
}

void refuse_call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  // The operator that was called: relu for relu_with_mask.
  const std::string full = schema.name().substr(schema.name().rfind(':') + 1);
  const std::string name = full.substr(0, full.find("_with_"));
  const char* where = kWithCuda ? " on the CPU or a GPU" : " on the CPU";
  const auto arguments = torch::jit::last(*stack, schema.arguments().size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].isTensor()) continue;
    const std::string found = complaint(arguments[i].toTensor());
    TORCH_CHECK(found.empty(), name, ": expected ", schema.arguments()[i].name(),
                " to be a dense (strided) tensor", where, ", but got ", found);
  }
  TORCH_CHECK(false, name, ": expected dense (strided) tensors", where, ", but got a mixture");
}

void refuse_all(torch::Library& m) {
  for (const char* name : kOperators) {
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&refuse_call>());
  }
}

}  // namespace

std::vector<std::string> cuda_operators() {
  if (!kWithCuda) return {};
  return {std::begin(kOperators), std::end(kOperators)};
}

TORCH_LIBRARY_IMPL(torchconv, SparseCPU, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, SparseCsrCPU, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, QuantizedCPU, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, MkldnnCPU, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, NestedTensorCPU, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, SparseCUDA, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, SparseCsrCUDA, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, QuantizedCUDA, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, NestedTensorCUDA, m) { refuse_all(m); }
// torch.func's vmap never comes this far: torchconv/ops/_operator.py meets it.
TORCH_LIBRARY_IMPL(torchconv, FuncTorchBatched, m) { refuse_all(m); }
#ifndef TORCHCONV_WITH_CUDA
TORCH_LIBRARY_IMPL(torchconv, CUDA, m) { refuse_all(m); }
#endif
TORCH_LIBRARY_IMPL(torchconv, MPS, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, XPU, m) { refuse_all(m); }

}  // namespace torchconv
