"""Compiles csrc/ into torchconv._C; all metadata is in pyproject.toml.

TORCHCONV_CUDA=auto|0|1  CUDA kernels: where possible (default), never, or stop if impossible
DEBUG=1                  -O0 -g and assertions
TORCH_CUDA_ARCH_LIST=…   GPU architectures, as in torch (default: of the GPUs here; if none, sm_80
                         and newer, as far as nvcc knows them)
MAX_JOBS=N               compilers at a time (default: what cores and memory allow)
CXX=g++                  the C++ compiler
"""

import functools
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from glob import glob
from pathlib import Path

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Metadata and sdist are made without torch: only compiling needs it, so only Build.run complains.
try:
    import torch
    from torch.utils import cpp_extension
    from torch.utils.cpp_extension import BuildExtension
except ImportError as error:
    torch, torch_error, BuildExtension = None, error, build_ext


def stop(sentence):
    raise SystemExit(f"torchconv: {sentence}")


if int(setuptools.__version__.partition(".")[0]) < 77:  # pip asks pyproject.toml, others do not
    stop(f"setuptools 77 or newer is needed to build it, but {setuptools.__version__} is here.")

# The environment's own ninja, activated or not: another version would compile everything anew.
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")

CUDA = os.environ.get("TORCHCONV_CUDA", "auto")
DEBUG = os.environ.get("DEBUG", "0") not in ("", "0")
X86 = platform.machine() == "x86_64"
ISAS = ["baseline", "avx2", "avx512", "avx512_bf16"] if X86 else ["baseline"]

# Older torch asks for an older standard, unless there is one already.
STANDARD = "-std=c++20"
# -fopenmp is for the compiler and not for the linker: the symbols must come from the runtime that
# torch has loaded, because torch.set_num_threads cannot govern the threads of another one.
FLAGS = [STANDARD, "-fopenmp", "-fvisibility=hidden", "-Wall", "-Wextra"]
# Two warnings that torch's headers and GCC's own intrinsics raise by the hundred.
FLAGS += ["-Wno-unused-parameter", "-Wno-maybe-uninitialized"]
# These let more loops vectorize and change no result. Never -march=native, for wheels travel, nor
# -ffast-math, for NaN and infinity must survive.
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-O3", "-g0"] if not DEBUG else ["-O0", "-g", "-UNDEBUG"]
FLAGS += [f"-fmacro-prefix-map={Path.cwd()}/="]  # errors name csrc/..., not the builder's folders
WITH_CUDA = "-DTORCHCONV_WITH_CUDA"
# From Ampere on; GPUs of 8.6 and 8.9 run what is for 8.0. PTX of 9.0 and of the last one serves
# what comes after.
ARCHITECTURES = ["8.0", "9.0", "10.0", "12.0"]


def run(*command):
    """What a command prints; nothing if it cannot be run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return result.stdout + result.stderr


def architectures(nvcc):
    """Those that nvcc knows."""
    known = run(nvcc, "--list-gpu-arch").split()
    return [arch for arch in ARCHITECTURES if f"compute_{arch.replace('.', '')}" in known]


@functools.cache
def why_no_cuda():
    if CUDA == "0":
        return "TORCHCONV_CUDA=0"
    if torch is None or torch.version.cuda is None:
        return "torch is a build without CUDA"
    nvcc = Path(cpp_extension.CUDA_HOME or "", "bin/nvcc")
    if not nvcc.exists():
        return "nvcc was found neither on PATH nor in CUDA_HOME"
    version = re.search(r"release (\d+)\.\d+", run(nvcc, "--version"))
    if version is None or not architectures(nvcc):
        return f"{nvcc} does not tell its version and the architectures that it knows"
    if version[1] != torch.version.cuda.partition(".")[0]:
        return f"nvcc is of CUDA {version[0].split()[1]}, but torch of CUDA {torch.version.cuda}"
    return None


def prepare_cuda():
    """Settles the toolkit's folder and the architectures. Returns the flags of g++ and of nvcc."""
    nvcc = os.path.join(cpp_extension.CUDA_HOME, "bin/nvcc")
    # The nvcc on PATH may be a script or a link outside of the folder that has the libraries.
    if top := re.search(r"TOP=(\S+)", run(nvcc, "--dryrun", "-x", "cu", "/dev/null")):
        cpp_extension.CUDA_HOME = str(Path(top[1]).resolve())
    # Without a list torch takes the architectures of the GPUs here, and fails if there are none.
    if not os.environ.get("TORCH_CUDA_ARCH_LIST") and not torch.cuda.device_count():
        known = architectures(nvcc)
        with_ptx = [arch + "+PTX" if arch in ("9.0", known[-1]) else arch for arch in known]
        os.environ["TORCH_CUDA_ARCH_LIST"] = ";".join(with_ptx)
    # Headers that a slim toolkit lacks, from the packages that torch depends on. The toolkit's own
    # come first, since nvcc passes their folder with -I.
    folders = sorted(glob(str(Path(torch.__file__).parents[1] / "nvidia/*/include")))
    headers = [word for folder in folders for word in ("-isystem", folder)]
    host = [f"-Xcompiler={flag}" for flag in FLAGS if flag.startswith(("-fvis", "-fmacro"))]
    # GPUs of 9.0 also have what is asked for as 9.0a, wgmma and setmaxnreg; as PTX, which is for
    # later ones, it would run on no other.
    codes = cpp_extension._get_cuda_arch_flags()
    codes = [code.replace("compute_90,code=sm_90", "compute_90a,code=sm_90a") for code in codes]
    if "--compress-mode" in run(nvcc, "--help"):  # a third of the size, as torch's own packages
        codes.append("--compress-mode=size")
    nvcc_flags = [
        STANDARD,
        "-O3",
        WITH_CUDA,
        *codes,
        *host,
        *(["-lineinfo"] if DEBUG else []),
        *headers,
    ]
    return [WITH_CUDA, *headers], nvcc_flags


