"""Files that a run leaves: all of it as JSON, and its table as a section of a Markdown page."""

import json
import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from torchconv.bench.errors import UsageError
from torchconv.bench.results import Row, Timing
from torchconv.bench.timing import Times

_FORMAT = "torchconv.bench 1"


class AnyReport(Protocol):
    """What files are made of."""

    command: str
    machine: dict[str, Any]
    options: Any  # a dataclass

    def content(self) -> dict[str, Any]:
        """What was measured, for JSON."""

    def legend(self) -> str:
        """What the table means."""

    def table(self, form: str = ...) -> str:
        """The table, in one of tabulate's formats."""

    def summary(self) -> str:
        """What it comes to, in lines."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that nobody, at any time, finds half of it."""
    data = content.encode() if isinstance(content, str) else content
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, delete=False) as file:
        try:
            file.write(data)
            file.close()
            # Temporary files are private; this one gets what a new file would have.
            mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
            os.chmod(file.name, mode)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(path: Path, report: AnyReport) -> None:
    """Writes everything that was measured as JSON."""
    content = {
        "format": _FORMAT,
        "command": report.command,
        "machine": report.machine,
        "options": asdict(report.options),
        **report.content(),
    }
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def load_old(path: Path) -> tuple[dict[tuple[str, ...], Row], dict[str, Any]]:
    """Reads what :func:`save` has written: rows by their keys, and the machine.

    Raises:
        UsageError: If the file is something else.
    """
    try:
        content, rows = load(path)
        return {row.key: row for row in rows if not row.failure}, content["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--compare: expected a file that --save has written, but got {str(path)!r} "
            f"({type(error).__name__}: {error})"
        ) from None


def load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """The content of a file that :func:`save` has written of times, and its rows.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON.
        KeyError: If it is something else.
        TypeError: Likewise.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format"] != _FORMAT:
        raise KeyError(content["format"])
    return content, [_row(row) for row in content["rows"]]


def _row(content: dict[str, Any]) -> Row:
    timings = [Timing(**{**t, "times": Times(**t["times"])}) for t in content.pop("timings")]
    return Row(**content, timings=timings)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What of machine and versions has changed, a sentence each."""
    return [
        f"{key} was {old.get(key)!r} then, and is {new.get(key)!r} now"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def write_markdown(path: Path, title: str, report: AnyReport, sentence: str) -> None:
    """Writes a table as a section of a page: in place of the one with its title, or at the end.

    Comments around the section tell where it begins and ends, so that several commands may each
    own one, and text between them stays.
    """
    begin, end = (f"<!-- torchconv.bench {word}: {title} -->" for word in ("begin", "end"))
    section = "\n\n".join(
        [
            f"{begin}\n## {title}",
            f"```sh\n{report.command}\n```",
            sentence,
            report.legend(),
            report.table("github"),
            "\n".join(f"* {line}" for line in report.summary().splitlines()),
        ]
    )
    section += f"\n{end}\n"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n?", re.DOTALL)
    if pattern.search(page):
        page = pattern.sub(lambda _: section, page, count=1)
    else:
        page = f"{page.rstrip()}\n\n{section}".lstrip()
    write_atomically(path, page)
