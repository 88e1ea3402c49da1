"""torch's own times with huge pages, which it reads once, as a process starts.

torchconv asks for huge pages for large results. Where an operator only moves memory, these alone
may decide; beside torch with ``THP_MEM_ALLOC_ENABLE=1`` one sees what the kernels themselves do.
"""

from dataclasses import asdict
from typing import Any

import torch

from torchconv.bench import child
from torchconv.bench.calls import Options, calls_of
from torchconv.bench.cases import CASES, Case
from torchconv.bench.results import Timing
from torchconv.bench.timing import Times, interleave

SIDE = "native+THP"


class NativeWithHugePages(child.Child):
    """A process that times torch with huge pages; it starts with the first shape."""

    def __init__(self) -> None:
        super().__init__(__name__, {"THP_MEM_ALLOC_ENABLE": "1"})

    def times(self, case: Case, options: Options) -> list[Timing]:
        """Times of torch in every step and layout; this process sleeps meanwhile."""
        request = {"operator": case.operator, "shape": str(case), "options": asdict(options)}
        return [
            Timing(one["step"], one["layout"], SIDE, Times(**one["times"]))
            for one in self.ask(request)
        ]


def serve() -> None:
    """What the process does."""
    child.serve(_answer)


def _answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    options = Options(**request["options"])
    case = CASES[request["operator"]].parse(request["shape"])
    torch.set_num_threads(options.threads)
    found = []
    for step in case.steps(options.device):
        calls = calls_of(case, options, step, ("native",))
        for (layout, _), times in interleave(calls, options.seconds).items():
            found.append(asdict(Timing(step, layout, SIDE, times)))
    return found
