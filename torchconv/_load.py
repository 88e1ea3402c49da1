"""Loads the compiled half of the package, or says what is wrong with it and how to mend it.

An extension compiled against another torch may fail with a mangled symbol name, or load and crash
later. So the record that the build has left is read first, and the library is opened only if this
record fits the torch and the Python that are running. Nothing is ever compiled here.
"""

import importlib
import json
import sysconfig
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).resolve().parent


def load(folder: Path = PACKAGE, torch_version: str = torch.__version__) -> dict[str, Any]:
    """Imports ``torchconv._C``, which registers the operators, and returns its build record.

    Args:
        folder: The package's folder, which holds ``_C`` and ``_build_info.json``.
        torch_version: The version of the torch that is running.

    Returns:
        The content of ``_build_info.json``: versions, compiler, instruction sets.

    Raises:
        ImportError: If the compiled part is absent, made for something else, or does not load.
    """
    record = folder / "_build_info.json"
    parts = {"_C.*.so": any(folder.glob("_C.*.so")), record.name: record.exists()}
    if not all(parts.values()):
        raise ImportError(_absent(folder, [name for name, there in parts.items() if not there]))

    info: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    built_for = f"torch {info['torch']} and Python {_minor(info['python'])}"
    here = f"torch {torch_version} and Python {sysconfig.get_python_version()}"
    library = folder / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    if _minor(info["torch"]) != _minor(torch_version) or not library.exists():
        raise ImportError(
            f"torchconv was built for {built_for}, but this is {here}. "
            f"Rebuild it: {_remedy(folder)}"
        )
    try:
        compiled = importlib.import_module("torchconv._C")
    except ImportError as error:
        raise ImportError(
            f"torchconv's compiled part does not load: {error}. It was built for {built_for} by "
            f"{info['compiler']}; this is {here}. Rebuild it: {_remedy(folder)}"
        ) from error
    compiled.read_environment()  # raises ValueError for an unknown value
    return info


def _absent(folder: Path, missing: list[str]) -> str:
    if _is_source(folder) and len(missing) > 1:
        return (
            f"{folder} is torchconv's source, not compiled, and hides an installed torchconv from "
            f"a Python that starts here. Start it in another folder, or compile: {_remedy(folder)}"
        )
    files = " and no ".join(missing)
    return f"torchconv has no {files} in {folder}. Install it again: {_remedy(folder)}"


def _remedy(folder: Path) -> str:
    if _is_source(folder):
        return f"`python -m pip install --no-deps --editable {folder.parent}`."
    command = "python -m pip install --force-reinstall --no-deps --no-cache-dir ."
    return f"`{command}` in torchconv's source folder."


def _is_source(folder: Path) -> bool:
    return (folder.parent / "csrc").is_dir()


def _minor(version: str) -> str:
    """The part of a version that decides on binary compatibility: 2.13.0+cpu -> 2.13."""
    return ".".join(version.split(".")[:2])
