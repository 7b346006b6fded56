"""What must hold for every input of every target: named errors that explain themselves, in bounded time."""

import atexit
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST = 64 << 10
"""Bytes of one input once it is grown; a fuzzer's inputs are small, and what is slow shows at this size already."""
SECONDS = 5.0
"""Processor time for one input, under a fuzzer's instrumentation; without it, a tenth of that is much."""


class BrokenRuleError(AssertionError):
    """An input did what no input may do."""


def require(holds: object, what: str) -> None:
    """Fail unless it holds."""
    if not holds:
        raise BrokenRuleError(what)


@contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if the work inside takes more processor time than this."""
    begun = time.thread_time()
    yield
    took = time.thread_time() - begun
    require(took <= seconds, f"{took:.1f} s of work for one input, more than {seconds:g} s")


def plain(text: str) -> None:
    """A message says something, in one line that hides nothing and does not grow with the input."""
    require(text.strip(), "an error says nothing")
    require(text.isprintable(), f"a message breaks its line, or holds what a terminal obeys: {text!r}")
    require(len(text) <= 8192, f"a message of {len(text)} characters")


def grown(data: bytes, most: int = MOST) -> bytes:
    """The input; of the form `a NUL b NUL c` it is a, then b as often as there is room, then c.

    So a fuzzer finds with few bytes what is slow or deep only when it is repeated.
    """
    parts = data.split(b"\x00")
    if len(parts) != 3 or not parts[1]:
        return data[:most]
    first, again, last = parts
    return first + again * max(1, (most - len(first) - len(last)) // len(again)) + last


def scratch() -> Path:
    """A folder that goes with the process; in memory where there is such a place, for a fuzzer writes a lot."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="gyrostat-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
