"""Files that the benchmark program refuses before it measures."""

import os
import socket
import tempfile
import traceback
from pathlib import Path

import pytest
from bench_program import each_output, output_path, program

from torchconv.bench import cli, targets


@pytest.fixture
def bench(monkeypatch):
    return program(monkeypatch)


def loop(folder):
    (folder / "loop.png").symlink_to("loop.png")
    return folder / "loop.png"


def dangling(folder):
    (folder / "link.png").symlink_to("no/such.png")
    return folder / "link.png"


def a_socket(folder):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket.png"))
    return folder / "socket.png"


def directory(folder):
    (folder / "folder.png").mkdir()
    return folder / "folder.png"


REFUSED = {
    "no folder": (lambda folder: folder / "no" / "file.png", "No such file or directory"),
    "a folder": (directory, "Is a directory"),
    "in a file": (lambda folder: Path(__file__) / "file.png", "Not a directory"),
    "dangling into no folder": (dangling, "No such file or directory"),
    "a loop": (loop, "Too many levels of symbolic links"),
    "no place for files": (lambda folder: Path("/proc/file.png"), "Operation not supported"),
    "a long name": (lambda folder: folder / f"{'x' * 300}.png", "File name too long"),
    "a socket": (a_socket, "No such device or address"),
}


@each_output
@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_files_that_cannot_be_written_are_refused(option, make, reason, bench, tmp_path, capsys):
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert bench(**{option: path}) == 2
    assert bench.runs == 0
    out, error = capsys.readouterr()
    assert error.startswith(f"--{option}: expected a file that can be written, but got '{path}' (")
    assert reason in error
    assert error.count("\n") == 1
    assert not out
    assert sorted(tmp_path.iterdir()) == before


def test_a_descriptor_that_is_only_read_is_refused(bench, capsys):
    with Path(__file__).open() as stream:
        assert bench(save=f"/dev/fd/{stream.fileno()}") == 2
    assert "open for reading only" in capsys.readouterr().err
    assert bench.runs == 0


def test_a_page_that_is_no_text_is_refused(bench, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_bytes(b"\xff")
    assert bench(markdown=page) == 2
    assert "but got" in (error := capsys.readouterr().err)
    assert "UnicodeDecodeError" in error
    assert bench.runs == 0


@pytest.mark.parametrize("exists", [True, False])
def test_a_file_system_that_is_full_is_refused(exists, bench, tmp_path, monkeypatch, capsys):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "now.json"
    if exists:
        path.write_text("old")
    monkeypatch.setattr(targets, "_write_all", no_room)
    assert bench(save=path) == 2
    assert bench.runs == 0
    assert "No space left on device" in capsys.readouterr().err
    assert not exists or path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == exists


def test_where_there_are_no_unnamed_files_permissions_are_read(tmp_path, monkeypatch):
    right = os.open

    def without(path, flags, *more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return right(path, flags, *more)

    monkeypatch.setattr(targets.os, "open", without)
    targets.probe(tmp_path / "file")
    monkeypatch.setattr(targets.os, "access", lambda *_, **__: False)
    with pytest.raises(PermissionError):
        targets.probe(tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_probing_changes_nothing(tmp_path):
    file, fifo, link = (tmp_path / name for name in ("file", "fifo", "link"))
    file.write_text("old")
    os.mkfifo(fifo)
    link.symlink_to("new")
    before = [(path, path.lstat()) for path in (tmp_path, file, fifo, link)]
    for path in (file, fifo, link, tmp_path / "other"):
        targets.probe(path)  # of a FIFO without a reader, too
    assert [(path, path.lstat()) for path in (tmp_path, file, fifo, link)] == before
    assert file.read_text() == "old"


def as_nobody(test):
    """Runs a test in a process without the rights of root."""
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            test()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_permissions_are_respected():
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of its user
        folder = Path(name)
        protected, allowed, fifo = (folder / name for name in ("protected", "allowed", "fifo"))
        for path, mode in ((protected, 0o444), (allowed, 0o666), (folder, 0o555)):
            path.touch()
            path.chmod(mode)

        def refused(path):
            with pytest.raises(PermissionError):
                targets.probe(path)

        def test():
            refused(protected)
            refused(folder / "new")
            targets.probe(allowed)
            targets.write(allowed, "new")

        as_nobody(test)
        assert allowed.read_text() == "new"
        folder.chmod(0o755)
        os.mkfifo(fifo, 0o400)
        as_nobody(lambda: refused(fifo))


def test_one_file_for_two_options_is_refused(bench, tmp_path, capsys):
    (tmp_path / "link").symlink_to("page")
    assert bench(save=tmp_path / "page", markdown=tmp_path / "link") == 2
    sentence = "--markdown: expected another file than that of --save, but got"
    assert capsys.readouterr().err == f"{sentence} {str(tmp_path / 'link')!r}\n"
    assert bench.runs == 0
    assert bench(save="/dev/null", markdown="/dev/null") == 0


@pytest.mark.parametrize("option", ["plot", "markdown"])
def test_the_file_of_old_times_is_no_output(option, bench, tmp_path, capsys):
    path = output_path(tmp_path, "old")
    assert bench(save=path) == 0
    saved = path.read_bytes()
    assert bench(compare=path, **{option: path}) == 2
    assert f"--{option}: expected another file than that of --compare" in capsys.readouterr().err
    assert path.read_bytes() == saved
    assert bench(compare=path, save=path) == 0  # new times for old ones


def test_a_page_does_not_go_into_a_file_of_times(bench, tmp_path, capsys):
    path = tmp_path / "times"
    assert bench(save=path) == 0
    saved = path.read_bytes()
    assert bench(markdown=path) == 2
    assert "holds JSON, not Markdown" in capsys.readouterr().err
    assert path.read_bytes() == saved


HEAD = '{"format": "torchconv.bench 1", "machine": {}, "rows": '
TIMES = '{"median": "1", "lower": 1, "upper": 1, "repetitions": 5}'
TIMING = f'{{"step": "forward", "layout": "", "side": "ours", "times": {TIMES}}}'
ROW = '{"label": "", "operator": "conv", "shape": "", "dtype": "float32", "timings": [%s]}'
NOT_SAVED = {
    "another format": '{"format": "2"}',
    "a list": "[]",
    "rows of numbers": HEAD + "[1]}",
    "a shape that is a list": HEAD + "[" + ROW.replace('"shape": ""', '"shape": []') % "" + "]}",
    "times that are text": HEAD + "[" + ROW % TIMING + "]}",
    "deeply nested": "[" * 100_000,
}


@pytest.mark.parametrize("text", NOT_SAVED.values(), ids=NOT_SAVED)
def test_old_times_that_save_has_not_written_are_refused(text, tmp_path, capsys):
    path = tmp_path / "old.json"
    path.write_text(text)
    assert cli.main(["matmul", "--shape", "M=2", "--compare", str(path)]) == 2
    out, error = capsys.readouterr()
    sentence = "--compare: expected a file that --save has written, but got"
    assert error.startswith(f"{sentence} {str(path)!r} (")
    assert error.count("\n") == 1
    assert not out
