#include "checks.h"

namespace torchconv {

const char* dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    case at::kByte:
      return "uint8";
    case at::kChar:
      return "int8";
    case at::kShort:
      return "int16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kBool:
      return "bool";
    case at::kComplexHalf:
      return "complex32";
    case at::kComplexFloat:
      return "complex64";
    case at::kComplexDouble:
      return "complex128";
    default:
      return c10::toString(dtype);
  }
}

namespace {

bool is_floating(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 ||
         dtype == at::kHalf;
}

bool is_integer(at::ScalarType dtype) {
  return dtype == at::kByte || dtype == at::kChar || dtype == at::kShort || dtype == at::kInt ||
         dtype == at::kLong;
}

}  // namespace

void check_floating(const char* op, const at::Tensor& tensor, const char* name) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCHCONV_EXPECT(is_floating(dtype), op, dtype_name(dtype), name,
                   ".dtype to be float32, float64, bfloat16 or float16");
}

void check_real(const char* op, const at::Tensor& tensor, const char* name) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCHCONV_EXPECT(is_floating(dtype) || is_integer(dtype), op, dtype_name(dtype), name,
                   ".dtype to be float32, float64, bfloat16, float16 or an integer");
}

void check_same(const char* op, const at::Tensor& tensor, const char* name,
                const at::Tensor& reference, const char* reference_name) {
  TORCHCONV_EXPECT(tensor.device() == reference.device(), op, tensor.device(), name,
                   ".device == ", reference.device(), " (", reference_name, ".device)");
  TORCHCONV_EXPECT(
      tensor.scalar_type() == reference.scalar_type(), op, dtype_name(tensor.scalar_type()), name,
      ".dtype == ", dtype_name(reference.scalar_type()), " (", reference_name, ".dtype)");
}

void check_rank(const char* op, const at::Tensor& tensor, const char* name, int64_t rank,
                const char* dims) {
  TORCHCONV_EXPECT(tensor.dim() == rank, op, tensor.sym_sizes(), name, " to have ", rank,
                   " dimensions ", dims);
}

int64_t checked_mul(const char* op, int64_t a, int64_t b) {
  int64_t product = 0;
  const bool fits = !__builtin_mul_overflow(a, b, &product);
  TORCH_CHECK(fits, op, ": expected sizes whose products fit in 64 bits, but got ", a, " * ", b);
  return product;
}

int64_t checked_add(const char* op, int64_t a, int64_t b) {
  int64_t sum = 0;
  const bool fits = !__builtin_add_overflow(a, b, &sum);
  TORCH_CHECK(fits, op, ": expected sizes whose sums fit in 64 bits, but got ", a, " + ", b);
  return sum;
}

c10::SymInt checked_mul(const char* op, const c10::SymInt& a, const c10::SymInt& b) {
  const auto x = a.maybe_as_int(), y = b.maybe_as_int();
  return x && y ? c10::SymInt(checked_mul(op, *x, *y)) : a * b;
}

c10::SymInt checked_add(const char* op, const c10::SymInt& a, const c10::SymInt& b) {
  const auto x = a.maybe_as_int(), y = b.maybe_as_int();
  return x && y ? c10::SymInt(checked_add(op, *x, *y)) : a + b;
}

}  // namespace torchconv
