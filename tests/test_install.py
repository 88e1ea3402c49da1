"""Building, installing and importing: what works, and what is said where it cannot.

The quick tests look at the installed package. The slow ones build it from an sdist, once: further
builds find the compiled objects of the first and only link.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import torch

import torchconv
from torchconv import _load

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(torchconv.__file__).parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SUPPORTED = re.search(r'^dependencies = \["(torch[^"]+)"\]$', PYPROJECT, re.MULTILINE)[1]
PRODUCTS = shutil.ignore_patterns(
    "*.egg-info", "*.so", ".*_cache", ".git", ".hypothesis", ".venv*", "__pycache__",
    "_build_info.json", "build", "dist",
)  # fmt: skip


def run(*command, cwd, env=None, fails=False):
    """Output of a command that must succeed or, if so said, must fail."""
    env = {**os.environ, **(env or {})}
    command = [str(part) for part in command]
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    output = result.stdout + result.stderr
    assert (result.returncode != 0) == fails, output
    return output


def import_error(cwd):
    """The last line that `import torchconv` prints where it must fail."""
    output = run(sys.executable, "-c", "import torchconv", cwd=cwd, fails=True)
    return output.strip().splitlines()[-1]


# ---- import ----


def test_build_info_describes_this_build():
    info = torchconv.build_info
    assert info == json.loads((PACKAGE / "_build_info.json").read_text())
    assert info["torch"].split("+")[0].split(".")[:2] == torch.__version__.split(".")[:2]
    assert info["isas"][0] == "baseline"
    assert info["version"] == torchconv.__version__
    assert f"against torch {info['torch']}" in info["summary"]


def test_extension_brings_no_openmp_runtime_of_its_own():
    if not shutil.which("objdump"):
        pytest.skip("needs objdump")
    (library,) = PACKAGE.glob("_C*" + sysconfig.get_config_var("EXT_SUFFIX"))
    dynamic = run("objdump", "-p", library, cwd=ROOT)
    needed = [line.split()[1] for line in dynamic.splitlines() if "NEEDED" in line]
    assert any("torch_cpu" in name for name in needed)
    assert not any("omp" in name for name in needed)


def test_import_refuses_another_torch(monkeypatch):
    # Before the library is opened: under another torch that may crash.
    monkeypatch.setattr(importlib, "import_module", lambda name: pytest.fail("opened _C"))
    with pytest.raises(ImportError, match=r"built for torch .*, but this is torch 1\.9\.0 .*pip"):
        _load.load(torch_version="1.9.0")


def test_import_accepts_another_patch_release_of_torch():
    major_minor = ".".join(torch.__version__.split(".")[:2])
    assert _load.load(torch_version=f"{major_minor}.99+other") == torchconv.build_info


def test_import_refuses_another_python(tmp_path):
    shutil.copy(PACKAGE / "_build_info.json", tmp_path)
    (tmp_path / "_C.cpython-38-x86_64-linux-gnu.so").touch()
    with pytest.raises(ImportError, match=r"built for torch .* and Python .*, but this is"):
        _load.load(folder=tmp_path)


def test_import_names_the_files_that_are_missing(tmp_path):
    (library,) = PACKAGE.glob("_C*" + sysconfig.get_config_var("EXT_SUFFIX"))
    remedy = r" in .*\. Install it again: `python -m pip install --force"
    for present, missing in (
        ([], r"_C\.\*\.so and no _build_info\.json"),
        (["_build_info.json"], r"_C\.\*\.so"),
        ([library.name], r"_build_info\.json"),
    ):
        folder = tmp_path / "-".join(["package", *present])
        folder.mkdir()
        for name in present:
            shutil.copy(PACKAGE / name, folder)
        with pytest.raises(ImportError, match=f"torchconv has no {missing}{remedy}"):
            _load.load(folder=folder)


def test_import_reports_an_uncompiled_source_folder(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "torchconv", ignore=PRODUCTS)
    (tmp_path / "csrc").mkdir()
    message = import_error(cwd=tmp_path)
    assert message.startswith(f"ImportError: {tmp_path}/torchconv is torchconv's source")
    assert "hides an installed torchconv" in message
    assert f"`python -m pip install --no-deps --editable {tmp_path}`" in message


def test_import_reports_a_library_that_does_not_load(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "torchconv")
    (library,) = tmp_path.glob("torchconv/_C*" + sysconfig.get_config_var("EXT_SUFFIX"))
    library.write_bytes(b"not a library")
    message = import_error(cwd=tmp_path)
    assert "torchconv's compiled part does not load: " in message
    assert f"built for torch {torchconv.build_info['torch']}" in message
    assert "`python -m pip install --force-reinstall" in message


# ---- build ----


@pytest.fixture(scope="module")
def backend():
    pytest.importorskip("setuptools", minversion="77")
    if not (ROOT / "build_backend").exists():
        pytest.skip("needs the source folder")
    spec = importlib.util.spec_from_file_location(
        "torchconv_build", ROOT / "build_backend/torchconv_build.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_backend_needs_no_torch_where_there_is_one(backend, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert backend.get_requires_for_build_wheel() == []
    assert backend.get_requires_for_build_editable() == []


def test_backend_asks_for_torch_where_there_is_none(backend, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(backend, "target_path", list)
    assert backend.get_requires_for_build_wheel() == [SUPPORTED]
    assert backend.get_requires_for_build_editable() == [SUPPORTED]
    assert backend.get_requires_for_build_sdist() == []


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """An sdist, made from a clean copy of the source folder and without torch."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "checkout", ignore=PRODUCTS)
    (folder / "without").mkdir()
    (folder / "without/torch.py").write_text("raise ImportError('there is no torch')\n")
    env = {"PYTHONPATH": str(folder / "without")}
    run(sys.executable, "setup.py", "-q", "sdist", "-d", folder, cwd=folder / "checkout", env=env)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def source(sdist):
    """The sdist, unpacked."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent / "source")
    (folder,) = (sdist.parent / "source").iterdir()
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a new environment, which sees this one's torch but not its torchconv."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    (folder / "borrowed").mkdir()
    own = ("torchconv", "__editable__", "pip", "setuptools", "ninja")
    for path in Path(torch.__file__).parents[1].iterdir():
        if not path.name.startswith(own):
            (folder / "borrowed" / path.name).symlink_to(path)
    (site_packages,) = folder.glob("venv/lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(f"{folder / 'borrowed'}\n")
    return folder / "venv/bin/python"


def pip_install(python, *arguments, cwd, **kwargs):
    command = ("-m", "pip", "--disable-pip-version-check", "install", "-v", *arguments)
    return run(python, *command, cwd=cwd, **kwargs)


@pytest.fixture(scope="module")
def first_build(source, python, tmp_path_factory):
    """What a plain `pip install` of the source prints; the only build that compiles."""
    return pip_install(python, source, cwd=tmp_path_factory.mktemp("elsewhere"))


def imported_from(python, cwd):
    output = run(python, "-c", "import torchconv; print(torchconv.__file__)", cwd=cwd)
    return Path(output.strip().splitlines()[-1]).parent


@pytest.mark.slow
def test_sdist_carries_all_sources(sdist):
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    packed = {name.partition("/")[2] for name in names}
    checkout = sdist.parent / "checkout"
    for folder in ("build_backend", "csrc", "examples", "tests", "torchconv"):
        files = {str(path.relative_to(checkout)) for path in (checkout / folder).rglob("*.*")}
        files = {name for name in files if "__pycache__" not in name}
        assert files, folder
        assert files <= packed
    assert {"LICENSE", "Makefile", "README.md", "pyproject.toml", "setup.py"} <= packed
    assert not any(name.endswith((".so", ".pyc", "_build_info.json")) for name in packed)


@pytest.mark.slow
def test_pip_install_builds_against_the_torch_that_is_there(first_build, python, tmp_path):
    assert f"against torch {torch.__version__}" in first_build
    assert "Collecting torch" not in first_build
    folder = imported_from(python, cwd=tmp_path)
    assert python.parents[1] in folder.parents
    contents = {path.name for path in folder.iterdir()}
    assert {"_build_info.json", "py.typed", "_load.py"} <= contents
    assert "csrc" not in contents


@pytest.mark.slow
def test_wheel_without_isolation(first_build, source, python, tmp_path):
    # A module that is gone from the source must not return from an earlier build.
    (source / "torchconv/gone.py").touch()
    pip_install(python, "--no-deps", source, cwd=tmp_path)
    (source / "torchconv/gone.py").unlink()
    pip_install(python, "setuptools>=77", "ninja", cwd=tmp_path)
    command = ("-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", tmp_path, source)
    run(python, *command, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"torchconv/_build_info.json", "torchconv/__init__.py"} <= set(names)
    assert any(name.startswith("torchconv/_C.") for name in names)
    assert "torchconv/gone.py" not in names
    assert all(name.startswith(("torchconv/", "torchconv-")) for name in names)
    pip_install(python, "--no-deps", "--force-reinstall", wheel, cwd=tmp_path)
    assert python.parents[1] in imported_from(python, cwd=tmp_path).parents


@pytest.mark.slow
def test_editable_install_imports_the_source_folder(first_build, source, python, tmp_path):
    output = pip_install(python, "--no-deps", "--editable", source, cwd=tmp_path)
    assert "ninja: no work to do" in output
    assert imported_from(python, cwd=tmp_path) == source / "torchconv"
    assert imported_from(python, cwd=source) == source / "torchconv"


def fake_nvcc(toolkit, version, top="elsewhere"):
    """A toolkit whose nvcc answers what setup.py asks, and compiles nothing."""
    nvcc = toolkit / "bin/nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text(
        f"""#!/bin/sh
        case $1 in
          --version) echo "Cuda compilation tools, release {version}, V{version}.99" ;;
          --dryrun) echo "#$ TOP={top}" >&2 ;;
          --list-gpu-arch) echo "compute_75\ncompute_80\ncompute_90\ncompute_999" ;;
        esac
        """
    )
    nvcc.chmod(0o755)


SETTLED = """
import os, runpy, setuptools, sys, torch
torch.version.cuda = "13.0"
torch.cuda.device_count = lambda: 0
from torch.utils import cpp_extension
cpp_extension.CUDA_HOME = sys.argv.pop()
def setup(ext_modules, **_):
    (module,) = ext_modules
    print("settled:", os.environ["TORCH_CUDA_ARCH_LIST"], cpp_extension.CUDA_HOME, sep="\\n")
    print(sum(source.endswith(".cu") for source in module.sources))
    flags = module.extra_compile_args["nvcc"]
    print(*(flag.partition("=arch=")[2] for flag in flags if "gencode" in flag), sep=";")
