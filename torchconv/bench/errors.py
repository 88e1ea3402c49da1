"""What is said where a benchmark cannot be run as asked."""

import importlib
from typing import Any


class UsageError(Exception):
    """A wrong argument: one sentence that names it, what was expected and what came."""


def optional(*names: str, extra: str = "bench") -> list[Any]:
    """Imports packages that torchconv itself does not depend on.

    Args:
        names: Modules, whose first parts are the names of their packages.
        extra: The extra of torchconv that installs them.

    Returns:
        The modules.

    Raises:
        UsageError: If any of them is not installed.
    """
    modules, absent = [], []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ModuleNotFoundError:
            absent.append(name.partition(".")[0])
    if absent:
        raise UsageError(
            f"torchconv.bench: expected {' and '.join(absent)} to be installed, but found none; "
            f"run `python -m pip install 'torchconv[{extra}]'`"
        )
    return modules
