"""Where the demo plays: a folder of plain files, the real command line, and whatever runs because of it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import psutil

from audit.stores.sqlite import SqliteStore
from controller.core.records import AnyRecord, decode
from controller.demo.evidence import Effect, read_effects
from controller.demo.load import Count
from controller.schemas import write as write_schemas
from telemetry.sources.unix_rpc import call

STATE = ".gyrostat"
"""The default state directory, so that no command needs to name it."""
BIN = Path(sys.executable).parent
ADDRESS = "otlp.address"
"""The file in which services.yaml lets services look where the controller receives OTLP."""
USUAL_ADDRESS = "127.0.0.1:4318"
"""The one of a person who goes on by hand."""
END_WITHIN = 4.0  # seconds that a process gets to end by itself, before it is killed


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it answered under `-o json`."""
        return json.loads(self.out)["data"]


class Stage:
    """The folder and the processes. `close` leaves neither, whatever happened before.

    Attributes:
        folder: holds everything, once it is open; a person can go on in it by hand.
        loop: the controller, once started.
        command_within: seconds that one command may take.
    """

    command_within = 20.0

    def __init__(self) -> None:
        self.folder = Path()
        self.loop: subprocess.Popen[bytes] | None = None
        self._loads: list[Load] = []
        self._records: list[tuple[int, AnyRecord]] = []
        self._command: subprocess.Popen[str] | None = None

    def open(self) -> None:
        """Make the folder, with its files.

        Raises:
            OSError: there is no place for it.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="gyrostat-demo-"))
        with as_file(files("controller.demo")) as package:
            shutil.copytree(package / "files", self.folder, dirs_exist_ok=True)
            shutil.copy(package / "service.py", self.folder)
        write_schemas(self.folder / STATE / "schema")

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.folder / STATE

    @property
    def trail(self) -> Path:
        """The trail's store."""
        return self.state / "trail.db"

    @property
    def log(self) -> Path:
        """What the controller says."""
        return self.folder / "loop.log"

    @property
    def about(self) -> str:
        """Of the stage, for who watches."""
        return f"every command runs in {self.folder}"

    def environment(self) -> dict[str, str]:
        """In which everything runs."""
        return _environment()

    def run(self, *words: str) -> Done:
        """Run a command line in the folder, as a person would."""
        command = subprocess.Popen(
            [*_program(), *words[1:]] if words[0] == "auto" else words,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends everything in order
        )
        self._command = command
        out, err = command.communicate(timeout=self.command_within)
        self._command = None
        return Done(command.returncode, out, err)

    def start_loop(self, *words: str) -> None:
        """Run `auto loop …` beside us."""
        with self.log.open("ab") as log:
            self.loop = subprocess.Popen(
                [*_program(), "loop", *words],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_loop(self) -> None:
        """End the controller as a power cut would: it can tidy nothing up."""
        if self.loop is not None:
            self.loop.kill()
            self.loop.wait()
            self.loop = None

    def start_load(self, rate: float, services: Sequence[str] = (), *words: str) -> "Load":
        """Send requests to these services, or to every one."""
        ports = json.loads((self.state / "ports.json").read_bytes())
        addresses = [f"{n}={at['address']}:{at['http']}" for n, at in ports.items() if not services or n in services]
        load = Load(["--rate", str(rate), *words, *addresses], self.folder)
        self._loads.append(load)
        return load

    @property
    def requests(self) -> dict[str, Count]:
        """What became of the requests so far, by service."""
        sums: dict[str, Count] = {}
        for load in self._loads:
            for name, count in load.counts.items():
                sums[name] = sums.get(name, Count()) + count
        return sums

    def tell_services(self, address: str) -> None:
        """Where they may send their spans to; they read it again each time."""
        fresh = self.folder / f"{ADDRESS}.new"
        fresh.write_text(f"{address}\n")
        fresh.replace(self.folder / ADDRESS)

    def view(self, name: str) -> dict[str, Any]:
        """What the running loop shows: the same that `auto` asks it."""
        return call(self.state / "control.sock", {"view": name, "args": {}}, 2.0)

    def services(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each service."""
        reply = call(self.state / "supervisor.sock", {"op": "list"}, 2.0)
        return {f"{s['target']['namespace']}/{s['target']['name']}": s for s in reply["services"]}

    def supervisor(self) -> int:
        """Its process id; 0 when none was started."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.state / "supervisor.lock").read_text())
        return 0

    def records(self) -> list[tuple[int, AnyRecord]]:
        """The whole trail, with the place of each record; read only, beside whoever writes it."""
        if not self.trail.exists():
            return []
        with contextlib.closing(SqliteStore.open(self.trail, read_only=True)) as store:
            self._records += [(stored.seq, decode(stored.body)) for stored in store.after(len(self._records))]
        return self._records

    def effects(self) -> list[Effect]:
        """What the supervisor wrote down of its own doing."""
        return read_effects((self.state / "effects.jsonl").read_bytes())

    def close(self, *, keep: bool) -> None:
        """End every process, then remove the folder unless it is to be kept."""
        if self.folder == Path():
            return
        if self._command is not None:  # it may be starting the supervisor: let it finish, so that nobody is overlooked
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._command.communicate(timeout=END_WITHIN)
            self._command.kill()
        for process in (self.loop, *(load.process for load in self._loads)):
            _end(process)
        self._end_services()
        if keep:
            self.tell_services(USUAL_ADDRESS)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_services(self) -> None:
        """The supervisor ends its services; what is left after that is killed."""
        pid = self.supervisor()
        if not pid:
            return
        with contextlib.suppress(psutil.Error):
            supervisor = psutil.Process(pid)
            if supervisor.create_time() < psutil.Process().create_time():
                return  # not ours: its number was given to another process
            below = supervisor.children(recursive=True)
            supervisor.resume()
            supervisor.terminate()
            _, left = psutil.wait_procs([supervisor, *below], END_WITHIN)
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, END_WITHIN)


class Load:
    """The client process and its newest report."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.counts: dict[str, Count] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "controller.demo.load", *words],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> None:
        """Send no more; what became of the last requests is counted."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._reader.join(END_WITHIN)
        _end(self.process)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.counts = {name: Count(**count) for name, count in json.loads(line).items()}


def _end(process: "subprocess.Popen[bytes] | None") -> None:
    if process is None:
        return
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program() -> list[str]:
    """`auto` of this very installation."""
    script = BIN / "auto"
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "controller.cli"]


def _environment() -> dict[str, str]:
    """Ours, without settings meant for somebody else's loop; `python3` and `auto` are those of this installation."""
    mine = {name: value for name, value in os.environ.items() if not name.upper().startswith("GYROSTAT_")}
    return mine | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONSAFEPATH": "1"}


def seconds() -> float:
    """A clock for how long things take."""
    return time.monotonic()
