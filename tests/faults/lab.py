"""A rig whose loop can be given a wrong clock or the product's own bounds; and unkind clients."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil

from tests.faults.rig import AUTO, ROOT, Rig, up

HOUR, DAY = 3600.0, 86_400.0
Y2200 = 7_258_118_400.0
"""Epoch seconds of 2200-01-01."""


def faketime_library() -> Path:
    """The library that lies about the wall clock to the process that preloads it."""
    spec = find_spec("libfaketime")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


class Lab(Rig):
    """See the module.

    Attributes:
        product: start `auto loop`, with every bound of the product, rather than the loop that obeys orders.
        environment: of the next loop, over that of the harness.
    """

    def __init__(self, services: dict[str, int], policies: dict[str, dict], **settings: object) -> None:
        super().__init__(services, policies, **settings)
        self.product = False
        self.environment: dict[str, str] = {}

    def start_loop(self, *words: str) -> None:
        assert self.loop is None or self.loop.poll() is not None
        words = words or (("loop",) if self.product else ())
        command = [*AUTO, *words] if words else [sys.executable, "-m", "tests.faults.run_loop", str(self.state)]
        with self.log.open("ab") as log:
            self.loop = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | ({"GYROSTAT_STATE": str(self.state)} if words else {}) | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def restart_loop(self) -> None:
        """As after a power cut, and until it answers again."""
        self.kill_loop()
        self.start_loop()
        self.view()

    # --- the clock

    def fake_clock(self) -> None:
        """Let the next loop see the clock that `shift_clock` sets; its steady clock is left alone."""
        self.environment |= {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.state / "faketime"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.shift_clock(0)

    def shift_clock(self, seconds: float) -> None:
        """The loop's wall clock is ahead by so many seconds, from now on."""
        draft = self.state / "faketime.draft"
        draft.write_text(f"{seconds:+.0f}\n")
        draft.rename(self.state / "faketime")

    # --- the process

    def process(self) -> psutil.Process:
        assert self.loop is not None
        return psutil.Process(self.loop.pid)

    @property
    def control(self) -> Path:
        return self.state / "control.sock"


def lab(
    services: dict[str, int], policies: dict[str, dict], **settings: object
) -> contextlib.AbstractContextManager[Lab]:
    """A lab, up."""
    return up(Lab(services, policies, **settings))


@contextlib.contextmanager
def deaf_clients(path: Path, count: int, line: bytes, *, finish: bool = True) -> Iterator[list[socket.socket]]:
    """Clients that ask again and again and never read an answer; or that never finish their first line."""
    clients = []
    try:
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.connect(str(path))  # waits for a place in the queue, if it must
            client.setblocking(False)
            with contextlib.suppress(OSError):
                client.send((line + b"\n") * 50 if finish else line)
        yield clients
    finally:
        for client in clients:
            client.close()


def soon(condition: Callable[[], object], within: float = 30.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
