"""Writes into the cluster's API what the trail says: one thread, bounded, and never in the way of a decision.

It only writes our own objects: status of policies, Episodes with their status, and Events. Whatever fails is said once,
counted, and tried again while it is still true; what the loop does never waits for it.
"""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from controller.cluster import said
from controller.cluster.limits import Bucket, Recently
from controller.cluster.policies import Followed, Kept, PolicyObjects, path
from controller.core.records import AnyRecord, Closed, Held, Opened, Result
from controller.core.state import State
from policies.objects import called
from policies.policy import Policy
from telemetry.sources.kubernetes.client import MERGE, Write
from telemetry.sources.kubernetes.rights import FORBIDDEN, Rights, Writer, right_of

EVERY = 1.0
"""Seconds between two looks."""
SPACING = 5.0
"""Seconds between two writes of counts into one status; what concerns its conditions is written at once."""
OPEN, ENDED = 200, 50
"""Episodes that are kept as objects."""
WRITES = 20
"""Most writes of one look."""
QUEUE = 2000
_COUNTED = {"recovered": Result.RECOVERED, "healed": Result.HEALED, "undone": Result.UNDONE}

log = structlog.get_logger()


class Seen(Protocol):
    """What a turn of the loop leaves for readers."""

    @property
    def state(self) -> State:
        """What was done."""

    @property
    def rules(self) -> Any:
        """The policies by hash, in `rules.policies`."""


@dataclass(slots=True)
class Parts:
    """What a herald is made of.

    Attributes:
        writer: where it is said.
        rights: those that are missing are known, and nothing is sent that needs one.
        policies, episodes: objects that are there.
        now: epoch seconds.
        count: is told of each write, what it was about and how it went.
        reporter: who says it: the pod.
    """

    writer: Writer
    rights: Rights
    policies: PolicyObjects
    episodes: Followed
    now: Callable[[], float]
    count: Callable[[str, str], None]
    reporter: str


