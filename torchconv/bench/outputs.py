"""The files that a command line names: probed before a run, written at its end."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torchconv.bench import targets
from torchconv.bench.errors import UsageError
from torchconv.bench.files import read_page

# By the name of an option: makes the content of the file that the option names.
Makers = Mapping[str, Callable[[Path], str | bytes]]


def probe(arguments: argparse.Namespace) -> None:
    """Checks all files before the run, and changes none.

    Raises:
        UsageError: For the first file that cannot be written, or that two options name.
    """
    named: dict[str, str] = {}  # an option by the file that it names
    if (old := getattr(arguments, "compare", None)) is not None:
        named[os.path.realpath(old)] = "compare"
    for name in ("save", "plot", "markdown"):
        path: Path | None = getattr(arguments, name, None)
        if path is None:
            continue
        try:
            targets.probe(path)
            _check_name(named, name, path)
            if name == "markdown":
                read_page(path)
        except (OSError, ValueError) as error:
            raise UsageError(_complaint(name, path, error)) from None


def _check_name(named: dict[str, str], name: str, path: Path) -> None:
    """Notes the file of an option, and refuses that of another; old times may make way for new."""
    if targets.is_stream(path):
        return
    other = named.setdefault(os.path.realpath(path), name)
    if other != name and (other, name) != ("compare", "save"):
        raise UsageError(
            f"--{name}: expected another file than that of --{other}, but got {str(path)!r}"
        )


def write_files(arguments: argparse.Namespace, makers: Makers, final: bool = True) -> list[str]:
    """Writes every file of the command line; one failure does not stop the others.

    Args:
        arguments: Of the command line.
        makers: What may be written, in this order.
        final: Whether this is the last call. Streams are written only then, once.

    Returns:
        A sentence for each file that could not be written.
    """
    complaints = []
    for name, make in makers.items():
        path: Path | None = getattr(arguments, name, None)
        if path is None:
            continue
        try:
            if final or not targets.is_stream(path):
                targets.write(path, make(path))
        # matplotlib has exceptions of its own; a FIFO without a reader blocks until an interrupt.
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt) and not final:
                raise
            complaints.append(_complaint(name, path, error))
    return complaints


def _complaint(name: str, path: Path, error: BaseException) -> str:
    reason = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    return f"--{name}: expected a file that can be written, but got {str(path)!r} ({reason})"