setuptools.setup = setup
runpy.run_path("setup.py")
"""


@pytest.mark.parametrize(
    ("given", "taken", "codes"),
    [
        (
            "",
            "8.0;9.0+PTX",
            {"compute_80,code=sm_80", "compute_90a,code=sm_90a", "compute_90,code=compute_90"},
        ),
        ("8.6;9.0", "8.6;9.0", {"compute_86,code=sm_86", "compute_90a,code=sm_90a"}),
    ],
)
def test_cuda_build_settles_toolkit_and_architectures(tmp_path, given, taken, codes):
    top = tmp_path / "top"
    fake_nvcc(tmp_path / "toolkit", "13.0", top)  # as where PATH has a link to it, or a script
    command = (sys.executable, "-c", SETTLED, str(tmp_path / "toolkit"))
    output = run(*command, cwd=ROOT, env={"TORCH_CUDA_ARCH_LIST": given, "TORCHCONV_CUDA": "auto"})
    architectures, home, kernels, flags = output.partition("settled:")[2].split()[:4]
    assert architectures == taken
    assert home == str(top)
    assert int(kernels) == len(list(ROOT.glob("csrc/cuda/*.cu")))
    assert set(flags.split(";")) == codes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TORCHCONV_CUDA": "1"}, "torchconv: TORCHCONV_CUDA=1 asks for CUDA kernels, but "),
        ({"TORCHCONV_CUDA": "yes"}, "torchconv: TORCHCONV_CUDA must be auto, 0 or 1"),
        ({"CXX": "no-such-compiler"}, "torchconv: the C++ compiler 'no-such-compiler' cannot be"),
        (
            {"PYTHONPATH": "without"},
            "torchconv: no PyTorch here (there is no torch); run `python -m",
        ),
        ({"PYTHONPATH": "old"}, "torchconv: this version supports torch"),
        (
            {"TORCHCONV_CUDA": "1", "PYTHONPATH": "cuda", "CUDA_HOME": "without"},
            "torchconv: TORCHCONV_CUDA=1 asks for CUDA kernels, but nvcc was found neither on PATH",
        ),
        (
            {"TORCHCONV_CUDA": "1", "PYTHONPATH": "cuda", "CUDA_HOME": "toolkit"},
            "torchconv: TORCHCONV_CUDA=1 asks for CUDA kernels, but nvcc is of CUDA 11.8, but",
        ),
    ],
)
def test_build_refuses_with_one_sentence(source, tmp_path, env, message):
    if env == {"TORCHCONV_CUDA": "1"} and torch.version.cuda:
        pytest.skip("torch is a build with CUDA")
    (tmp_path / "without").mkdir()
    (tmp_path / "without/torch.py").write_text("raise ImportError('there is no torch')\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/sitecustomize.py").write_text("import torch\ntorch.__version__ = '2.10.0'\n")
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda/sitecustomize.py").write_text(
        "import os, torch\ntorch.version.cuda = '13.0'\nfrom torch.utils import cpp_extension\n"
        "cpp_extension.CUDA_HOME = os.environ['CUDA_HOME']\n"
    )
    fake_nvcc(tmp_path / "toolkit", "11.8")
    folders = {
        name: str(tmp_path / env[name]) for name in ("PYTHONPATH", "CUDA_HOME") if name in env
    }
    env = {**env, **folders}
    build = (sys.executable, "setup.py", "-q", "build_ext", "--build-lib", tmp_path)
    output = run(*build, cwd=source, env=env, fails=True)
    assert output.strip().splitlines()[-1].startswith(message)