class Herald:
    """Says what the loop did, from `start` to `close`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._board: Callable[[], Seen | None] = lambda: None
        self._heard: deque[AnyRecord] = deque(maxlen=QUEUE)  # a flood drops what is oldest: it stays in the trail
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="herald", daemon=True)
        self._names: dict[Any, str] = {}  # of open episodes, by key
        self._over: OrderedDict[str, tuple[str, dict[str, Any]]] = OrderedDict()  # ended: namespace and status by name
        self._ended: dict[str, Counter[Result]] = {}
        self._base: dict[str, Counter[Result]] = {}
        self._written: dict[str, tuple[float, dict[str, Any]]] = {}
        self._events = Bucket(rate=5.0, burst=25.0)
        self._recently = Recently(600.0)
        self._number = self._left = 0
        self._looked = False
        self._trouble: set[str] = set()

    def hear(self, record: AnyRecord) -> None:
        """A record was appended; called by the loop, and never waits."""
        self._heard.append(record)

    def start(self, board: Callable[[], Seen | None]) -> None:
        """Begin to say; `board` gives the newest view of the loop, None before there is one."""
        self._board = board
        self._thread.start()

    def close(self) -> None:
        """Say what is left to say, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(EVERY)
        self.look()

    def look(self) -> None:
        """Say what is new; nothing that goes wrong ends it."""
        try:
            self._left = WRITES
            self._tell()
            board = self._board()
            if board is not None:
                self._episodes(board.state)
                self._statuses(board)
        except Exception as error:
            log.exception("the cluster could not be told", why=f"{type(error).__name__}: {error}")

    # --- events

    def _tell(self) -> None:
        """Events of what was heard, and what an end changes."""
        now = self._parts.now()
        while self._heard and self._left > 0:
            record = self._heard.popleft()
            self._number += 1
            self._remember(record)
            made = said.event(record, self._number, self._parts.reporter)
            if made is None:
                continue
            if isinstance(record, Held) and self._recently.again((record.key, record.reason), now):
                continue
            if not self._events.take(now):
                self._parts.count("event", "dropped")
                continue
            space = made["metadata"]["namespace"]
            self._write("event", "POST", f"/apis/events.k8s.io/v1/namespaces/{space}/events", made)

    def _remember(self, record: AnyRecord) -> None:
        if isinstance(record, Opened):
            self._names[record.key] = record.episode
        if isinstance(record, Closed):
            self._ended.setdefault(record.key.policy, Counter())[record.result] += 1
            name = self._names.pop(record.key, "")
            if name and record.result is not Result.NEEDS_HUMAN and record.key.target.platform == said.PLATFORM:
                self._over[name] = (record.key.target.namespace, said.ended_status(record))
                while len(self._over) > ENDED:
                    self._over.popitem(last=False)
            elif name:
                self._names[record.key] = name

    # --- episodes

    def _episodes(self, state: State) -> None:
        """Open and latest ended episodes are there, as they stand, and no others."""
        if not self._parts.episodes.known:
            return
        there = {(one.name[1], one.name[2]): one for one in self._parts.episodes.all()}
        self._names.update({episode.key: episode.id for episode in state.episodes.values()})
        shown = {
            (e.key.target.namespace, e.id): said.episode_status(e) for e in said.newest(state.episodes.values(), OPEN)
        }
        ended = {(space, name): status for name, (space, status) in self._over.items() if (space, name) not in shown}
        for (space, name), status in (shown | ended).items():
            one = there.get((space, name))
            if one is None:
                self._write("episode", "POST", path("Episode", space), said.episode_object(name, space))
            else:
                self._update(one, status, path("Episode", space, name))
        for key, one in there.items():
            if key not in shown and key not in ended and self._too_many(one, there):
                self._write("episode", "DELETE", path("Episode", *key), {"preconditions": {"uid": one.uid}})

    def _too_many(self, one: Kept, there: Mapping[Any, Kept]) -> bool:
        """Whether it is of the past and not among the latest that ended; one that never got its end is not kept."""
        closed = one.status.get("closed", "")
        newer = sum(other.status.get("closed", "") > closed for other in there.values())
        return not closed or newer >= ENDED

    # --- statuses

    def _statuses(self, board: Seen) -> None:
        """Each policy object says how it does."""
        result = self._parts.policies.result
        if result is None:
            return
        in_force, policies = board.state.in_force, board.rules.policies
        for one in self._parts.policies.all():
            name = called(one.name)
            policy: Policy | None = policies.get(in_force.get(name, ""))
            wanted = result.policies.get(one.name)
            problems = result.problems.get(one.name, ())
            if wanted is not None and (policy is None or policy.hash != wanted.hash):
                continue  # the loop did not take it yet
            standing = said.Standing(one.generation, policy, problems)
            ended = self._ended_of(one, name)
            now = self._parts.now()
            status = said.policy_status(name, standing, board.state, ended, one.status, now)
            kind, space, own = one.name
            self._update(one, status, path(kind, space, own))
        self._looked = True

    def _ended_of(self, one: Kept, name: str) -> Counter[Result]:
        """How its episodes ended: what its status said when it was first seen, and what was heard since."""
        since = self._ended.get(name, Counter())
        if one.uid not in self._base:
            known = {result: int(one.status.get(key) or 0) for key, result in _COUNTED.items()}
            heard = since if self._looked else Counter[Result]()  # by an older object of that name
            self._base[one.uid] = Counter({result: count - heard[result] for result, count in known.items()})
        total = Counter(since)
        total.update(self._base[one.uid])
        return total

    # --- writing

    def _update(self, one: Kept, status: dict[str, Any], where: str) -> None:
        """Write a status that differs from the one that is there, and was not written a moment ago."""
        now = self._parts.now()
        at, last = self._written.get(one.uid, (float("-inf"), dict(one.status)))
        there = dict(one.status) if now - at > SPACING else last
        if all(there.get(key) == value for key, value in status.items()):
            return
        urgent = status.get("conditions") != there.get("conditions") or status.get("state") != there.get("state")
        if not urgent and now - at < SPACING:
            return
        if self._write(one.name[0].lower(), "PATCH", f"{where}/status", {"status": status}):
            self._written[one.uid] = (now, there | status)
            if len(self._written) > 4 * QUEUE:
                self._written.clear()

    def _write(self, about: str, method: str, where: str, body: dict[str, Any]) -> bool:
        """One write; what goes wrong is said once until it goes well again."""
        write = Write(method, where, body, MERGE if method == "PATCH" else "application/json")
        lacking = self._parts.rights.lacks(write)  # what our account may not is not sent until it may
        if self._left <= 0 and not lacking:
            return False
        self._left -= not lacking
        why = f"forbidden: needs {lacking}" if lacking else self._sent(write)
        trouble = str(right_of(write))
        if not why:
            self._parts.count(about, "written")
            self._trouble.discard(trouble)
            return True
        self._parts.count(about, "failed")
        if trouble not in self._trouble:
            self._trouble.add(trouble)
            log.warning("the cluster could not be told", about=about, why=why)
        return False

    def _sent(self, write: Write) -> str:
        """Why it was not written; empty if it was."""
        try:
            answer = self._parts.writer.write(write)
        except OSError as error:
            return str(error)
        if answer.ok or answer.status in (404, 409):  # it is gone, or there already
            return ""
        if answer.status == FORBIDDEN and (lacking := self._parts.rights.refused(write)):
            return f"forbidden: needs {lacking}"
        return f"{answer.status}: {answer.body[:300].decode(errors='replace')}"
