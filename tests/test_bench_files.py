"""Files that a benchmark leaves: which can be written, how, and what happens where they cannot."""

import json
import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_program import FIRST_BYTES, each_output, largest_file, output_path, program

from torchconv.bench import cli, targets
from torchconv.bench.report import Report


@pytest.fixture
def bench(monkeypatch):
    return program(monkeypatch)


@contextmanager
def reading(fifo):
    """Reads a FIFO in another thread: the content is there at the end."""
    content = []
    thread = threading.Thread(target=lambda: content.append(fifo.read_bytes()), daemon=True)
    thread.start()
    yield content
    thread.join(10)


# ---- how files are written ---------------------------------------------------------------------


@each_output
@pytest.mark.parametrize("exists", [True, False])
def test_links_stay_and_their_targets_are_written(option, exists, bench, tmp_path):
    (tmp_path / "folder").mkdir()
    names = ("folder/file", "one", "two")
    target, link, link_to_it = (output_path(tmp_path, name) for name in names)
    if exists:
        target.touch()
    link.symlink_to("folder/file.png")
    link_to_it.symlink_to(link)
    assert bench(**{option: link_to_it}) == 0
    assert link_to_it.is_symlink()
    assert link.is_symlink()
    assert target.read_bytes().startswith(FIRST_BYTES[option])


