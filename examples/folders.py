"""Pictures from your own folder: the files of MNIST or CIFAR-10 as they are published."""

from __future__ import annotations

import codecs
import gzip
import io
import math
import pickle
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import CLASSES, Arrays, DataError, Dataset

RECORD = 1 + 3 * 32 * 32  # bytes of CIFAR-10's binary version: a label and its picture


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk: its files, and the function that reads a part of them."""

    name: str
    subfolders: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    read: Callable[[list[Path]], Arrays]

    def find(self, folder: Path) -> dict[str, Path]:
        """Return the files of this layout that `folder` holds, by their usual name."""
        found = {}
        for name in self.train + self.test:
            spellings = [name, name.replace("-idx", ".idx")]
            paths = [folder / (spelling + end) for spelling in spellings for end in ("", ".gz")]
            path = next(filter(Path.is_file, paths), None)
            if path:
                found[name] = path
        return found


def load_folder(folder: Path) -> Dataset:
    """Return the MNIST or CIFAR-10 pictures whose files lie in `folder` or its usual subfolder.

    Raises:
        DataError: If the folder holds neither data set, only a part of one, or damaged files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is {'not a folder' if folder.exists() else 'missing'}.")
    finds = [(layout, layout.find(folder / sub)) for layout in LAYOUTS for sub in layout.subfolders]
    # The most complete one, for a folder may well hold MNIST next to some file of CIFAR-10.
    layout, files = max(finds, key=lambda find: len(find[1]) / len(find[0].train + find[0].test))
    if not files:
        names = sorted(path.name for path in folder.iterdir())
        found = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise DataError(
            f"{folder} holds neither the MNIST files ({', '.join(MNIST.train + MNIST.test)}, plain "
            "or .gz) nor the CIFAR-10 files (data_batch_1 to data_batch_5 and test_batch, of the "
            f"python version or, ending in .bin, of the binary one), but {found or 'nothing'}."
        )
    missing = [name for name in layout.train + layout.test if name not in files]
    if missing:
        found, missed = ", ".join(files), ", ".join(missing)
        raise DataError(f"{folder} holds {found} of {layout.name}, but {missed} is missing.")
    train, test = (
        _checked(layout.read([files[name] for name in names]), files[names[0]])
        for names in (layout.train, layout.test)
    )
    return Dataset.from_arrays(layout.name.lower(), train, test)


def _checked(arrays: Arrays, path: Path) -> Arrays:
    images, labels = arrays
    if not 0 < len(images) == len(labels):
        raise DataError(f"{path} has {len(images)} pictures, but {len(labels)} labels.")
    if not 0 <= labels.min() <= labels.max() < CLASSES:
        raise DataError(f"The labels for {path} do not lie within 0 to {CLASSES - 1}.")
    return arrays


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Decode an idx file: 0, 0, 8 for bytes, the number of dimensions, their sizes, the bytes."""
    content = _read_bytes(path)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path} does not start like an idx file of {dimensions} dimension(s).")
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if math.prod(sizes) != len(content) - start:
        raise DataError(
            f"{path} is damaged: it promises {math.prod(sizes)} bytes, it has "
            f"{len(content) - start}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _read_mnist(paths: list[Path]) -> Arrays:
    images, labels = _read_idx(paths[0], 3), _read_idx(paths[1], 1)
    if images.shape[1:] != (28, 28):
        raise DataError(f"{paths[0]} holds pictures of {images.shape[1:]}, not of (28, 28) pixels.")
    return images[:, None], labels


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays and plain containers only, as any other pickle could run foreign code."""

    def find_class(self, module: str, name: str) -> object:
        """Return the function that the pickle names, if it is one of those that arrays need."""
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numeric", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
            ("_codecs", "encode"): codecs.encode,
        }
        # NumPy 2 renamed numpy.core to numpy._core; files of both ages are around.
        key = (re.sub(r"^numpy\._?core\.", "", module), name)
        if key not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known[key]


def _read_cifar_pickles(paths: list[Path]) -> Arrays:
    parts = []
    for path in paths:
        stream = io.BytesIO(_read_bytes(path))
        try:
            # The published files come from Python 2, whose strings are read as latin1.
            batch = _ArrayUnpickler(stream, encoding="latin1").load()
            images = np.asarray(batch["data"]).reshape(-1, 3, 32, 32)
            labels = np.asarray(batch["labels"]).reshape(len(images))
            parts.append((images.astype("u1", casting="safe"), labels.astype("i8", casting="safe")))
        except Exception as error:  # Damaged pickles raise almost anything.
            raise DataError(f"{path} is no batch of CIFAR-10: {error!r}.") from error
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _read_cifar_records(paths: list[Path]) -> Arrays:
    parts = []
    for path in paths:
        content = np.frombuffer(_read_bytes(path), np.uint8)
        if len(content) % RECORD:
            raise DataError(f"{path} is damaged: it is no whole number of {RECORD}-byte records.")
        parts.append(content.reshape(-1, RECORD))
    records = np.concatenate(parts)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


MNIST = Layout(
    "MNIST",
    ("", "MNIST/raw", "raw"),
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    _read_mnist,
)
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR_PICKLES = Layout(
    "CIFAR-10", ("", "cifar-10-batches-py"), BATCHES, ("test_batch",), _read_cifar_pickles
)
CIFAR_RECORDS = Layout(
    "CIFAR-10",
    ("", "cifar-10-batches-bin"),
    tuple(f"{name}.bin" for name in BATCHES),
    ("test_batch.bin",),
    _read_cifar_records,
)
LAYOUTS = (MNIST, CIFAR_PICKLES, CIFAR_RECORDS)
