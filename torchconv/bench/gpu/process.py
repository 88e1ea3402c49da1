"""Processes that may crash or never end."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

_GRACE = 10.0  # seconds, for what has been interrupted to write what it knows


@dataclass(frozen=True)
class Ended:
    """How a process ended: its code, which is None if its time was up, and what it printed."""

    code: int | None
    seconds: float
    output: str

    @property
    def ending(self) -> str:
        """What went wrong, in a few words; empty if nothing did."""
        if self.code is None:
            return f"stopped after {self.seconds:.0f} s, its time limit"
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        lines = self.output.strip().splitlines()
        return f"ended with code {self.code}: {lines[-1] if lines else 'without a word'}"


def run(
    command: Sequence[str], limit: float, environment: Mapping[str, str] | None = None
) -> Ended:
    """Runs a command, and stops it with all that it has started when its time is up.

    Args:
        command: Program and arguments.
        limit: Seconds. Then it is interrupted, as by Ctrl-C, and a little later killed.
        environment: Variables to add to those of this process.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:  # which never fills up, as a pipe would
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        finally:
            with suppress(ProcessLookupError):  # the usual case: nobody is left
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # a driver may hold on to it
                process.wait(_GRACE)
        return Ended(code, time.monotonic() - begin, _text(output))


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")