def extension():
    folders = ("", "meta/", "cpu/", "cuda/plans/")
    sources = {path for folder in folders for path in glob(f"csrc/{folder}*.cpp")}
    sources -= {*glob("csrc/cpu/isa_*.cpp")}
    sources |= {f"csrc/cpu/isa_{isa}.cpp" for isa in ISAS}
    kind = cpp_extension.CppExtension if torch else Extension
    flags = {"cxx": FLAGS}
    if not why_no_cuda():
        sources |= {*glob("csrc/cuda/*.cpp"), *glob("csrc/cuda/*.cu")}
        kind = cpp_extension.CUDAExtension
        cxx, nvcc = prepare_cuda()
        flags = {"cxx": FLAGS + cxx, "nvcc": nvcc}
    options = {"include_dirs": [os.path.abspath("csrc")], "extra_compile_args": flags}
    return kind("torchconv._C", sorted(sources), **options)


def check_surroundings(wanted):
    """Stops, with one sentence, where nothing good can be built. Returns the compiler's version."""
    from packaging.requirements import Requirement  # bundled with setuptools, imported above

    if torch is None:
        stop(f"no PyTorch here ({torch_error}); run `python -m pip install '{wanted}'` first.")
    if not Requirement(wanted).specifier.contains(torch.__version__, prereleases=True):
        stop(f"this version supports {wanted}, but torch {torch.__version__} is installed.")
    if CUDA not in ("auto", "0", "1"):
        stop(f"TORCHCONV_CUDA must be auto, 0 or 1, but is {CUDA!r}.")
    if CUDA == "1" and why_no_cuda():
        stop(f"TORCHCONV_CUDA=1 asks for CUDA kernels, but {why_no_cuda()}.")
    compiler = cpp_extension.get_cxx_compiler()
    try:
        result = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True)
    except OSError:
        stop(f"the C++ compiler {compiler!r} cannot be run; install g++, or set CXX.")
    return result.stdout.partition("\n")[0]


class Build(BuildExtension):
    """Says in one line what it builds, and records it in torchconv/_build_info.json."""

    def run(self):
        compiler = check_surroundings(*self.distribution.install_requires)  # torch alone
        archs = os.environ.get("TORCH_CUDA_ARCH_LIST") or "for the GPUs here"
        cuda = "" if why_no_cuda() else f"CUDA ({archs}) and "
        summary = f"torchconv: building {'unoptimized ' * DEBUG}{cuda}CPU kernels "
        summary += f"({', '.join(ISAS)}) against torch {torch.__version__}"
        summary += f"; no CUDA: {why_no_cuda()}" if why_no_cuda() else ""
        summary += "" if self.use_ninja else "; no ninja: one file after the other"
        print(summary, flush=True)
        free_kib = Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]
        jobs = max(1, min(len(os.sched_getaffinity(0)), int(free_kib) >> 21))  # 2 GiB for each
        os.environ.setdefault("MAX_JOBS", str(jobs))
        # The same folder for wheels, in-place and editable builds (which would use a temporary
        # one), so that none repeats another's work; per torch, so no object outlives its headers.
        self.build_temp = f"build/{sys.implementation.cache_tag}-torch{torch.__version__}"
        self.build_temp += "-cuda" if cuda else ""
        super().run()
        info = {"version": self.distribution.get_version(), "torch": torch.__version__}
        info |= {"python": platform.python_version(), "platform": sysconfig.get_platform()}
        info |= {"compiler": compiler, "cuda": torch.version.cuda if cuda else None}
        info |= {"isas": ISAS, "summary": summary}
        path = Path(self.get_ext_fullpath("torchconv._C")).with_name("_build_info.json")
        path.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


setup(ext_modules=[extension()], cmdclass={"build_ext": Build})
