"""The effect log: what was accepted and what happened to processes, in order, one JSON line each.

It is written apart from the controller's trail, so that the two can be held against each other.
"""

import os
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

_MOST_WAITING = 10_000  # events kept in memory while the disk is full; the oldest go first


class EffectLog:
    """Appends whole lines; a line that could not be written wholly is taken back."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)

    def append(self, entry: dict[str, Any]) -> None:
        """Write one line, after all that still waits.

        Raises:
            OSError: it is surely not written: whatever it announces must not be done.
        """
        self.flush()
        self._write(msgspec.json.encode(entry) + b"\n")

    def note(self, entry: dict[str, Any]) -> None:
        """Write one line about what has happened already; it waits in memory while it cannot be written."""
        self._waiting.append(msgspec.json.encode(entry) + b"\n")
        try:
            self.flush()
        except OSError:
            return  # tried again with the next line and with every tick

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OSError: something still waits.
        """
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.popleft()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._fd).st_size
        written = os.write(self._fd, line)
        if written != len(line):
            os.ftruncate(self._fd, size)
            raise OSError(28, "no space for a whole line")
