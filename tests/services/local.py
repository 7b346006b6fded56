"""A real supervisor with real processes, for tests."""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from actions.platforms.local.lifecycle import start_detached, stop
from actions.platforms.local.platform import LocalPlatform
from telemetry.sources.supervisor import SupervisorSource
from telemetry.sources.unix_rpc import call

HTTP_SERVICE = Path(__file__).with_name("http_service.py")
COMMAND = [sys.executable, "-S", "-E", str(HTTP_SERVICE)]
HEAD = "apiVersion: gyrostat.dev/v1alpha1\nkind: Services\nservices:\n"
WITHIN = 20.0  # seconds that anything real may take on a busy machine


def service(name: str = "checkout", **keys: object) -> str:
    """One service as YAML; a value is written as JSON, which is YAML too."""
    default = {
        "command": COMMAND,
        "namespace": "shop",
        "replicas": {"desired": 2, "min": 1, "max": 6},
        "listen": "inherit",
        "probe": {"http": "/health", "period": "100ms", "timeout": "300ms", "failures": 2},
        "stop": {"grace": "500ms"},
    }
    lines = [f"name: {name}"]
    lines += [f"{key}: {json.dumps(value)}" for key, value in (default | keys).items() if value is not None]
    return "  - " + "\n    ".join(lines) + "\n"


class Local:
    """A state directory, a services file, and the supervisor on them."""

    def __init__(self, *services: str) -> None:
        self.state = Path(tempfile.mkdtemp(dir="/tmp", prefix="gy"))
        self.file = self.state / "services.yaml"
        self.platform = LocalPlatform(self.state, timeout=3.0)
        self.source = SupervisorSource(self.state)
        self.pid = 0
        self.write(*services)

    def write(self, *services: str) -> None:
        self.file.write_text(HEAD + "".join(services) if services else HEAD.rstrip() + " []\n")

    def start(self) -> "Local":
        self.pid = start_detached(self.file, self.state)
        return self

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        try:
            if not stop(self.state, timeout=WITHIN):
                os.kill(self.pid, signal.SIGKILL)
        finally:
            shutil.rmtree(self.state)

    def ask(self, **request: Any) -> dict[str, Any]:
        return call(self.state / "supervisor.sock", request, timeout=WITHIN)

    def listing(self, name: str = "checkout") -> dict[str, Any]:
        for each in self.ask(op="list")["services"]:
            if each["target"]["name"] == name:
                return each
        raise AssertionError(f"{name} is not listed")

    def slots(self, name: str = "checkout") -> list[dict[str, Any]]:
        return self.listing(name)["slots"]

    def target(self, name: str = "checkout"):
        reading = self.source.read(time.monotonic())
        assert not reading.error
        return next(target for target in reading.facts if target.name == name)

    def facts(self, target):
        return self.source.read(time.monotonic()).facts[target]

    def effects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state / "effects.jsonl").read_text().splitlines()]

    def until(self, condition, what: str = "the condition"):
        """Wait until it is true; returns what it returned."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come true within {WITHIN:g} s: {self.ask(op='list')}")

    def until_ready(self, count: int, name: str = "checkout"):
        def ready():
            slots = self.slots(name)
            return slots if len(slots) == count and all(slot["ready"] for slot in slots) else None

        return self.until(ready, f"{count} ready instances")

    def until_settled(self, count: int, name: str = "checkout"):
        """Ready, and nothing that was asked for is still to come."""

        def settled():
            slots = self.slots(name)
            return slots if len(slots) == count and all(s["ready"] and not s["replacing"] for s in slots) else None

        return self.until(settled, f"{count} settled instances")

    def get(self, path: str, name: str = "checkout", slot: int | None = None, timeout: float = 5.0) -> str:
        ports = json.loads((self.state / "ports.json").read_bytes())[f"shop/{name}"]
        port = ports["http"] if slot is None else ports["instances"][str(slot)]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
            return answer.read().decode()


@contextlib.contextmanager
def local(*services: str):
    rig = Local(*services)
    try:
        yield rig.start()
    finally:
        rig.close()
