"""Standard output and standard error that take any text, in any encoding."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

_PLAIN = str.maketrans({"µ": "u", "·": ".", "\N{MULTIPLICATION SIGN}": "x", "…": "..."})


class Stream:
    """A text stream that spells in ASCII what its encoding lacks.

    Nothing is written after an error of the system, such as a closed pipe or a full disk. A closed
    pipe is no failure: its reader has read enough.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._error: OSError | None = None

    @property
    def failure(self) -> OSError | None:
        """The first error of the stream, except a closed pipe."""
        return None if isinstance(self._error, BrokenPipeError) else self._error

    def write(self, text: str) -> int:
        """Writes a text, of any characters."""
        self._try(self._stream.write, spelled(text, getattr(self._stream, "encoding", None)))
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._try(self._stream.flush)

    def _try(self, call: Callable[..., object], *arguments: str) -> None:
        if self._error is None:
            try:
                call(*arguments)
            except OSError as error:
                self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def spelled(text: str, encoding: str | None) -> str:
    """The text in characters that an encoding has; without an encoding, the text itself."""
    if encoding is None:
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextmanager
def console() -> Iterator[Stream]:
    """Makes ``sys.stdout`` and ``sys.stderr`` take any text, until the end of the context.

    An error of standard output is reported on standard error.

    Yields:
        The new ``sys.stdout``.
    """
    # Python has None for a descriptor that was closed as the process began.
    streams: list[Any] = [Stream(one or io.StringIO()) for one in (sys.stdout, sys.stderr)]
    out, error = streams
    with redirect_stdout(out), redirect_stderr(error):
        try:
            yield out
        finally:
            out.flush()
            if out.failure is not None:
                text = "torchconv.bench: expected a standard output that can be written, but got"
                print(f"{text} {type(out.failure).__name__}: {out.failure}", file=error)
            error.flush()