@each_output
def test_streams_are_written_through(option, bench, tmp_path):
    fifo, link = output_path(tmp_path, option), output_path(tmp_path, "link")
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    for path in (fifo, link):
        with reading(fifo) as content:
            assert bench(**{option: path}) == 0
        assert content[0].startswith(FIRST_BYTES[option])
        assert stat.S_ISFIFO(path.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == sorted((fifo, link))


def test_devices_are_written_through():
    controller, device = os.openpty()
    targets.write(Path(os.ttyname(device)), "text")
    assert os.read(controller, 9) == b"text"
    os.close(controller)
    os.close(device)


def test_descriptors_are_written_at_their_offset(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    with file.open("wb", buffering=0) as stream:
        link.symlink_to(f"/proc/self/fd/{stream.fileno()}")
        stream.write(b"before ")
        for path in (f"/dev/fd/{stream.fileno()}", link):
            targets.probe(Path(path))
            targets.write(Path(path), "here ")
        stream.write(b"after")
    assert file.read_text() == "before here here after"
    assert link.is_symlink()


def test_sections_on_descriptors_leave_what_is_there(bench, tmp_path):
    file = tmp_path / "page.md"
    file.write_text("# Mine\n")
    with file.open("ab", buffering=0) as stream:
        assert bench(markdown=f"/dev/fd/{stream.fileno()}") == 0
    assert file.read_text().startswith("# Mine\n<!-- torchconv.bench begin")


def test_a_page_keeps_its_line_ends(bench, tmp_path):
    page = tmp_path / "page.md"
    page.write_bytes(b"# Page\r\n\r\nText\r\n")
    for _ in range(2):
        assert bench(markdown=page) == 0
    written = page.read_bytes()
    assert written.startswith(b"# Page\r\n\r\nText\r\n\r\n<!-- torchconv.bench begin")
    assert written.count(b"\n") == written.count(b"\r\n")
    assert written.count(b"begin") == 1


def test_files_are_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    targets.write(path, "old")
    reader = path.open()
    path.chmod(0o640)
    targets.write(path, "new")
    assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    monkeypatch.setattr(targets.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        targets.write(path, "newer")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    reader.close()


def test_new_files_have_the_mode_of_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        targets.write(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def refuse(*_, **__):
    raise PermissionError(13, "no new file here")


def hard_link(path, monkeypatch):
    os.link(path, path.with_name("other"))


def other_owner(path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(path, 1234, 1234)


IN_PLACE = {
    "several names": hard_link,
    "another owner": other_owner,
    "no new file": lambda path, patch: patch.setattr(targets.tempfile, "mkstemp", refuse),
    "a mount point": lambda path, patch: patch.setattr(targets.os, "replace", refuse),
}


@pytest.mark.parametrize("arrange", IN_PLACE.values(), ids=IN_PLACE)
def test_files_that_cannot_be_replaced_are_written_in_place(arrange, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old content")
    arrange(path, monkeypatch)
    before, names = path.stat(), sorted(tmp_path.iterdir())
    for content in ("new", "longer content than before"):
        targets.write(path, content)
        assert path.read_text() == content
    with largest_file(50), pytest.raises(OSError, match="File too large"):
        targets.write(path, "x" * 100)
    assert path.read_text() == "longer content than before"
    after = path.stat()
    assert (after.st_ino, after.st_uid, after.st_nlink) == (
        before.st_ino, before.st_uid, before.st_nlink
    )  # fmt: skip
    assert sorted(tmp_path.iterdir()) == names


def test_arguments_that_are_no_utf_8_are_written(bench, tmp_path):
    page = tmp_path / "\udcff.md"
    assert bench(markdown=page) == 0
    assert "\\udcff.md" in page.read_text()


# ---- what fails at the end ---------------------------------------------------------------------


def full(path):
    path.symlink_to("/dev/full")


@each_output
def test_a_failure_at_the_end_loses_nothing_else(option, bench, tmp_path, capsys):
    paths = {name: output_path(tmp_path, name) for name in FIRST_BYTES}
    full(paths[option])
    assert bench(**paths) == 1
    out, error = capsys.readouterr()
    assert error == (
        f"--{option}: expected a file that can be written, but got '{paths[option]}' "
        "(OSError: [Errno 28] No space left on device)\n"
    )
    assert "geometric mean" in out
    for name, path in paths.items():
        if name != option:
            assert path.read_bytes().startswith(FIRST_BYTES[name])
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_every_failure_is_said(bench, tmp_path, capsys):
    paths = {name: output_path(tmp_path, name) for name in FIRST_BYTES}
    for path in paths.values():
        full(path)
    assert bench(**paths) == 1
    out, error = capsys.readouterr()
    options = [line.partition(":")[0] for line in error.splitlines()]
    assert options == [f"--{name}" for name in FIRST_BYTES]
    assert "geometric mean" in out


def test_a_reader_that_is_gone_loses_nothing_else(bench, tmp_path, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    page = tmp_path / "page.md"
    assert bench(save=f"/dev/fd/{writer}", markdown=page) == 1
    os.close(writer)
    out, error = capsys.readouterr()
    assert "(BrokenPipeError: [Errno 32] Broken pipe)\n" in error
    assert error.count("\n") == 1
    assert "geometric mean" in out
    assert page.exists()


def test_a_folder_that_vanishes_loses_nothing_else(bench, tmp_path, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    bench.meanwhile = folder.rmdir
    assert bench(save=folder / "now.json", markdown=tmp_path / "page.md") == 1
    out, error = capsys.readouterr()
    assert error.startswith("--save: expected a file that can be written, but got ")
    assert error.count("\n") == 1
    assert "geometric mean" in out
    assert (tmp_path / "page.md").exists()


@pytest.mark.parametrize("error", [ValueError("Image size is too large\nmore"), KeyboardInterrupt])
def test_a_picture_that_cannot_be_drawn_loses_nothing_else(
    error, bench, tmp_path, capsys, monkeypatch
):
    def draw(*_):
        raise error

    monkeypatch.setattr(cli, "picture", draw)
    old = tmp_path / "plot.png"
    old.write_text("old")
    assert bench(save=tmp_path / "now.json", plot=old, markdown=tmp_path / "page.md") == 1
    out, said = capsys.readouterr()
    reason = (
        "KeyboardInterrupt" if error is KeyboardInterrupt else f"ValueError: {error.args[0][:23]}"
    )
    assert said.endswith(f" ({reason})\n")
    assert said.count("\n") == 1
    assert "geometric mean" in out
    assert json.loads((tmp_path / "now.json").read_text())["rows"]
    assert (tmp_path / "page.md").exists()
    assert old.read_text() == "old"


def test_files_come_before_the_table(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(Report, "table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench(save=tmp_path / "now.json")
    assert json.loads((tmp_path / "now.json").read_text())["rows"]
