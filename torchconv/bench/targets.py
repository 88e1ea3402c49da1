"""Writes files: regular ones as a whole, everything else as a stream.

A path may name a new file, a regular file, a device, a FIFO or a descriptor of this process, as
/dev/stdout does. Symbolic links are followed, and stay.
"""

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

_MOST_LINKS = 40  # that Linux follows in one path
_ROOM = 1 << 16  # bytes that a folder must have room for
# Errors of a file system, a kernel or a sandbox without O_TMPFILE.
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write(path: Path, content: str | bytes) -> None:
    """Writes a file.

    A regular file is replaced by a new one of the same mode, so that no reader finds half of it.
    It is written in place if its folder takes no new file, or if a new file would have another
    owner. It is also written in place if it has several hard links: all show the new content.
    A stream receives the content once; a descriptor of this process, at its current offset.

    Raises:
        OSError: If the file cannot be written. If there is no room for it, a regular file keeps its
            old content.
    """
    # An argument of the command line that is no UTF-8 may be part of the text.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    if (own := _descriptor(path)) is not None:
        _write_all(own, data)
        return
    target = Path(os.path.realpath(path))
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        _replace(target, data, None)
        return
    try:
        old = os.fstat(descriptor)
        if not stat.S_ISREG(old.st_mode):
            _write_all(descriptor, data)
        elif not _replace(target, data, old):
            _overwrite(descriptor, data, old.st_size)
    finally:
        os.close(descriptor)


def probe(path: Path) -> None:
    """Finds out whether :func:`write` can write a file.

    No file is created or changed. FIFOs and devices are not opened: opening them may block or have
    side effects.

    Raises:
        OSError: If the file cannot be written.
    """
    if (own := _descriptor(path)) is not None:
        if fcntl.fcntl(own, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "open for reading only", str(path))
        return
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        _probe_folder(Path(os.path.realpath(path)).parent)
        return
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        _probe_access(path, os.W_OK)
        return
    os.close(os.open(path, os.O_WRONLY))  # fails for folders and sockets
    try:
        _probe_folder(Path(os.path.realpath(path)).parent)
    except OSError as error:
        if error.errno in _FULL:  # otherwise the file can be written in place
            raise


def is_stream(path: Path) -> bool:
    """Whether a path names a device, FIFO, socket, folder or descriptor of this process."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file())


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path names, directly or by links.

    Opened anew, a redirected /dev/stdout would have an offset of its own: what is printed later
    would overwrite the content.
    """
    own = os.path.realpath("/proc/self/fd")
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            break
        folder = os.path.realpath(path.parent)
        if folder == own:
            return int(path.name)
        path = Path(folder, os.readlink(path))
    return None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _replace(target: Path, data: bytes, old: os.stat_result | None) -> bool:
    """Puts a new file in the place of an old one, or of none; False if the old one must stay."""
    if old is not None and old.st_nlink != 1:
        return False
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent)
    except OSError:
        if old is None:
            raise
        return False
    try:
        try:
            new = os.fstat(descriptor)
            if old is not None and (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                return False
            _write_all(descriptor, data)
            # Temporary files are private; this one gets what a new file would have.
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode) if old else 0o666 & ~_umask())
        finally:
            os.close(descriptor)
        try:
            os.replace(name, target)
        except OSError:  # for example, the old file is a mount point
            if old is None:
                raise
            return False
        return True
    finally:
        with suppress(FileNotFoundError):  # after os.replace
            os.unlink(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _overwrite(descriptor: int, data: bytes, size: int) -> None:
    """Writes a regular file of some size in place."""
    try:
        # First the part that takes new room: if there is none, the old content is still whole.
        os.lseek(descriptor, size, os.SEEK_SET)
        _write_all(descriptor, data[size:])
    except BaseException:
        os.ftruncate(descriptor, size)
        raise
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, data[:size])
    os.ftruncate(descriptor, len(data))


def _probe_folder(folder: Path) -> None:
    """Creates an unnamed file; without O_TMPFILE, checks permissions and free blocks."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
        _probe_access(folder, os.W_OK | os.X_OK)
        if not os.statvfs(folder).f_bfree:  # full, or like /proc no place for files
            raise
        return
    try:
        _write_all(descriptor, bytes(_ROOM))
    finally:
        os.close(descriptor)


def _probe_access(path: Path, mode: int) -> None:
    if not os.access(path, mode, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
