"""One incarnation of an instance: a process, its sockets and its log."""

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from actions.platforms.local.clock import wall
from actions.platforms.local.services import PASSED_ON, Listen, Service

LOG_BYTES = 8 << 20  # a log that grows beyond is emptied: the supervisor must never fill the disk
_BACKLOG = 512
_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Process:
    """A running instance.

    Attributes:
        incarnation: `pid@start`: no other process ever has the same.
        started_at: epoch seconds.
        address: where it is probed; None where it does not listen.
        port: its own port (`listen: each`), else 0.
    """

    child: "subprocess.Popen[bytes]"
    incarnation: str
    started_at: float
    address: tuple[str, int] | None
    port: int

    @property
    def pid(self) -> int:
        """Also the id of its session: what it starts belongs to it."""
        return self.child.pid

    def ended(self) -> int | None:
        """Its exit status (negative: a signal) once it has ended; what it left running is killed with it."""
        if self.child.returncode is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._group(signal.SIGKILL)  # the id is still taken by the zombie, so it hits nobody else
        return self.child.poll()

    def ask_to_end(self, name: str) -> None:
        """Send the stop signal, to the instance alone: it knows what to do with its children."""
        self.child.send_signal(signal.Signals[f"SIG{name}"])

    def kill(self) -> None:
        """End it at once, with everything it started."""
        self._group(signal.SIGKILL)

    def _group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address is taken or is none of this machine; says which.
    """
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{host} port {port}: {error.strerror}") from error
    return listener


def spawn(service: Service, shared: socket.socket | None, log: Path, reserved: int) -> Process:
    """Start an instance. Must be called by the main thread: the kernel ends the instance with the thread it came from.

    Args:
        service: what to run.
        shared: the socket of all instances (`listen: inherit`).
        log: where its output is appended.
        reserved: its port, with `listen: each`; 0 picks a free one.

    Raises:
        OSError: the system cannot start it now.
    """
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | service.env
    address, port, sockets = None, 0, []
    with contextlib.ExitStack() as owned:
        if shared is not None:
            private = owned.enter_context(listen(_loopback(service.host), 0))
            sockets = [shared, private]
            address = private.getsockname()[:2]
        elif service.listen is Listen.EACH:
            port = reserved or _free_port(service.host)
            environment["PORT"] = str(port)
            address = (_loopback(service.host), port)
        fds = [each.fileno() for each in sockets]
        output = owned.enter_context(log.open("ab"))
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(len(fds)), *map(str, fds), "--"]
        child = subprocess.Popen(
            [*launcher, *service.command],
            env=environment,
            cwd=service.working_directory,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started_at = round(wall(), 2)
    return Process(child, f"{child.pid}@{started_at:.2f}", started_at, address, port)


def bound(log: Path) -> None:
    """Empty a log that has grown too large; it is open for appending, so its writer goes on at its start."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            os.truncate(log, 0)


def _loopback(host: str) -> str:
    """Where this machine itself reaches an address that may mean all of its addresses."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return "::1" if address.version == 6 else "127.0.0.1"
    return host


def _free_port(host: str) -> int:
    """A port nobody has now; the instance may still lose it, and is then started again."""
    with listen(host, 0) as probe:
        return int(probe.getsockname()[1])
