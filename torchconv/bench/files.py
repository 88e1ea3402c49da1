"""What files contain: all of a run as JSON, and its table as a section of a Markdown page."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from torchconv.bench.errors import UsageError
from torchconv.bench.results import Row, Timing
from torchconv.bench.targets import is_stream
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
        """The summary, one statement a line."""


def as_json(report: AnyReport) -> str:
    """Everything that was measured."""
    content = {
        "format": _FORMAT,
        "command": report.command,
        "machine": report.machine,
        "options": asdict(report.options),
        **report.content(),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def load_baseline(path: Path) -> tuple[dict[tuple[str, ...], Row], dict[str, Any]]:
    """Reads what :func:`as_json` has made: rows by their keys, and the machine.

    Raises:
        UsageError: If the file is something else.
    """
    try:
        content, rows = load(path)
        return {row.key: row for row in rows if not row.failure}, dict(content["machine"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"--compare: expected a file that --save has written, but got {str(path)!r} "
            f"({type(error).__name__}: {error})"
        ) from None


def load(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """The content of a file that :func:`as_json` has made of times, and its rows.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON.
        KeyError, TypeError, AttributeError, RecursionError: If the JSON has another form.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format"] != _FORMAT:
        raise KeyError(content["format"])
    return content, [_row(row) for row in content["rows"]]


def _row(content: dict[str, Any]) -> Row:
    timings = [Timing(**{**t, "times": _times(t["times"])}) for t in content.pop("timings")]
    return Row(**content, timings=timings)


def _times(content: dict[str, Any]) -> Times:
    if not all(isinstance(number, int | float) for number in content.values()):
        raise TypeError(f"times are no numbers: {content}")
    return Times(**content)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What of machine and versions has changed, a sentence each."""
    return [
        f"{key} was {old.get(key)!r} then, and is {new.get(key)!r} now"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def read_page(path: Path) -> str:
    """The text of a page with its own line ends; empty for a new file and for a stream.

    A stream is not opened.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not in UTF-8, or holds JSON.
    """
    if is_stream(path) or not path.exists():
        return ""
    page = path.read_bytes().decode("utf-8")
    if page.startswith("{"):
        raise ValueError("the file holds JSON, not Markdown")
    return page


def page_with(path: Path, title: str, report: AnyReport, sentence: str) -> str:
    """The page with the report as a section: replaces the section of this title, or is appended.

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
    page = read_page(path)
    newline = "\r\n" if "\r\n" in page else "\n"
    section = section.replace("\n", newline)
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}(\r?\n)?", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: section, page, count=1)
    return f"{page.rstrip()}{2 * newline}{section}".lstrip()
