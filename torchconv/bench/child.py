"""Another process that measures: for what is settled as a process starts, or lasts as long as one.

It finds modules where this process does, wherever that was started, and reads and answers JSON, a
line each.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_Self = TypeVar("_Self", bound="Child")
_CODE = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve()"


class ChildError(RuntimeError):
    """A process that ended instead of answering: how it ended, in one sentence."""


class Child:
    """A process that answers requests; it starts with the first one.

    Args:
        module: Whose function ``serve`` it runs.
        environment: Variables to add to those of this process.
    """

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._module = module
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        # A file never fills up, as a pipe would that nobody reads.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115, __exit__ closes it

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(BrokenPipeError):  # it may have ended before it read everything
                self._process.__exit__(None, None, None)  # closes its input, at which it ends
        self._complaints.close()

    def ask(self, request: dict[str, Any]) -> Any:
        """Sends a request and waits for the answer; this process sleeps meanwhile.

        Raises:
            ChildError: If the process ends instead.
        """
        self._process = self._process or self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # then there is no answer, either
            print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildError(self._ending(self._process.wait()))
        return json.loads(answer)

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", _CODE.format(path=sys.path, module=self._module)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={**os.environ, **self._environment},
        )

    def _ending(self, code: int) -> str:
        if code == -signal.SIGKILL:
            return "its process was killed, as the system does when memory runs out"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with code {code}: {lines[-1] if lines else 'without a word'}"


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """What the process does: reads a request per line, and answers with a line."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
