"""Writes the tables of what-works.md: a row per feature, a column per operator, a test per cell.

python docs/what_works.py
"""

from pathlib import Path

OPERATORS = ("sigmoid", "relu", "matmul", "linear", "conv2d", "max_pool2d", "conv2d_act_pool")
TORCHS = OPERATORS[:-1]  # of which torch has samples of its own
LAYERS = {
    "sigmoid": "Sigmoid", "relu": "ReLU", "linear": "Linear", "conv2d": "Conv2d",
    "max_pool2d": "MaxPool2d",
}  # fmt: skip
WEIGHTED = ("linear", "conv2d")  # whose layers have parameters
PAGE = Path(__file__).with_name("what-works.md")
BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"

# (title, test file, rows); a row is (feature, test, *operators that have it, all if none is named).
# In a test's name {op} stands for the operator and {layer} for its layer.
TABLES = [
    ("Derivatives", "test_derivatives.py", [
        ("gradients, against numerical ones", "test_gradcheck[{op}]"),
        ("of any subset of the inputs", "test_gradients_of_any_inputs[{op}]"),
        ("an input is not kept for its own gradient",
         "test_no_input_is_kept_for_its_own_gradient[{op}]"),
        ("a change in place after saving is noticed",
         "test_change_in_place_after_saving_is_noticed[{op}]"),
        ("second derivatives, also forward over reverse", "test_gradgradcheck[{op}]"),
        ("third derivatives", "test_third_derivative[{op}]"),
        ("gradient penalty", "test_gradient_penalty[{op}]"),
        ("Hessian-vector products", "test_hessian_vector_product[hvp-{op}]"),
        ("`forward_ad`, tangents of any subset",
         "test_forward_mode_with_tangents_of_any_inputs[{op}]"),
        ("a dual tensor through backward", "test_forward_over_reverse[{op}]"),
    ]),
    ("torch.func", "test_functorch.py", [
        *[(f"`{name}`", f"test_transform_equals_torchs[{{op}}-{name}]")
          for name in ("grad", "vjp", "jvp", "linearize", "jacrev", "jacfwd", "hessian")],
        ("`vmap`, every `in_dims`, one kernel call", "test_vmap_with_each_in_dims[{op}]"),
        ("`vmap` in `vmap`, `out_dims`", "test_vmap_out_dims_and_nested[{op}]"),
        ("`vmap` over no items", "test_vmap_over_no_items[{op}]"),
        ("per-sample gradients, `vmap(grad)`", "test_per_sample_gradients[{op}]"),
        ("`vmap(hessian)`", "test_transform_equals_torchs[{op}-vmap-of-hessian]"),
        ("`jvp(grad)`", "test_transform_equals_torchs[{op}-hvp]"),
        ("`jacfwd(jacfwd)`", "test_transform_equals_torchs[{op}-jacfwd-of-jacfwd]"),
        ("`functionalize`", "test_transform_equals_torchs[{op}-functionalize]"),
        ("`torch.ops.torchconv.*` called directly",
         "test_direct_call_of_any_operator_has_its_derivatives[{op}]"),
    ]),
    ("Compilers", "test_compile.py", [
        ("`torch.compile(fullgraph=True)`, forward and backward",
         "test_compiled_equals_eager[static-aot_eager-{op}]"),
        ("the same with Inductor", "test_compiled_equals_eager[static-inductor-{op}]"),
        ("dynamic shapes", "test_compiled_equals_eager[dynamic-aot_eager-{op}]"),
        ("changing batch sizes compile at most twice",
         "test_changing_sizes_compile_twice_at_most[{op}]"),
        *[(f"compiled `{name}`", f"test_compiled_transform_equals_eager[{name}-{{op}}]")
          for name in ("grad", "jvp", "vmap", "hessian")],
        ("compiled per-sample gradients", "test_compiled_transform_equals_eager[per-sample-{op}]"),
        ("compiled autocast", "test_compiled_under_autocast[{op}]"),
        ("`torch.export`", "test_exported_operator[{op}]"),
        ("meta device and FakeTensor: shapes, strides",
         "test_fake_tensors_have_the_real_strides[NCHW-{op}]"),
    ]),
    ("opcheck", "test_registration.py", [
        ("contiguous", "test_opcheck[contiguous-{op}]"),
        ("channels_last", "test_opcheck[channels_last-{op}]"),
    ]),
    ("Autocast", "test_autocast.py", [
        ("active dtype in products, the input's in others",
         "test_dtype_is_that_of_torchs_own_operator[bfloat16-{op}]"),
        ("gradients in the dtype of the inputs",
         "test_gradients_have_the_dtype_of_the_inputs[bfloat16-{op}]"),
        ("nested and disabled regions", "test_nested_and_disabled_regions[{op}]"),
        ("under `torch.func`", "test_transforms_under_autocast[{op}]"),
        ("`torch.ops.torchconv.*` called directly", "test_direct_call_follows_as_well[{op}]"),
    ]),
    ("Tensors", "test_views.py", [
        ("transposed", "test_any_view_as_input_and_as_gradient[transposed-{op}]"),
        ("sliced", "test_any_view_as_input_and_as_gradient[sliced-{op}]"),
        ("expanded", "test_any_view_as_input_and_as_gradient[expanded-{op}]"),
        ("negative and conjugate views", "test_any_view_as_input_and_as_gradient[imaginary-{op}]"),
        ("gradients of stride zero", "test_gradient_with_stride_zero[{op}]"),
        ("inference mode", "test_inference_mode[{op}]"),
    ]),
    ("torch's own samples: values, dtypes, strides", "test_opinfo.py", [
        *[(dtype, f"test_values_dtypes_and_strides[{{op}}-{dtype}]", *TORCHS)
          for dtype in ("float32", "float64", "bfloat16", "float16")],
        ("integers", "test_values_dtypes_and_strides[{op}-int32]", "sigmoid", "relu", "max_pool2d"),
        ("gradients, float32", "test_gradients[{op}-float32]", *TORCHS),
        ("gradients, bfloat16", "test_gradients[{op}-bfloat16]", *TORCHS),
        ("bad inputs are refused", "test_refusals[{op}]", "conv2d", "max_pool2d"),
    ]),
    ("Layers", "test_modules.py", [
        ("`deepcopy`, pickling, `torch.save`", "test_copies[{layer}]", *LAYERS),
        ("forward and backward hooks", "test_hooks[{layer}]", *LAYERS),
        ("`weight_norm`", "test_parametrizations[weight_norm-{layer}]", *WEIGHTED),
        ("`spectral_norm`", "test_parametrizations[spectral_norm-{layer}]", *WEIGHTED),
        ("pruning", "test_pruning[{layer}]", *WEIGHTED),
        ("`functional_call`", "test_functional_call[{layer}]", *WEIGHTED),
        ("`skip_init`, meta device", "test_skip_init_and_the_meta_device[{layer}]", *WEIGHTED),
        ("lazy", "test_lazy_layers[Lazy{layer}]", *WEIGHTED),
    ]),
    ("Tools", "test_tools.py", [
        ("FLOP counter", "test_flops[{op}]"),
        ("`torch.fx.symbolic_trace`", "test_symbolic_trace_of_a_function[{op}]"),
        ("`__torch_function__` modes", "test_torch_function_modes_see_the_call[{op}]"),
        ("`__torch_function__` subclasses", "test_subclasses_see_the_call[{op}]"),
        ("profiler", "test_profiler_names_the_operator[{op}]"),
    ]),
]  # fmt: skip


def cell(file: str, test: str, operator: str) -> str:
    """A link to the test's file, with the test's name under the mouse."""
    name = test.format(op=operator, layer=LAYERS.get(operator))
    return f'[✓](../tests/{file} "{name}")'


def tables() -> str:
    """All tables, as Markdown."""
    lines: list[str] = []
    for title, file, rows in TABLES:
        lines += [f"### {title}", "", f"| | {' | '.join(OPERATORS)} |"]
        lines.append("|---" + "|:-:" * len(OPERATORS) + "|")
        for feature, test, *having in rows:
            cells = [
                cell(file, test, op) if op in (having or OPERATORS) else "" for op in OPERATORS
            ]
            lines.append(f"| {feature} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The page as it should be: what is written by hand, with today's tables."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{tables()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
