"""What every step needs: the folder, the screen, and patience with an end."""

import os
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from controller.core.records import AnyRecord
from controller.demo.evidence import Hung, harm
from controller.demo.load import Count
from controller.demo.screen import Screen
from controller.demo.stage import Done, Stage
from controller.views.words import sentence
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered

STARTED = 15.0
"""Seconds in which a controller must answer."""
LOOK = 0.05
"""Seconds between two looks at something that is about to happen."""
SHOP = "shop"
POLICY, SCALE = f"{SHOP}/restart-hung", f"{SHOP}/scale-slow"

T = TypeVar("T")


class FailedError(Exception):
    """A step did not end as it must.

    Attributes:
        expected, seen: in words.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected, self.seen = expected, seen


@dataclass(slots=True)
class Walk:
    """One run of the demo.

    Attributes:
        mode: cap that the loop is given; empty for none.
        hung: every worker that was stopped so far.
        began: monotonic seconds.
    """

    stage: Stage
    screen: Screen
    mode: str = ""
    hung: list[Hung] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def auto(self, *words: str, codes: Sequence[int] = (0,), comment: str = "") -> Done:
        """The same for `auto …`."""
        return self.run("auto", *words, codes=codes, comment=comment)

    def run(self, *words: str, codes: Sequence[int] = (0,), comment: str = "") -> Done:
        """Show a command line, run it, and insist on its exit code.

        Raises:
            FailedError: with what the command said.
        """
        self.screen.command(shlex.join(words), comment)
        with self.screen.waiting("…"):
            done = self.stage.run(*words)
        if done.code not in codes:
            said = (done.err or done.out).strip() or "nothing was said"
            wanted = " or ".join(map(str, codes))
            raise FailedError(f"`{' '.join(words)}` ends with {wanted}", f"{done.code}: {said}")
        return done

    def start_loop(self) -> None:
        """The controller, in the background."""
        words = ["--config", "gyrostat.yaml", *(["--mode", self.mode] if self.mode else [])]
        self.screen.command(shlex.join(["auto", "loop", *words]) + " &")
        self.stage.start_loop(*words)

    def tell_services(self) -> None:
        """Let the services know at which free port the controller receives what they send.

        Raises:
            FailedError: it receives nothing.
        """

        def look() -> str | None:
            view = self.view()
            return view["received"]["otlp"].get("address") if view else None

        address = self.until(look, STARTED, "the controller receives OTLP", self._attention)
        self.stage.tell_services(address)

    def until(self, look: Callable[[], T | None], within: float, expected: str, seen: Callable[[], str]) -> T:
        """What `look` finds, as soon as it finds something.

        Raises:
            FailedError: it did not in time, or the controller died meanwhile.
        """
        deadline = time.monotonic() + within
        with self.screen.waiting(expected):
            while True:
                found = look()
                if found is not None:
                    return found
                if self.stage.loop is not None and self.stage.loop.poll() is not None:
                    raise FailedError(expected, f"the controller ended with {self.stage.loop.returncode}")
                if time.monotonic() > deadline:
                    raise FailedError(f"{expected} within {within:g} s", seen())
                time.sleep(LOOK)

    def healthy(self, within: float) -> None:
        """Wait until the controller sees every service well.

        Raises:
            FailedError: it did not in time.
        """

        def look() -> bool | None:
            view = self.view()
            rows = view.get("targets", []) if view else []
            return True if rows and all(row["health"] == "ok" for row in rows) else None

        self.until(look, within, "every service is healthy in `auto status`", self._attention)

    def view(self) -> dict[str, Any] | None:
        """`auto status`, without a process; None while nobody answers."""
        try:
            view = self.stage.view("status")
        except (NotDelivered, MaybeDelivered):
            return None
        return None if "refused" in view else view

    def _attention(self) -> str:
        view = self.view()
        return "; ".join(view["attention"]) if view else "no loop answers"

    def seq(self) -> int:
        """Place of the last record."""
        return max((seq for seq, _ in self.stage.records()), default=0)

    def follow(self, want: Callable[[AnyRecord], bool], within: float, expected: str, **about: Any) -> int:
        """Tell what the trail says, record by record, until the wanted one is there.

        Args:
            want: which record.
            within: seconds.
            expected: it, in words.
            about: `since`: seq after which to look; `policy`: of which; `target`: of which, or any; `began`: monotonic
                seconds from which times count, or now.

        Returns:
            The seq of the wanted record.

        Raises:
            FailedError: with the last word of the trail.
        """
        told, began = about["since"], about.get("began", time.monotonic())
        target, policy = about.get("target", ""), about["policy"]

        def look() -> int | None:
            nonlocal told
            for seq, record in self.stage.records():
                if seq > told and is_about(record, target, policy):
                    told = seq
                    self.screen.event(time.monotonic() - began, sentence(record))
                    if want(record):
                        return seq
            return None

        def seen() -> str:
            mine = [record for record in self.news(about["since"]) if is_about(record, target, policy)]
            return sentence(mine[-1]) if mine else f"nothing about {target or policy} in the trail"

        return self.until(look, within, expected, seen)

    def worker(self, service: str, slot: str) -> Hung:
        """Who holds a slot now."""
        listed = self.stage.services()[service]["slots"]
        found = next(s for s in listed if s["slot"] == slot)
        return Hung(service, slot, found["pid"], found["incarnation"])

    def hang(self, service: str, slot: str) -> Hung:
        """Stop a worker where it stands, from outside."""
        worker = self.worker(service, slot)
        self.screen.command(f"kill -STOP {worker.pid}", f"worker {slot} of {service} hangs")
        self.hung.append(worker)
        os.kill(worker.pid, signal.SIGSTOP)
        return worker

    def stop_everything(self) -> list[int]:
        """Stop every worker of every service where it stands; says which processes they are."""
        pids = [slot["pid"] for service in self.stage.services().values() for slot in service["slots"]]
        self.screen.fact(f"STOP to every worker, all {len(pids)}: {' '.join(map(str, pids))}")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def go_on(self, pids: Sequence[int]) -> None:
        """Let them go on."""
        self.screen.fact("CONT to all of them: what made them hang is over")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def news(self, since: int) -> list[AnyRecord]:
        """What the trail says behind this place."""
        return [record for seq, record in self.stage.records() if seq > since]

    def incarnations(self) -> dict[tuple[str, str], str]:
        """Which process holds which slot."""
        services = self.stage.services()
        return {(name, s["slot"]): s["incarnation"] for name, known in services.items() for s in known["slots"]}

    def harm(self) -> list[str]:
        """What was made worse so far."""
        return harm(self.stage.effects(), [record for _, record in self.stage.records()], self.hung)

    def insist(self, holds: bool, expected: str, seen: object) -> None:
        """Check something, and show it.

        Raises:
            FailedError: it does not hold.
        """
        if not holds:
            raise FailedError(expected, str(seen))
        self.screen.good(expected)

    def requests(self) -> dict[str, Count]:
        """The load's totals."""
        return self.stage.requests


def is_about(record: AnyRecord, target: str, policy: str) -> bool:
    """Whether a record belongs to this target and to this policy, each if it is named."""
    key = getattr(record, "key", None)
    return key is not None and target in ("", key.target.ref) and policy in ("", key.policy)
