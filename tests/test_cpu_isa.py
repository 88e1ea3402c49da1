"""Instruction sets: how one is chosen, and that none leaks out of its namespace."""

import re
import shutil
import subprocess

import pytest
import torch
from processes import python

import torchconv
from torchconv import _C, backends


def test_the_widest_instruction_set_is_in_use():
    result = python("import torchconv; print(torchconv.backends.get_cpu_isa())")
    assert result.stdout.split() == [backends.available_cpu_isas()[-1]], result.stderr


def test_context_manager_chooses_and_restores():
    before = backends.get_cpu_isa()
    with backends.cpu_isa("baseline"):
        assert backends.get_cpu_isa() == "baseline"
    with pytest.raises(ZeroDivisionError), backends.cpu_isa("baseline"):
        raise ZeroDivisionError
    assert backends.get_cpu_isa() == before


def test_huge_pages_can_be_switched_off():
    assert _C.get_huge_pages()
    with backends.huge_pages(False):
        assert not _C.get_huge_pages()
        small = torchconv.relu(torch.ones(3_000_000))
    assert _C.get_huge_pages()
    assert torch.equal(small, torchconv.relu(torch.ones(3_000_000)))


# Which namespaces may hold instructions on which registers.
ALLOWED = {"zmm": ("avx512::", "avx512_bf16::"), "ymm": ("avx2::", "avx512::", "avx512_bf16::")}


@pytest.fixture(scope="module")
def functions():
    """Every function of the compiled module, by demangled name, as assembler text."""
    if shutil.which("objdump") is None or "avx2" not in torchconv.build_info["isas"]:
        pytest.skip("needs objdump and an x86-64 build")
    command = ["objdump", "-d", "--no-show-raw-insn", "-C", _C.__file__]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)*)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("register", ALLOWED)
def test_wide_instructions_stay_in_their_namespaces(functions, register):
    using = [name for name, code in functions.items() if f"%{register}" in code]
    strays = [
        name for name in using if not any(f"torchconv::{n}" in name for n in ALLOWED[register])
    ]
    assert len(using) > 10
    assert not strays


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_kernel_is_vectorized(functions, isa):
    register = {"baseline": "%xmm", "avx2": "%ymm", "avx512": "%zmm"}[isa]
    # channel_sum chooses between two functions.
    kernels = "sigmoid", "sigmoid_backward", "relu", "relu_backward", "sum_channels?"
    for kernel in kernels:
        for element in ("float", "double", "torchconv::bf16", "torchconv::f16"):
            pattern = rf"torchconv::{isa}::.*\b{kernel}<{element}[,>]"
            code = "".join(c for name, c in functions.items() if re.search(pattern, name))
            assert register in code, (kernel, element)
    for element in ("float", "double"):  # those of the 16-bit types only jump to float's
        code = [c for n, c in functions.items() if f"{isa}::" in n and f"fma_peak<{element}>(" in n]
        assert any(register in c for c in code), element
    micro = [c for n, c in functions.items() if f"{isa}::" in n and "multiply_panel" in n]
    assert len(micro) >= 12
    assert all(register in code for code in micro)


def test_bf16_products_use_their_instruction(functions):
    code = "".join(c for name, c in functions.items() if "avx512_bf16::" in name)
    assert "vdpbf16ps" in code


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (lambda: backends.cpu_isa(None), "cpu_isa: expected name to be a str, but got None"),
        (lambda: backends.huge_pages("a"), "huge_pages: expected on to be a bool, but got 'a'"),
        (lambda: backends.portion_bytes(1.5), "portion_bytes: expected most to be an int, but got"),
        (lambda: backends.conv2d_algorithm(1), "conv2d_algorithm: expected name to be a str, but"),
        (lambda: backends.cuda_kernels(tile=5), "cuda_kernels: expected tile to be a str, but got"),
    ],
)
def test_choices_of_the_wrong_type_are_refused(choose, said):
    with pytest.raises(TypeError, match=said):
        choose()
