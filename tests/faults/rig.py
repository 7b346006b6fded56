"""Real processes for fault tests: a supervisor, its services, and a loop that is killed and started again."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from actions.scale import PATH as DESIRED
from audit.stores.sqlite import SqliteStore
from controller.compose import STORE
from controller.core.records import AnyRecord, decode
from controller.core.state import State, fold
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered, call
from tests.faults.run_loop import FIRED, ORDER
from tests.services.local import Local, service

ROOT = Path(__file__).parents[2]
AUTO = [str(Path(sys.executable).with_name("auto"))]
WORKER = str(Path(__file__).with_name("service.py"))
WITHIN = 30.0
"""Seconds: the promise about open intents, and the patience with everything else."""
RESET = "reset-"
"""Begins the intents of effects that the harness itself asks for, between two runs."""

T = TypeVar("T")


class Rig(Local):
    """A state directory with everything in it.

    Attributes:
        loop: the process of the loop; None when none was started.
        log: what loops said.
    """

    def __init__(self, services: dict[str, int], policies: dict[str, dict], **settings: object) -> None:
        super().__init__()
        self.log = self.state / "loop.log"
        self.loop: subprocess.Popen[bytes] | None = None
        self._orders, self._resets = itertools.count(1), itertools.count(1)
        self._trail: list[tuple[int, bytes, AnyRecord]] = []
        self.services = services
        self.write(*(self.describe(name, count) for name, count in services.items()))
        (self.state / "policies").mkdir()
        for name, spec in policies.items():
            document = {
                "apiVersion": "gyrostat.dev/v1alpha1",
                "kind": "RemediationPolicy",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": spec,
            }
            (self.state / "policies" / f"{name}.yaml").write_text(json.dumps(document))
        quick = {"interval": "100ms", "warmup": "0s", "metrics": "off", "call_timeout": "2s"}
        patient = {"attempts": 100, "backoff_first": "1s", "backoff_max": "1s", "checkpoint_every": "1s"}
        document = {"policies": "policies"} | quick | patient | settings
        (self.state / "gyrostat.yaml").write_text(json.dumps(document))

    def describe(self, name: str, count: int = 1) -> str:
        """A service, quick to be seen ill and quick to end."""
        return service(
            name,
            command=[sys.executable, "-S", "-E", WORKER, str(self.state / f"ill-{name}")],
            replicas={"desired": count, "min": 1, "max": 4},
            probe={"http": "/", "period": "100ms", "timeout": "150ms", "failures": 2},
            stop={"grace": "100ms"},
        )

    # --- the loop

    def start_loop(self, *words: str) -> None:
        """The loop that obeys orders; with words, `auto WORDS` instead, which knows no faults."""
        assert self.loop is None or self.loop.poll() is not None
        command = [*AUTO, *words] if words else [sys.executable, "-m", "tests.faults.run_loop", str(self.state)]
        with self.log.open("ab") as log:
            self.loop = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"GYROSTAT_STATE": str(self.state)} if words else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_loop(self) -> None:
        """As a power cut would."""
        if self.loop is not None:
            self.loop.kill()
            self.loop.wait()

    def stop_loop(self) -> int:
        """A clean stop; returns its exit code."""
        assert self.loop is not None
        self.loop.terminate()
        return self.loop.wait(WITHIN)

    def await_death(self) -> None:
        """The loop was killed by the fault, not by anything else."""
        assert self.loop is not None
        assert self.loop.wait(WITHIN) == -signal.SIGKILL, self.said()

    def await_stop(self) -> None:
        """The loop stands still."""
        loop = psutil.Process(self.loop.pid)
        self.until(lambda: loop.status() == psutil.STATUS_STOPPED, "the loop to be stopped by the fault")

    def resume(self) -> None:
        os.kill(self.loop.pid, signal.SIGCONT)

    def alive(self) -> bool:
        return self.loop is not None and self.loop.poll() is None

    def said(self) -> str:
        """The end of the loop's log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def auto(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `auto …` on this state directory; a code of None takes any."""
        done = subprocess.run(
            [*AUTO, *words],
            cwd=ROOT,
            env=os.environ | {"GYROSTAT_STATE": str(self.state)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or done.returncode == code, f"auto {words} ended with {done.returncode}: {done}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def ask_loop(self, **request: Any) -> dict[str, Any] | None:
        """What the running loop answers; None while nobody does."""
        try:
            return call(self.state / "control.sock", request, 5.0)
        except (NotDelivered, MaybeDelivered):
            return None

    def view(self, name: str = "status", **args: Any) -> dict[str, Any]:
        """A view of the running loop, as soon as it has one."""

        def shown() -> dict[str, Any] | None:
            reply = self.ask_loop(view=name, args=args)
            return reply if reply and "refused" not in reply else None

        return self.wait_for(shown, f"the view {name}")

    # --- faults

    def order(self, at: str, *, nth: int = 1, after: str | None = None, how: str = "kill") -> str:
        """Order one fault; returns its id."""
        id_ = f"{os.getpid()}-{next(self._orders)}"
        draft = self.state / f"{ORDER}.draft"
        draft.write_text(json.dumps({"id": id_, "at": at, "nth": nth, "after": after, "how": how}))
        draft.rename(self.state / ORDER)
        return id_

    def cancel(self) -> None:
        """Take back an order that did not fire."""
        (self.state / ORDER).unlink(missing_ok=True)

    def fired(self, id_: str) -> bool:
        """Whether this fault has fired."""
        path = self.state / FIRED
        lines = path.read_text().splitlines() if path.exists() else []
        return any(json.loads(line)["id"] == id_ for line in lines)

    # --- the world

    def ill(self, name: str, *, ill: bool) -> None:
        """Make every worker of a service ill, or well: a cause that no restart cures."""
        path = self.state / f"ill-{name}"
        if ill != path.exists():
            path.touch() if ill else path.unlink()

    def cured(self) -> bool:
        """No service is ill by `ill`, whether that was seen yet or not."""
        return not any((self.state / f"ill-{name}").exists() for name in self.services)

    def hang(self, name: str, slot: int = 0) -> str:
        """Stop one worker where it stands; returns its incarnation."""
        worker = self.slots(name)[slot]
        os.kill(worker["pid"], signal.SIGSTOP)
        return str(worker["incarnation"])

    def well(self, name: str) -> bool:
        """As it is meant to be: so many instances, all ready, none to be replaced."""
        listed = self.listing(name)
        slots = listed["slots"]
        return len(slots) == listed["desired"] and all(slot["ready"] for slot in slots)

    def reset(self, name: str) -> None:
        """Back to the number of instances that the file says."""
        listed = self.listing(name)
        if listed["desired"] != self.services[name]:
            change = {"path": DESIRED, "before": listed["desired"], "after": self.services[name]}
            reply = self.ask(op="apply", intent=f"{RESET}{next(self._resets)}", target=listed["target"], **change)
            assert reply["verdict"] == "Pass", reply

    # --- ground truth and trail

    def accepted(self, name: str = "") -> list[dict[str, Any]]:
        """The changes that the supervisor carried out because a controller asked."""
        return [
            effect
            for effect in self.effects()
            if effect["event"] == "accepted"
            and not effect["intent"].startswith(RESET)
            and name in ("", effect["target"]["name"])
        ]

    def trail(self) -> list[tuple[int, bytes, AnyRecord]]:
        """Sequence number, hash and record of everything; what was read once is not read again."""
        if (self.state / STORE).exists():
            with contextlib.closing(SqliteStore.open(self.state / STORE, read_only=True)) as store:
                known = self._trail[-1][0] if self._trail else 0
                self._trail += [(stored.seq, stored.hash, decode(stored.body)) for stored in store.after(known)]
        return list(self._trail)

    def forget(self) -> None:
        """Read the whole trail anew, as it is now."""
        self._trail = []

    def records(self) -> list[AnyRecord]:
        return [record for _, _, record in self.trail()]

    def folded(self) -> State:
        return fold(self.records())

    def wait_for(self, condition: Callable[[], T | None], what: str, pump: Callable[[], object] = lambda: None) -> T:
        """Wait for something; `pump` is called meanwhile.

        Raises:
            AssertionError: it did not come, or the loop ended.
        """
        deadline = time.monotonic() + WITHIN
        while True:
            pump()
            found = condition()
            if found:
                return found
            if not self.alive():
                raise AssertionError(f"the loop ended while waiting for {what}: {self.said()}")
            if time.monotonic() > deadline:
                last = "\n".join(str(record) for record in self.records()[-8:])
                raise AssertionError(f"{what} did not come within {WITHIN:g} s\n{last}\n{self.said()}")
            time.sleep(0.03)

    def close(self) -> None:
        self.kill_loop()
        super().close()


R = TypeVar("R", bound=Rig)


@contextlib.contextmanager
def up(made: R) -> Iterator[R]:
    """With a supervisor that runs and a loop that does not yet."""
    try:
        made.start()
        for name, count in made.services.items():
            made.until_ready(count, name)
        yield made
    finally:
        made.close()


def rig(
    services: dict[str, int], policies: dict[str, dict], **settings: object
) -> contextlib.AbstractContextManager[Rig]:
    """A rig, up."""
    return up(Rig(services, policies, **settings))


def restart_policy(name: str, **spec: object) -> dict:
    """Restarts what is sick of this service, as soon as it is seen."""
    action = {"type": "Restart", "restart": {"how": "Graceful", "instances": "Sick"}}
    return policy(name, action=action, **spec)


def scale_policy(name: str, **spec: object) -> dict:
    """One instance more while it is sick, for half a second."""
    return policy(name, action={"type": "Scale", "scale": {"by": "+1", "max": 4}, "hold": "500ms"}, **spec)


def policy(name: str, **spec: object) -> dict:
    quick = {
        "mode": "Enforce",
        "targets": {"names": [name]},
        "when": "instances.sick > 0",
        "until": "instances.sick <= 0",
        "for": "0s",
        "minConfidencePercent": 0,
        "throttle": {"cooldown": "0s", "maxUnavailable": "100%"},
        "verify": {"initialDelay": "200ms", "within": "20s"},
    }
    return quick | spec


def words(lines: Sequence[object]) -> str:
    """Findings, one a line."""
    return "\n".join(str(line) for line in lines)
