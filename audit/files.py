"""Small files that must be whole and durable, and file errors in words."""

import errno
import os
from pathlib import Path

from audit.journal import Full, JournalError, ReadOnly, Unavailable


def sync_directory(path: Path) -> None:
    """Make the names in this directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, text: bytes, mode: int) -> None:
    """Make a file, whole or not at all, its name durable."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, text)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(path)
    sync_directory(path.parent)


def refused(error: OSError, path: Path, what: str = "can not be read or written now") -> JournalError:
    """What this error means for the journal; `what` is said of the path where nothing better is known."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full(f"{path}: no space left on its file system. Free some space")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnly(f"{path} can not be used: {error.strerror}")
    return Unavailable(f"{path} {what}: {error.strerror}")
