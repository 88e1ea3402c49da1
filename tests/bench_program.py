"""The benchmark program with a fixed result instead of a measurement."""

import resource
from contextlib import contextmanager

import pytest

from torchconv.bench import cli
from torchconv.bench.calls import Options
from torchconv.bench.report import Report
from torchconv.bench.results import Row, Timing
from torchconv.bench.timing import Times

MACHINE = {
    "cpu": "C", "cores": 1, "isa": "i", "threads": 1, "torch": "t", "torchconv": "0", "python": "3",
    "compiler": "c",
}  # fmt: skip
FIRST_BYTES = {"save": b"{", "plot": b"\x89PNG", "markdown": b"<!-- torchconv.bench begin"}
each_output = pytest.mark.parametrize("option", FIRST_BYTES)


def program(monkeypatch):
    """A function that runs the program; its attribute ``runs`` counts measurements."""

    def times(*_):
        run.runs += 1
        run.meanwhile()
        options = Options("float32", ["contiguous"], "cpu", 1, 0.1)
        timings = [
            Timing("forward", "contiguous", side, Times(1e-3, 1e-3, 1e-3, 5))
            for side in ("ours", "native")
        ]
        errors = {"forward": {"ours": 0.0, "native": 0.0}}
        row = Row("a", "matmul", "M=2", "float32", errors=errors, timings=timings)
        row.work["forward"] = 1e6
        return Report("matmul", "", MACHINE, options, 1.0, [row])

    def run(**paths):
        words = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
        return cli.main(["matmul", *words])

    monkeypatch.setattr(cli, "_times", times)
    run.runs, run.meanwhile = 0, lambda: None
    return run


def output_path(folder, option):
    """A file with the suffix that a picture needs."""
    return folder / f"{option}.png"


@contextmanager
def largest_file(size):
    """Limits files to ``size`` bytes, to simulate a full file system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
