"""Measures one shape: verifies it, then times both libraries in turns."""

import torch

from torchconv.bench.calls import Options, calls_of
from torchconv.bench.cases import Case
from torchconv.bench.huge_pages import NativeWithHugePages
from torchconv.bench.peers import engine_call
from torchconv.bench.results import STEPS, Row, Timing
from torchconv.bench.timing import interleave
from torchconv.bench.verify import verify


def measure(
    label: str,
    case: Case,
    options: Options,
    peers: list[str],
    huge_pages: NativeWithHugePages | None,
) -> Row:
    """Verifies and times one shape.

    Args:
        label: What reports call it.
        case: The shape.
        options: How it is measured.
        peers: Inference engines to time, too.
        huge_pages: A process in which torch has huge pages, if that is of interest.

    Returns:
        The row; without times if torchconv's results are wrong.
    """
    dtype = getattr(torch, options.dtype)
    row = Row(label, case.operator, str(case), options.dtype, case.memory_bound)
    verdict = verify(case, dtype, options.device, options.layouts)
    row.errors, row.failure = verdict.errors, verdict.failure
    if row.failure:
        return row
    for step in STEPS:
        row.work[step] = case.bytes(step, dtype.itemsize) or case.flops(step)
        calls = calls_of(case, options, step, case.sides)
        for (layout, side), times in interleave(calls, options.seconds, options.device).items():
            row.timings.append(Timing(step, layout, side, times))
    for name in peers:
        _time_engine(row, name, case, options)
    if huge_pages is not None:
        row.timings += huge_pages.times(case, options)
    return row


def _time_engine(row: Row, name: str, case: Case, options: Options) -> None:
    """Times an engine on its own: between calls its threads wait busily, at others' expense."""
    try:
        call = engine_call(name, case, options.threads)
    except Exception as error:  # engines have exceptions of their own, and limits of their own
        row.notes.append(f"{name}: {str(error).partition(chr(10))[0]}")
        return
    times = interleave({name: call}, options.seconds)[name]
    row.timings.append(Timing("forward", "contiguous", name, times))
