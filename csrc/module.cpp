// The Python module torchconv._C: what this build has and which kernels are in use. Tensors go
// through the dispatcher (torch.ops.torchconv), never through here.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "cpu/allocate.h"
#include "cpu/explain.h"
#include "cpu/fma_peak.h"
#include "cpu/isa.h"
#include "cpu/portions.h"
#include "cuda/plans/choice.h"
#include "cuda/plans/explain.h"
#include "refusals.h"

PYBIND11_MODULE(_C, m) {
  m.doc() = "Loads the operators torch.ops.torchconv.* and chooses among their kernels.";
  m.def(
      "read_environment",
      [] {
        torchconv::kernels();
        torchconv::huge_pages();
        torchconv::allow_winograd();
        torchconv::strict_accuracy();
        for (const char* what : {"algorithm", "tile", "float32"}) torchconv::cuda::choice(what);
      },
      "Reads the environment variables. Raises ValueError if one has a value that it does not "
      "take.");
  m.def("cuda_operators", &torchconv::cuda_operators,
        "Operators that this build has CUDA kernels for.");
  m.def("available_isas", &torchconv::available_isas,
        "Instruction sets that this CPU can run, narrowest first.");
  m.def(
      "get_isa", [] { return std::string(torchconv::kernels().name); },
      "The instruction set in use.");
  m.def("set_isa", &torchconv::set_isa, pybind11::arg("name"), "Puts an instruction set in use.");
  m.def("get_conv2d_algorithm", &torchconv::forced_conv2d_algorithm_name,
        "The algorithm that convolutions are to take.");
  m.def("set_conv2d_algorithm", &torchconv::force_conv2d_algorithm, pybind11::arg("name"),
        "Has convolutions take an algorithm where they can.");
  m.def("get_allow_winograd", &torchconv::allow_winograd,
        "Whether convolutions may take Winograd's algorithm.");
  m.def("set_allow_winograd", &torchconv::set_allow_winograd, pybind11::arg("on"),
        "Allows Winograd's algorithm.");
  m.def(
      "get_strict_accuracy", &torchconv::strict_accuracy,
      "Whether algorithms are left out whose errors in usual layers exceed those of direct sums.");
  m.def("set_strict_accuracy", &torchconv::set_strict_accuracy, pybind11::arg("on"),
        "Leaves these algorithms out, or takes them again.");
  m.def("explain_conv2d", &torchconv::explain_conv2d, pybind11::arg("sizes"),
        pybind11::arg("element_bytes"), pybind11::arg("is_bf16"), pybind11::arg("channels_last"),
        "The plans of a convolution and of its two gradients, from the numbers of Conv2dShape.");
  m.def(
      "get_cuda_choice",
      [](const std::string& what) { return torchconv::cuda::choice(what).name(); },
      pybind11::arg("what"), "What GPUs are to take, of algorithm, tile and float32.");
  m.def(
      "set_cuda_choice",
      [](const std::string& what, const std::string& name) {
        torchconv::cuda::choice(what).force(name);
      },
      pybind11::arg("what"), pybind11::arg("name"), "Has GPUs take it where they can.");
  m.def("explain_conv2d_cuda", &torchconv::cuda::explain_conv2d, pybind11::arg("sizes"),
        pybind11::arg("dtype"), pybind11::arg("channels_last"), pybind11::arg("processors"),
        pybind11::arg("capability"), "The same on a GPU.");
  m.def("get_huge_pages", &torchconv::huge_pages, "Whether large results ask for huge pages.");
  m.def("set_huge_pages", &torchconv::set_huge_pages, pybind11::arg("on"),
        "Switches huge pages for large results.");
  m.def("get_portion_bytes", &torchconv::portion_bytes,
        "The most bytes of an intermediate result that conv2d_act_pool makes at a time.");
  m.def("set_portion_bytes", &torchconv::set_portion_bytes, pybind11::arg("bytes"),
        "Changes them.");
  m.def("fma_peak", &torchconv::fma_peak, pybind11::arg("dtype"), pybind11::arg("threads"),
        pybind11::arg("seconds"), pybind11::call_guard<pybind11::gil_scoped_release>(),
        "GFLOP/s of multiply-adds in registers: the most that any kernel could reach.");
}
