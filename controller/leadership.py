"""Leadership on one machine: an operating-system lock that lives exactly as long as its process.

No lease and no clock: when the holder dies, however it dies, the kernel lets go. What a paused old leader could still
write is refused by the store, by its epoch (`Store.lead`). Readers never take this lock.
"""

import fcntl
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LOCK = "leader.lock"


class AlreadyLeading(Exception):  # noqa: N818 - said in the words of the command line
    """Another process leads here.

    Attributes:
        pid: of the holder; None when it has not written it yet.
        path: of the lock file.
    """

    def __init__(self, pid: int | None, path: Path, since: str = "") -> None:
        who = f"process {pid}{f' (started {since})' if since else ''}" if pid else "another process"
        stop = f"stop it first (kill {pid})" if pid else "stop it first"
        super().__init__(
            f"{who} leads already with this state directory ({path}): {stop}, or give this one a --state of its own"
        )
        self.pid, self.path = pid, path


class Leadership:
    """The held lock. It is let go by `close`, or by the end of the process.

    Attributes:
        path: of the lock file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Let go; twice is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def acquire(state_dir: Path) -> Leadership:
    """Take the lock of this state directory, which is made if there is none.

    Raises:
        AlreadyLeading: another process holds it.
        OSError: the directory or the lock file can not be written.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state_dir / LOCK
    while True:
        # close-on-exec: a child that outlives this process must not keep the lock
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n{_started()}\n".encode(), 0)
                return Leadership(path, descriptor)
        except BlockingIOError:
            pid, since = _holder(descriptor)
            os.close(descriptor)
            raise AlreadyLeading(pid, path, since) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed the file between open and lock: ours is the old one


def _is(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _started() -> str:
    import psutil  # noqa: PLC0415 - only the one process that leads needs it

    return datetime.fromtimestamp(psutil.Process().create_time(), UTC).isoformat(timespec="seconds")


def _holder(descriptor: int) -> tuple[int | None, str]:
    lines = os.pread(descriptor, 200, 0).decode(errors="replace").split("\n")
    if len(lines) < 3 or not lines[0].isdigit():  # locked a moment ago, not written yet
        return None, ""
    return int(lines[0]), lines[1]
