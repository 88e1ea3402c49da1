"""Measures one shape: verifies it, then times both libraries in turns."""

from dataclasses import replace
from functools import partial

import torch

from torchconv.bench.calls import (
    Key,
    Options,
    calls_of,
    input_bytes,
    inputs,
    rotating_calls,
)
from torchconv.bench.cases import Case
from torchconv.bench.cuda_machine import sets_here
from torchconv.bench.huge_pages import NativeWithHugePages
from torchconv.bench.peers import engine_call
from torchconv.bench.results import Row, Timing
from torchconv.bench.saved import saved_bytes
from torchconv.bench.timing import Times, interleave
from torchconv.bench.timing_cuda import interleave_graphs
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
        The row; without times if torchconv's results are wrong, or a GPU fails.
    """
    dtype = f"{options.dtype} as TF32" if options.tf32 else options.dtype
    row = Row(label, case.operator, str(case), dtype, case.memory_bound)
    if options.device == "cuda":
        try:
            _measure(row, case, options)
        except RuntimeError as error:  # its memory is too small, a kernel reads what is not its own
            row.failure = str(error).partition("\n")[0]
            row.timings.clear()
        return row
    _measure(row, case, options)
    if row.failure:
        return row
    for name in peers:
        _time_engine(row, name, case, options)
    if huge_pages is not None:
        row.timings += huge_pages.times(case, options)
    return row


def _measure(row: Row, case: Case, options: Options) -> None:
    dtype = getattr(torch, options.dtype)
    verdict = verify(case, dtype, options.device, options.layouts, options.tf32)
    row.errors, row.failure = verdict.errors, verdict.failure
    if row.failure:
        return
    if case.memory_bound:
        row.saved = _saved(case, options)
    timed = _on_gpu if options.device == "cuda" else _on_cpu
    for step in case.steps(options.device):
        row.work[step] = case.bytes(step, dtype.itemsize) or case.flops(step)
        for (layout, side), times in timed(case, options, step).items():
            row.timings.append(Timing(step, layout, side, times))


def _on_cpu(case: Case, options: Options, step: str) -> dict[Key, Times]:
    return interleave(calls_of(case, options, step, case.sides), options.seconds)


def _on_gpu(case: Case, options: Options, step: str) -> dict[Key, Times]:
    """Layouts come one after the other: the memory holds several sets of each."""
    found: dict[Key, Times] = {}
    for layout in options.layouts:
        found |= _in_one_layout(case, replace(options, layouts=[layout]), step)
    return found


def _in_one_layout(case: Case, options: Options, step: str) -> dict[Key, Times]:
    sets = sets_here(input_bytes(case, options))
    calls = rotating_calls(case, options, step, case.sides, sets)
    return interleave_graphs(calls, options.seconds)


def _saved(case: Case, options: Options) -> dict[str, int]:
    """Bytes that each side keeps for backward."""
    given, _ = inputs(case, options, options.layouts[0])
    sides = {side: partial(getattr(case, side), *given) for side in case.sides}
    return {side: saved_bytes(forward) for side, forward in sides.items()}


def _time_engine(row: Row, name: str, case: Case, options: Options) -> None:
    """Times an engine on its own: between calls its threads wait busily, at others' expense."""
    try:
        call = engine_call(name, case, options.threads)
    except Exception as error:  # engines have exceptions of their own, and limits of their own
        row.notes.append(f"{name}: {str(error).partition(chr(10))[0]}")
        return
    times = interleave({name: call}, options.seconds)[name]
    row.timings.append(Timing("forward", "contiguous", name, times))
