"""Makes ``python -m torchconv.bench`` run."""

import os
import sys

from torchconv.bench.cli import main


def _drop_what_cannot_be_printed() -> None:
    """Sends buffered text that its destination refuses to /dev/null.

    Otherwise Python reports an error as it ends, and changes the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        _drop_what_cannot_be_printed()
