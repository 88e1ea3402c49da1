// Tensors that no kernel can take: sparse, quantised, MKL-DNN and nested ones, and devices that
// an operator has no kernels for. Without these the dispatcher answers with a page of its own
// internals.
#include "refusals.h"

#include <torch/library.h>

#include <algorithm>

namespace torchconv {
namespace {

struct Operator {
  const char* name;
  bool cuda = false;  // whether csrc/cuda has kernels for it
};

constexpr Operator kOperators[] = {
    {"sigmoid", true},
    {"sigmoid_backward", true},
    {"relu", true},
    {"relu_with_mask", true},
    {"relu_backward", true},
    {"matmul"},
    {"linear"},
    {"linear_backward_bias"},
    {"conv2d"},
    {"conv2d_backward_input"},
    {"conv2d_backward_weight"},
    {"conv2d_backward_bias"},
    {"max_pool2d", true},
    {"max_pool2d_with_offsets", true},
    {"max_pool2d_indices", true},
    {"max_pool2d_backward", true},
    {"max_pool2d_gather", true},
    {"conv2d_act_pool"},
    {"conv2d_act_pool_with_offsets"},
    {"conv2d_pool_backward_input"},
    {"conv2d_pool_backward_weight"},
};

#ifdef TORCHCONV_WITH_CUDA
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif

/// What is wrong with a tensor for the kernels of an operator; empty if nothing.
std::string complaint(const at::Tensor& tensor, bool cuda) {
  std::ostringstream text;
  if (tensor.key_set().has(c10::DispatchKey::FuncTorchBatched)) {
    text << "a tensor that has escaped from a function under vmap";
  } else if (tensor.is_nested()) {
    text << "a nested tensor";
  } else if (tensor.layout() != at::kStrided) {
    text << "layout " << tensor.layout();
  } else if (tensor.is_quantized()) {
    text << "a quantized tensor of type " << tensor.scalar_type();
  } else if (!tensor.is_cpu() && !tensor.is_meta() && !(cuda && tensor.is_cuda())) {
    text << "device " << tensor.device() << " (this ";
    text << (kWithCuda ? "operator" : "build of torchconv") << " has kernels for the CPU ";
    text << (cuda ? "and CUDA only)" : "only)");
  }
  return text.str();
}

void refuse_call(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const std::string name = schema.name().substr(schema.name().rfind(':') + 1);
  const std::vector<std::string> on_cuda = cuda_operators();
  const bool cuda = std::find(on_cuda.begin(), on_cuda.end(), name) != on_cuda.end();
  const char* where = cuda ? " on the CPU or a GPU" : " on the CPU";
  const auto arguments = torch::jit::last(*stack, schema.arguments().size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].isTensor()) continue;
    const std::string found = complaint(arguments[i].toTensor(), cuda);
    TORCH_CHECK(found.empty(), name, ": expected ", schema.arguments()[i].name(),
                " to be a dense (strided) tensor", where, ", but got ", found);
  }
  TORCH_CHECK(false, name, ": expected dense (strided) tensors", where, ", but got a mixture");
}

void refuse(torch::Library& m, const Operator& op) {
  m.impl(op.name, torch::CppFunction::makeFromBoxedFunction<&refuse_call>());
}

void refuse_all(torch::Library& m) {
  for (const Operator& op : kOperators) refuse(m, op);
}

}  // namespace

std::vector<std::string> cuda_operators() {
  std::vector<std::string> names;
  for (const Operator& op : kOperators) {
    if (kWithCuda && op.cuda) names.push_back(op.name);
  }
  return names;
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
TORCH_LIBRARY_IMPL(torchconv, CUDA, m) {
  for (const Operator& op : kOperators) {
    if (!(kWithCuda && op.cuda)) refuse(m, op);
  }
}
TORCH_LIBRARY_IMPL(torchconv, MPS, m) { refuse_all(m); }
TORCH_LIBRARY_IMPL(torchconv, XPU, m) { refuse_all(m); }

}  // namespace torchconv
