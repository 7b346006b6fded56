"""The control sockets, the loop's and the supervisor's: any bytes as a request, or as a reply."""

import atexit
import contextlib
import math
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from actions.platforms.local.control import Control as SupervisorControl
from actions.platforms.local.control import Reply
from actions.platforms.local.keeper import Keeper
from actions.platforms.local.process import Process
from actions.platforms.local.services import load as services
from actions.platforms.local.slot import Slot, Why
from controller.control import Control
from controller.core.records import Verb
from controller.inbox import Refused, Waiting, statements
from controller.views import VIEWS
from telemetry.sources import supervisor, unix_rpc
from telemetry.sources.unix_rpc import Limits, Peer
from telemetry.target import Target
from tests.controller.shell import one_sick, policy, shell
from tests.fuzz.rules import bounded, grown, require, scratch

_PEER = Peer(0, 1)
_LIMITS = Limits(request_bytes=1 << 16, seconds=0.2)
_TARGET = {"kind": "Service", "namespace": "shop", "name": "web", "uid": "u1"}
_SERVICES = """
apiVersion: gyrostat.dev/v1alpha1
kind: Services
services:
  - {name: web, namespace: shop, command: [sleep, "1"], replicas: {desired: 3, min: 1, max: 5}}
  - {name: db, namespace: shop, command: [sleep, "1"], protected: it holds data}
"""
WORDS = ["view", "args", "target", "namespace", "status", "analyze", "episodes", "why", "say", "verb", "about", "act"]
WORDS += [
    *Verb,
    "op",
    "ping",
    "list",
    "apply",
    "holds",
    "reload",
    "down",
    "atOnce",
    "path",
    "before",
    "after",
    "intent",
]
WORDS += [
    "desired",
    "slots/0/incarnation",
    "slots/0/healthy",
    "newer",
    "handled",
    "error",
    '{"',
    '":',
    "shop/web",
    "null",
    "own-storm",
]


class _Inbox:
    """Says at once what a turn of the loop would say, and keeps nothing: the state stays as it is."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def put(self, waiting: Waiting) -> None:
        board = self._loop.board
        try:
            waiting.answer.put({"records": len(statements(waiting.ask, board.now, board.state, board.snapshot))})
        except Refused as refused:
            waiting.answer.put({"refused": str(refused)})


class _Host:
    """A supervisor's services without its processes: nothing here starts or stops one.

    Attributes:
        accepted: what stands in the effect log.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / "services.yaml"
        file.write_text(_SERVICES)
        self.accepted: list[Mapping[str, Any]] = []
        self.keepers: dict[str, Keeper] = {}
        for number, service in enumerate(services(file).values(), start=1):
            made = Keeper(service, f"u{number}", 3, 0.0, None, folder, lambda _: None, lambda: None)
            made.slots = {n: Slot(n, folder / "log", lambda _: None, lambda: None, Why("up")) for n in range(3)}
            for n, slot in made.slots.items():
                slot.process = Process(SimpleNamespace(pid=0), f"{n}@1.0", 0.0, None, 0)  # type: ignore[arg-type]  nobody looks at it
            self.keepers[f"{service.namespace}/{service.name}"] = made

    def locked(self, work: Callable[[Mapping[str, Keeper]], Reply]) -> Reply:
        return work(self.keepers)

    def accept(self, entry: dict[str, Any]) -> None:
        self.accepted.append(entry)

    def commit(self) -> None:
        for keeper in self.keepers.values():
            keeper.desired = 3
            for slot in keeper.slots.values():
                slot.wish = None

    def ping(self) -> Reply:
        return {}

    def reload(self) -> Reply:
        return {}

    def down(self, *, at_once: bool) -> Reply:
        return {"at_once": at_once}


class _World:
    """A real loop after two turns, and a supervisor's control, each behind the protocol."""

    def __init__(self) -> None:
        folder = scratch()
        exits = contextlib.ExitStack()
        atexit.register(exits.close)
        made = exits.enter_context(shell(folder, policy()))
        target = one_sick(made.world)
        made.turns(2)
        self.target: Target = target
        made.loop.inbox = _Inbox(made.loop)
        self.loop = Control(folder, made.loop, VIEWS)
        exits.callback(self.loop.close)
        self.host = _Host(folder)
        self.supervisor = unix_rpc.Server(folder / "supervisor.sock", SupervisorControl(self.host), _LIMITS)
        exits.callback(self.supervisor.close)


_WORLD = _World()


def check(data: bytes) -> None:
    """The first byte says who is spoken to: 0 the loop, 1 the supervisor, 2 lines of a connection, 3 a client."""
    if not data:
        return
    body = grown(data[1:])
    with bounded():
        (_to_loop, _to_supervisor, _lines, _to_client)[data[0] % 4](body)


def _to_loop(line: bytes) -> None:
    _handled(_WORLD.loop._server._answer(line, _PEER))


def _to_supervisor(line: bytes) -> None:
    host = _WORLD.host
    host.accepted.clear()
    reply = _handled(_WORLD.supervisor._answer(line, _PEER))
    require(
        bool(host.accepted) == (reply.get("verdict") == "Pass" and b"apply" in line),
        f"an effect and the answer {reply}",
    )
    for effect in host.accepted:
        names = ("desired", *(f"slots/{number}/incarnation" for number in range(3)))
        require(effect["path"] in names, f"an effect on {effect['path']!r}, which is another name of a field")


def _handled(reply: bytes) -> Mapping[str, Any]:
    """Every request has an answer of one line, and none of them is an error that nobody foresaw."""
    require(b"\n" not in reply, "an answer of several lines")
    said = msgspec.json.decode(reply)
    require(isinstance(said, dict), "an answer that is no object")
    require(not said.get("handled"), f"the handler failed: {said.get('error')}")
    require("handled" not in said or said["error"], "a refusal without a reason")
    return said


@contextlib.contextmanager
def _arrived(sent: bytes) -> Iterator[socket.socket]:
    """A connection at which this has arrived, as far as it is taken, and nothing more will."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        yield ours


def _lines(sent: bytes) -> None:
    """What a connection sends is cut into its lines, or refused; never kept beyond the limit."""
    with _arrived(sent) as ours:
        read = []
        with contextlib.suppress(unix_rpc._Refused):
            read = list(unix_rpc._lines(ours, _LIMITS))
    require(read == sent.split(b"\n")[: len(read)], "a line that was not sent")
    if len(sent) <= _LIMITS.request_bytes:
        require(len(read) == sent.count(b"\n"), "a line is missing")


def _to_client(sent: bytes) -> None:
    """Whatever a server answers is a reply, or an OSError that says so."""
    with _arrived(sent) as ours, contextlib.suppress(OSError):
        reply = unix_rpc._receive(ours, time.monotonic() + 5)
        require(isinstance(reply, dict), "a reply that is no object")
        _listed(reply)


def _listed(reply: Mapping[str, Any]) -> None:
    """A reply as the list of services: it is one, or it speaks another version."""
    with contextlib.suppress(msgspec.ValidationError):
        listing = msgspec.convert(reply, supervisor._Listing)
        for service in listing.services:
            target = supervisor._target(service)
            supervisor._facts(service, 0.0)
            samples = [*supervisor._samples(target, service, 0.0, listing.at)]
            samples += supervisor._probed(target, service.slots, 0.0, listing.at)
            require(all(math.isfinite(sample.value) for sample in samples), "a sample that is no number")
