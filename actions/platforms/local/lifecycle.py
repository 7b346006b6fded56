"""Starting and ending a supervisor from another process: what `auto local up` and `down` do."""

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

from actions.platforms.local.supervisor import LOCK, LOG, CannotStartError, is_free
from telemetry.sources.supervisor import SOCKET
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered, call

_LOOK = 0.02  # seconds between looks at something that is about to happen


def start_detached(services: Path, state: Path, timeout: float = 20.0) -> int:
    """Start a supervisor in a session of its own, so that it outlives its starter, and wait until it answers.

    Args:
        services: the services file.
        state: its directory.
        timeout: seconds until it must answer.

    Returns:
        Its pid.

    Raises:
        CannotStartError: in its own words, line by line; nothing is left running.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / LOG).open("ab") as log:
        said_before = log.tell()
        child = subprocess.Popen(
            _command(services, state), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + timeout
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(NotDelivered, MaybeDelivered):
            if call(state / SOCKET, {"op": "ping"}, timeout=1.0).get("pid") == child.pid:
                threading.Thread(target=child.wait, daemon=True).start()  # a starter that stays keeps no zombie
                return child.pid
        time.sleep(_LOOK)
    if child.poll() is None:
        child.kill()
        child.wait()
    why = _said_since(state / LOG, said_before)
    raise CannotStartError(why or f"the supervisor did not answer within {timeout:g} s; see {state / LOG}")


def _command(services: Path, state: Path) -> list[str]:
    """-P: a folder named `actions` where the user stands must not be taken for ours."""
    module = "actions.platforms.local.supervisor"
    return [sys.executable, "-P", "-m", module, str(services), "--state", str(state)]


def _said_since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read(1 << 16).decode(errors="replace").strip()


def reload(state: Path) -> dict[str, list[str]]:
    """Have the services file read again.

    Returns:
        `added`, `removed` and `changed` services; or `problems`, and then nothing was changed.

    Raises:
        NotDelivered: no supervisor answers.
        MaybeDelivered: it did not say what became of it.
    """
    reply = call(state / SOCKET, {"op": "reload"}, timeout=30.0)
    return {key: list(reply[key]) for key in ("added", "removed", "changed", "problems") if key in reply}


def stop(state: Path, timeout: float = 60.0) -> bool:
    """Stop everything gracefully and wait for the supervisor's end.

    Returns:
        True once it has ended (or none ran), False where it still works on it after `timeout` seconds.
    """
    with contextlib.suppress(NotDelivered, MaybeDelivered):
        call(state / SOCKET, {"op": "down"})
    deadline = time.monotonic() + timeout
    while not is_free(state / LOCK):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK)
    return True
