"""Where tests run: the instruction sets of the CPU, a GPU, and CUDA kernels compiled for the host.

The kernels of csrc/cuda that need no barriers are plain C++ but for the way they are launched. So
every machine can run them: a loop takes the place of the GPU, and they take that of the CPU's own
kernels. That shows what they compute; not how fast, nor how threads get along with each other, nor
the few instructions that only a GPU has.
"""

import functools
import os
import re
import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import torchconv

ROOT = Path(__file__).resolve().parents[1]
CPU_SETS = torchconv.backends.available_cpu_isas()
CUDA_OPERATORS = torchconv.backends.cuda_operators()


def _why_no_gpu():
    if not CUDA_OPERATORS:
        return "torchconv was built without CUDA kernels"
    return "" if torch.cuda.is_available() else "torch finds no GPU"


GPU = pytest.param("cuda", marks=pytest.mark.skipif(bool(_why_no_gpu()), reason=_why_no_gpu()))
# Without an id, so that a test has the same name whether or not there is a GPU. (An older pytest
# than the one of pyproject.toml may be all that there is beside a GPU.)
DEVICES = [pytest.param("cpu", id=getattr(pytest, "HIDDEN_PARAM", "cpu")), GPU]
# Slow for the sake of the compiler, which takes half a minute.
KERNELS = [*CPU_SETS, GPU, pytest.param("cuda_on_host", marks=pytest.mark.slow)]


@functools.cache
def cuda_on_host():
    """Compiles csrc/cuda as C++, with the checks that it shares with the rest."""
    from torch.utils import cpp_extension

    folder = ROOT / f"build/cuda_on_host-torch{torch.__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "tests/cuda_on_host.cpp"]
    sources += [ROOT / f"csrc/{name}.cpp" for name in ("checks", "activation_checks", "layouts")]
    for kernel in sorted((ROOT / "csrc/cuda").glob("*.cu")):
        source = folder / f"{kernel.stem}_cu.cpp"  # torch would give a .cu to nvcc
        if not source.exists():  # a new date would compile it anew
            source.write_text(f'#include "cuda/{kernel.name}"\n', encoding="utf-8")
        sources.append(source)
    # The ninja that is installed beside this Python, activated or not.
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    return cpp_extension.load(
        "torchconv_cuda_on_host",
        [str(source) for source in sources],
        extra_include_paths=[str(ROOT / "csrc")],
        extra_cflags=["-O1", "-fvisibility=hidden", "-Wno-unknown-pragmas"],
        build_directory=str(folder),
    )


def operators_called(test):
    """The operators of a test's marker ``needs``, and that of its parameter ``case`` or ``name``.

    The parameter is a case of an operator, or begins with the name of one, as "relu bool", or of
    its layer, as "Conv2d".
    """
    names = [name for marker in test.iter_markers("needs") for name in marker.args]
    for parameter in ("case", "name"):
        value = test.callspec.params.get(parameter)
        names += re.findall(r"^\w+", str(getattr(value, "operator", value)).lower())
    return [name for name in names if hasattr(torch.ops.torchconv, name)]


def skip_without_kernels(request):
    """For fixtures whose parameter is one of KERNELS or of DEVICES."""
    for name in operators_called(request.node) if request.param == "cuda" else []:
        if name not in CUDA_OPERATORS:
            pytest.skip(f"{name} has no CUDA kernels")


@contextmanager
def using(kernels):
    """Runs a block with one of KERNELS or of DEVICES."""
    if kernels in CPU_SETS:
        with torchconv.backends.cpu_isa(kernels):
            yield
    elif kernels == "cuda":
        with torch.device("cuda"):
            yield
    elif kernels == "cuda_on_host":
        cuda_on_host().enable()
        try:
            yield
        finally:
            cuda_on_host().disable()
    else:
        yield
