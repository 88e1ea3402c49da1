"""Where tests run: the instruction sets of the CPU, a GPU, and CUDA kernels compiled for the host.

The kernels of csrc/cuda are plain C++ but for the way they are launched, and for a few instructions
that are defined in C++, too. So every machine can run them: loops and fibers take the place of the
GPU, and they take that of the CPU's own kernels. That shows what they compute, and whether barriers
are missing; not how fast they are, nor whether a GPU agrees with these definitions.
"""

import functools
import os
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
CUDA = [GPU, pytest.param("cuda_on_host", marks=pytest.mark.slow)]
KERNELS = [*CPU_SETS, *CUDA]


@functools.cache
def cuda_on_host():
    """Compiles csrc/cuda as C++, with the checks that it shares with the rest."""
    from torch.utils import cpp_extension

    folder = ROOT / f"build/cuda_on_host-torch{torch.__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "tests/cuda_on_host.cpp"]
    sources += [
        ROOT / f"csrc/{name}.cpp"
        for name in ("checks", "activation_checks", "environment", "layouts")
    ]
    sources += sorted((ROOT / "csrc/cuda").rglob("*.cpp"))
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
        extra_cflags=["-O2", "-fvisibility=hidden", "-Wno-unknown-pragmas"],
        build_directory=str(folder),
    )


@contextmanager
def cuda_kernels(**choices):
    """torchconv.backends.cuda_kernels, and the same for those on the host, which choose alone."""
    before = {what: torchconv._C.get_cuda_choice(what) for what in choices}
    with torchconv.backends.cuda_kernels(**choices):
        for what, name in choices.items():
            cuda_on_host().set_choice(what, name)
        try:
            yield
        finally:
            for what, name in before.items():
                cuda_on_host().set_choice(what, name)


def strict_float32():
    """Convolutions without TF32, which torch allows unless it is told otherwise."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=False, allow_tf32=False)


@contextmanager
def using(kernels):
    """Runs a block with one of KERNELS or of DEVICES."""
    if kernels in CPU_SETS:
        with torchconv.backends.cpu_isa(kernels):
            yield
    elif kernels == "cuda":
        with strict_float32(), torch.device("cuda"):
            yield
    elif kernels == "cuda_on_host":
        cuda_on_host().enable()
        try:
            with strict_float32():
                yield
        finally:
            cuda_on_host().disable()
    else:
        yield
