"""What a benchmark prints: in any encoding, and where no one reads it."""

import io
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from torchconv.bench import cli
from torchconv.bench.calls import Options
from torchconv.bench.console import spelled
from torchconv.bench.memory import MemoryOptions, MemoryRow
from torchconv.bench.memory_report import MemoryReport
from torchconv.bench.report import Report
from torchconv.bench.results import Row, Timing
from torchconv.bench.timing import Times

MACHINE = {
    "cpu": "Xéon®", "cores": 1, "isa": "i", "threads": 1, "torch": "t", "torchconv": "0",
    "python": "3", "compiler": "c",
}  # fmt: skip

SIGNS = "µ·\N{MULTIPLICATION SIGN}…é"


def encoded(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")


def text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


@contextmanager
def in_ascii():
    """Standard output and error that take nothing but ASCII, and are the same afterwards."""
    out, error = encoded("ascii"), encoded("ascii")
    with redirect_stdout(out), redirect_stderr(error):
        yield out, error
        assert (sys.stdout, sys.stderr) == (out, error)
    assert {(one.encoding, one.errors) for one in (out, error)} == {("ascii", "strict")}


def times(*_):
    options = Options("float32", ["contiguous"], "cpu", 1, 0.1)
    timings = [
        Timing("forward", "contiguous", side, Times(1e-5, 1e-5, 1e-5, 5))
        for side in ("ours", "native")
    ]
    row = Row("a", "matmul", "M=2", "float32", timings=timings, work={"forward": 1e6})
    return Report("matmul", "", MACHINE, options, 1.0, [row])


def memory(*_):
    options = MemoryOptions("float32", ["contiguous"], 1)
    return MemoryReport("", MACHINE, options, [MemoryRow("net/a", "N=1", "contiguous", "float32")])


@pytest.mark.parametrize("command", ["", *cli.CASES, "net", "memory", "gpu"])
def test_help_is_printed_in_ascii(command):
    with in_ascii() as streams, pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    out, error = map(text, streams)
    assert out.startswith("usage:")
    assert "[--table NAME,...]" in " ".join(out.split()) or command in ("", "gpu")
    assert not error


def test_a_table_is_printed_in_ascii(monkeypatch):
    monkeypatch.setattr(cli, "_times", times)
    monkeypatch.setattr(cli, "_memory", memory)
    with in_ascii() as streams:
        assert cli.main(["matmul"]) == cli.main(["memory"]) == 0
    out = text(streams[0])
    for words in (r"X\xe9on\xae, 1 cores", "less than 300 us there", "1.00 .", "net/a"):
        assert words in out


def test_refusals_are_printed_in_ascii():
    with in_ascii() as streams:
        assert cli.main(["matmul", "--save", f"no/{SIGNS}\udcff.json"]) == 2
    out, error = map(text, streams)
    assert not out
    assert error.startswith("--save: expected a file that can be written, but got 'no/u.x...\\xe9")


def test_progress_is_printed_in_ascii(monkeypatch):
    def slowly(*_):
        list(cli.jobs.done([("µ", "·", lambda: None)] * 3))
        return times()

    monkeypatch.setattr(cli, "_times", slowly)
    with in_ascii() as streams:
        streams[1].isatty = lambda: True
        assert cli.main(["matmul"]) == 0
    assert "u .]" in text(streams[1])


def test_only_what_an_encoding_lacks_is_spelled_otherwise():
    for encoding in ("utf-8", "utf-16", None):
        assert spelled(SIGNS, encoding) == SIGNS
    assert spelled("µé", "latin-1") == "µé"
    assert spelled(SIGNS, "latin-1") == "u.x...é"
    assert spelled(SIGNS, "ascii") == r"u.x...\xe9"
    assert spelled("\udcff", "utf-8") == r"\udcff"


@pytest.fixture
def closed():
    """A pipe that no one reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("command", ["--help", "matmul --shape M=2 --seconds 1e-4"])
@pytest.mark.parametrize("also", [False, True])
def test_a_closed_pipe_ends_a_process_quietly(command, also, closed):
    ended = subprocess.run(
        [sys.executable, "-m", "torchconv.bench", *command.split()],
        stdout=closed,
        stderr=closed if also else subprocess.PIPE,
        cwd="/",
    )
    assert ended.returncode == 0
    assert not ended.stderr


def test_a_closed_pipe_leaves_files(closed, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "_times", times)
    with os.fdopen(os.dup(closed), "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        assert cli.main(["matmul", "--save", str(tmp_path / "now.json")]) == 0
        sys.stdout.detach()
    assert not capsys.readouterr().err
    assert (tmp_path / "now.json").exists()


def test_an_output_that_is_full_is_a_failure(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "_times", times)
    with open("/dev/full", "wb", buffering=0) as device:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(device, write_through=True))
        assert cli.main(["matmul", "--save", str(tmp_path / "now.json")]) == 1
        sys.stdout.detach()
    error = capsys.readouterr().err
    assert error.startswith("torchconv.bench: expected a standard output that can be written, but")
    assert error.count("\n") == 1
    assert (tmp_path / "now.json").exists()


def test_without_standard_streams_files_are_written(monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "_times", times)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["matmul", "--save", str(tmp_path / "now.json")]) == 0
    assert (tmp_path / "now.json").exists()
