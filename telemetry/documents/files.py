"""Configuration files from disk: regular files of bounded size, nothing else."""

import os
import stat
from pathlib import Path

from telemetry.documents import MAX_BYTES, DocumentError, Problem

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path, within: Path | None = None) -> bytes:
    """The content of a regular file of at most `MAX_BYTES`.

    Args:
        path: which file; named like this in messages.
        within: a folder that links must not lead out of; None lets them.

    Raises:
        DocumentError: it is no such file, or cannot be read; never anything else.
    """
    try:
        real = path.resolve(strict=True)
        if within is not None and not real.is_relative_to(within.resolve(strict=True)):
            raise _error(path, "is a link out of its folder", f"inside {within}")
        # a pipe without a writer would block for ever
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
        try:
            content = _content(path, handle)
        finally:
            os.close(handle)
    except DocumentError:
        raise
    except OSError as error:
        raise _error(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (RuntimeError, ValueError) as error:  # a loop of links; a NUL in the name
        raise _error(path, f"cannot be read: {error}".lower()) from None
    return content


def _content(path: Path, handle: int) -> bytes:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "something else")
        raise _error(path, f"is {kind}, not a file", "a regular file")
    with open(handle, "rb", closefd=False) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _error(path, "is too large", f"at most {MAX_BYTES} bytes")
    return content


def _error(path: Path, message: str, hint: str = "") -> DocumentError:
    return DocumentError([Problem(str(path), 1, 1, "", message, hint)])
