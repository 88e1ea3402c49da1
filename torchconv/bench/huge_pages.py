"""torch's own times with huge pages, which it reads once, as a process starts.

torchconv asks for huge pages for large results. Where an operator only moves memory, these alone
may decide; beside torch with ``THP_MEM_ALLOC_ENABLE=1`` one sees what the kernels themselves do.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import torch

from torchconv.bench.calls import Options, calls_of
from torchconv.bench.cases import CASES, Case
from torchconv.bench.results import STEPS, Timing
from torchconv.bench.timing import Times, interleave

SIDE = "native+THP"
# The child finds modules where this process does, wherever that was started.
_CHILD = (
    "import sys; sys.path[:] = {path!r}; from torchconv.bench import huge_pages as h; h.serve()"
)


class NativeWithHugePages:
    """A process that times torch with huge pages; it starts with the first shape."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "NativeWithHugePages":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.__exit__(None, None, None)  # closes its input, at which it ends

    def times(self, case: Case, options: Options) -> list[Timing]:
        """Times of torch in every step and layout; this process sleeps meanwhile."""
        self._process = self._process or _start()
        request = {"operator": case.operator, "shape": str(case), "options": asdict(options)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that times torch with huge pages ended at {case}")
        return [
            Timing(one["step"], one["layout"], SIDE, Times(**one["times"]))
            for one in json.loads(answer)
        ]


def _start() -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _CHILD.format(path=sys.path)]
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def serve() -> None:
    """What the process does: reads a request per line, and answers with a line."""
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    options = Options(**request["options"])
    case = CASES[request["operator"]].parse(request["shape"])
    torch.set_num_threads(options.threads)
    found = []
    for step in STEPS:
        calls = calls_of(case, options, step, ("native",))
        for (layout, _), times in interleave(calls, options.seconds).items():
            found.append(asdict(Timing(step, layout, SIDE, times)))
    return found
