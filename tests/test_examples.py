"""The demo: what it prints, which folders it reads, and how it refuses the others."""

from __future__ import annotations

import gzip
import importlib
import pickle
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MNIST = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
CIFAR = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
LAST_LINE = re.compile(
    r"(digits|mnist|cifar-10): test accuracy torchconv [01]\.\d{4} torch [01]\.\d{4}, "
    r"largest loss difference \d+e[+-]\d+, step \d+\.\d ms against \d+\.\d ms"
)
COUNT = 20


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    pytest.importorskip("tqdm")
    monkeypatch.syspath_prepend(EXAMPLES)
    module = importlib.import_module("digits")
    yield module
    for name in ("digits", "training", "folders", "datasets"):
        sys.modules.pop(name, None)


def random_bytes(*shape: int, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(high, size=shape, dtype=np.uint8)


def write_mnist(folder: Path, names: tuple[str, ...] = MNIST) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if "images" in name:
            content = struct.pack(">4B3I", 0, 0, 8, 3, COUNT, 28, 28)
            content += random_bytes(COUNT, 28, 28).tobytes()
        else:
            content = (
                struct.pack(">4BI", 0, 0, 8, 1, COUNT) + random_bytes(COUNT, high=10).tobytes()
            )
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)


def write_cifar_pickles(folder: Path, protocol: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = random_bytes(COUNT, high=10).tolist()
    for name in CIFAR:
        batch = {"data": random_bytes(COUNT, 3072), "labels": labels, "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))


def write_cifar_records(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = np.hstack([random_bytes(COUNT, 1, high=10), random_bytes(COUNT, 3072)])
    for name in CIFAR:
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def run(digits: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    digits.main([str(argument) for argument in arguments])
    return capsys.readouterr().out.splitlines()


def refusal(digits: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        digits.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_digits_as_a_script() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    command = [sys.executable, EXAMPLES / "digits.py", "--epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    assert LAST_LINE.fullmatch(last)
    assert last.startswith("digits: ")
    assert not done.stderr  # no bar outside a terminal


def test_digits_reach_98_percent(digits, capsys) -> None:
    pytest.importorskip("sklearn")
    last = run(digits, capsys, "--layers", "torchconv")[-1]
    assert float(re.search(r"torchconv (\S+),", last)[1]) >= 0.98


def test_equal_runs_have_equal_losses(digits, capsys) -> None:
    pytest.importorskip("sklearn")
    lines = [run(digits, capsys, "--layers", "torch", "--epochs", 1) for _ in range(2)]
    final = [line for lines in lines for line in lines if line.startswith("final loss")]
    assert final[0] == final[1]


@pytest.mark.parametrize("subfolder", ["", "MNIST/raw"])
@pytest.mark.parametrize("names", [("-idx", ""), ("-idx", ".gz"), (".idx", ""), (".idx", ".gz")])
def test_mnist(digits, capsys, tmp_path, subfolder, names) -> None:
    middle, end = names
    write_mnist(tmp_path / subfolder, tuple(n.replace("-idx", middle) + end for n in MNIST))
    last = run(digits, capsys, "--data", tmp_path, "--epochs", 1)[-1]
    assert LAST_LINE.fullmatch(last)
    assert last.startswith("mnist: ")


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_cifar_pickles(digits, capsys, tmp_path, subfolder, protocol) -> None:
    write_cifar_pickles(tmp_path / subfolder, protocol)
    last = run(digits, capsys, "--data", tmp_path, "--epochs", 1)[-1]
    assert LAST_LINE.fullmatch(last)
    assert last.startswith("cifar-10: ")


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_cifar_records(digits, capsys, tmp_path, subfolder) -> None:
    write_cifar_records(tmp_path / subfolder)
    last = run(digits, capsys, "--data", tmp_path, "--epochs", 1)[-1]
    assert LAST_LINE.fullmatch(last)
    assert last.startswith("cifar-10: ")


def test_pickles_as_python_2_wrote_them(digits, monkeypatch) -> None:
    def text(value: bytes) -> bytes:  # Python 2's strings have no encoding
        return b"T" + struct.pack("<I", len(value)) + value

    pixels = bytes(range(256)) * 12
    parts = [
        *(b"\x80\x02}(", text(b"data"), b"cnumpy.core.multiarray\n_reconstruct\n"),
        *(b"cnumpy\nndarray\nK\x00\x85", text(b"b"), b"\x87R(K\x01K\x01M\x00\x0c\x86"),
        *(b"cnumpy\ndtype\n", text(b"u1"), b"K\x00K\x01\x87R(K\x03", text(b"|")),
        *(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89", text(pixels), b"tb"),
        *(text(b"labels"), b"]K\x03au."),
    ]
    folders = importlib.import_module("folders")
    monkeypatch.setattr(folders, "_read_bytes", lambda path: b"".join(parts))
    images, labels = folders._read_cifar_pickles([Path("data_batch_1")])
    assert images.tobytes() == pixels
    assert labels.tolist() == [3]


def test_folder_without_data_sets(digits, capsys, tmp_path) -> None:
    assert "is missing." in refusal(digits, capsys, "--data", tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    assert "not a folder" in refusal(digits, capsys, "--data", tmp_path / "notes.txt")
    message = refusal(digits, capsys, "--data", tmp_path)
    assert MNIST[0] in message
    assert CIFAR[0] in message
    assert "notes.txt" in message


def test_incomplete_folder(digits, capsys, tmp_path) -> None:
    write_mnist(tmp_path, MNIST[:3])
    message = refusal(digits, capsys, "--data", tmp_path)
    assert f"{MNIST[3]} is missing" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("damaged", MNIST)
def test_damaged_mnist(digits, capsys, tmp_path, damaged, end) -> None:
    write_mnist(tmp_path, tuple(name + end for name in MNIST))
    path = tmp_path / (damaged + end)
    for content in (path.read_bytes()[:-5], b"", b"no such file format"):
        path.write_bytes(content)
        message = refusal(digits, capsys, "--data", tmp_path)
        assert str(path) in message
        assert message.count("\n") == 1


class Foreign:
    """An object whose pickle calls a function that no array needs."""

    def __reduce__(self) -> tuple:
        return print, ("run by the pickle",)


@pytest.mark.parametrize("batch", [Foreign(), [], {"data": 1}, {"data": None, "labels": [1]}])
def test_wrong_cifar_pickles(digits, capsys, tmp_path, batch) -> None:
    write_cifar_pickles(tmp_path)
    path = tmp_path / CIFAR[2]
    path.write_bytes(pickle.dumps(batch))
    message = refusal(digits, capsys, "--data", tmp_path)
    assert str(path) in message
    assert message.count("\n") == 1
    assert "run by the pickle" not in capsys.readouterr().out


@pytest.mark.parametrize("write", [write_cifar_pickles, write_cifar_records])
def test_truncated_cifar(digits, capsys, tmp_path, write) -> None:
    write(tmp_path)
    path = sorted(tmp_path.iterdir())[-1]
    path.write_bytes(path.read_bytes()[:-100])
    message = refusal(digits, capsys, "--data", tmp_path)
    assert str(path) in message
    assert message.count("\n") == 1


def test_labels_out_of_range(digits, capsys, tmp_path) -> None:
    write_cifar_records(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0b" * 3073)
    assert "0 to 9" in refusal(digits, capsys, "--data", tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        "--epochs 0",
        "--epochs x",
        "--lr nan",
        "--lr -1",
        "--threads 0",
        "--convs 0",
        "--blocks 4",
        "--seed -1",
        "--batch-size 0",
        "--fully-connected -1",
        "--layers jax",
        "--plot a.txt",
    ],
)
def test_wrong_options(digits, capsys, arguments) -> None:
    pytest.importorskip("sklearn")
    assert "error: " in refusal(digits, capsys, *arguments.split())


def test_plot(digits, capsys, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    write_mnist(tmp_path)
    run(digits, capsys, "--data", tmp_path, "--epochs", 1, "--plot", tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_networks_of_both_libraries_share_their_weights(digits) -> None:
    networks = [
        digits.build_network(layers, torch.Size((3, 16, 16)), 2, 2, 2)
        for layers in digits.LIBRARIES.values()
    ]
    networks[0].load_state_dict(networks[1].state_dict())
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(networks[0](images), networks[1](images))
