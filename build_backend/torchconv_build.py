"""setuptools' build backend, taught to build against the torch that is already there.

pip builds in an isolated environment from which the packages of the target environment are hidden,
torch among them. Naming torch as a build requirement would fetch the newest one, and an extension
compiled against that fails to load under the torch in use. The build does run on the interpreter
of the target environment, though: asked in a process of its own, without the variables by which
pip narrows its view, that interpreter tells where its packages are.

Tools that build on another interpreter (`uv`, `python -m build`) have no torch to show. For them
torch becomes a build requirement, in the range that pyproject.toml names.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import setuptools  # noqa: F401  (puts its bundled tomli within reach of Python 3.10)
from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (hooks that need no torch)
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def target_path() -> list[str]:
    """sys.path of this interpreter as its user sees it."""
    hiding = ("PYTHONPATH", "PYTHONNOUSERSITE")
    env = {name: value for name, value in os.environ.items() if name not in hiding}
    command = [sys.executable, "-c", "import sys; print(*sys.path[1:], sep='\\n')"]
    result = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return result.stdout.splitlines()


def find_torch() -> bool:
    """Make the target environment's torch importable; False if it has none.

    The folders go to the end of sys.path: torch imports its own dependencies from them, while
    setuptools and ninja still come from the isolated environment.
    """
    if importlib.util.find_spec("torch") is None:
        sys.path += [folder for folder in target_path() if folder not in sys.path]
        importlib.invalidate_caches()
    return importlib.util.find_spec("torch") is not None


def torch_requirement() -> str:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(item for item in project["dependencies"] if item.startswith("torch"))


def get_requires_for_build_wheel(config_settings=None):
    return [] if find_torch() else [torch_requirement()]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    find_torch()
    # Objects under build/ are worth keeping between builds, build/lib is not: setuptools packs
    # everything in it, also modules that have since been renamed or removed.
    for leftover in Path("build").glob("lib*"):
        shutil.rmtree(leftover)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    find_torch()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
