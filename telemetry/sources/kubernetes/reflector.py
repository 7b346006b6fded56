"""One kind of object, listed once and then watched: the same objects here as there, or a reason why not.

Rule 1  A list is read whole, page by page; an expired page begins it anew, and one that is late in smaller ones.
Rule 2  A watch begins where the list, or the watch before it, stood, and the server ends it after a minute. So a stream
        that went dead is noticed within a minute, a quiet one moves on by its bookmark, and no list is ever needed.
Rule 3  Versions only grow. What is older than what was seen is not taken: a repeated event is stepped over, one out of
        order is a reason to list again, a list from the past is refused until it is clear that the cluster went back.
Rule 4  Between two tries there is a wait that doubles; who was cut at once waits longer than who was cut after a while.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec

from telemetry.sources.kubernetes.objects import ListMeta

PAGE, SMALLEST = 500, 50
"""Objects of a page, at first and after a server was too slow for that."""
WATCH = 60.0
"""Seconds after which the server ends a watch."""
SLACK = 8.0
"""Seconds beyond that within which it must have ended."""
STEADY = 5.0
"""Seconds that a watch must have lasted so that the next try need not wait longer."""
FIRST_WAIT, LONGEST_WAIT = 0.25, 6.0
NOT_ALLOWED_WAIT = 30.0
"""Seconds between two tries of what is forbidden, and not needed."""
FORBIDDEN, GONE = 403, 410
PAST = 600.0
"""Seconds for which a list from the past is refused; then the cluster was restored from a backup."""

S = TypeVar("S", bound="HasVersion")
T = TypeVar("T")


class HasVersion(Protocol):
    """What is kept of an object."""

    @property
    def uid(self) -> str:
        """Which one it is."""
        ...

    @property
    def version(self) -> int:
        """Its resourceVersion."""
        ...


class Lines(Protocol):
    """The lines of a watch."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End it, from any thread."""
        ...


class Api(Protocol):
    """What is asked of an API server. A failure is an OSError, or an exception with a `status` where it said no."""

    def read(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        """What is at a path."""
        ...

    def watch(self, path: str, query: Mapping[str, str], idle: float) -> Lines:
        """The changes of what is at a path."""
        ...


class RelistError(Exception):
    """What is here may differ from what is there: it has to be listed again."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[S]):
    """A kind of object to follow.

    Attributes:
        name: as RBAC and people say it, `deployments.apps`.
        path: of the collection.
        kind: the narrow struct to decode.
        brief: what is kept of one.
        fields: a field selector; empty for all.
        needed: without it nothing is known; what is not needed may be forbidden to us.
    """

    name: str
    path: str
    kind: type[Any]
    brief: Callable[[Any], S]
    fields: str = ""
    needed: bool = True


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class _Problem(msgspec.Struct, frozen=True, gc=False):
    code: int = 0
    reason: str = ""
    message: str = ""


class _Marked(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    resource_version: str = ""


class _Mark(msgspec.Struct, frozen=True, gc=False):
    metadata: _Marked


@dataclass(slots=True)
class Standing:
    """How well one kind is known.

    Attributes:
        synced: it was listed, and followed since.
        current_at: seconds of the given clock at which it was surely current; it is now while `following`.
        following: a watch is open.
        why: what went wrong last; empty if nothing did.
        lists, watches: requests so far.
        forbidden: the server does not let us read it.
    """

    synced: bool = False
    current_at: float = float("-inf")
    following: bool = False
    why: str = ""
    lists: int = 0
    watches: int = 0
    forbidden: bool = False


@dataclass(slots=True)
class Timing:
    """Where time comes from: a monotonic clock, a chance from 0 to 1, and a wait that ends early when we stop."""

    clock: Callable[[], float]
    chance: Callable[[], float]
    wait: Callable[[float], None]


class Reflector(Generic[S]):
    """Follows one kind, in a thread of its own; `standing` may be read from any.

    Attributes:
        resource: what is followed.
        standing: how well it is known.
    """

    def __init__(
        self,
        resource: Resource[S],
        api: Api,
        took: Callable[[Iterable[S], Iterable[S]], None],
        timing: Timing,
    ) -> None:
        """`took` is told what there is now and what is gone, each time anything changed."""
        self.resource, self.standing = resource, Standing()
        self._api, self._took, self._timing = api, took, timing
        self._here: dict[str, S] = {}
        self._version = 0
        self._past_since = 0.0
        self._failures = self._unheard = 0
        self._limit = PAGE
        self._stream: Lines | None = None
        self._ends_at = float("inf")
        self._lock = threading.Lock()
        self._page = _page_type(resource.kind)
        self._object = msgspec.json.Decoder(resource.kind)
        self._event = msgspec.json.Decoder(_Event)

    def run(self, stopped: Callable[[], bool]) -> None:
        """List and watch until stopped; nothing that the server does ends it."""
        while not stopped():
            began = self._timing.clock()
            try:
                if not self.standing.synced:
                    self._list()
                self._watch()
            except Exception as error:  # noqa: BLE001  whatever came: it is said, and tried again
                self._failed(error)
            else:
                self.standing.why = ""
                self._failures = 0
                continue
            if self._timing.clock() - began >= STEADY:
                self._failures = 0
            self._failures += 1
            self._timing.wait(self.backoff())

    def backoff(self) -> float:
        """Seconds to wait after so many failures in a row, never quite the same."""
        if self.standing.forbidden and not self.resource.needed:
            return NOT_ALLOWED_WAIT
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - 1, 16))
        return longest * (0.5 + 0.5 * self._timing.chance())

    def relist(self, why: str) -> None:
        """List again: somebody noticed that what is here can not be right."""
        self.standing.synced, self.standing.why = False, why
        self.end()

    def check(self) -> None:
        """End a watch that the server should have ended long ago; called from another thread now and then."""
        if self._timing.clock() > self._ends_at:
            self.end()

    def _failed(self, error: Exception) -> None:
        standing = self.standing
        if isinstance(error, RelistError) or getattr(error, "status", 0) == GONE:
            standing.synced = False
        elif isinstance(error, OSError) and not standing.synced:
            self._limit = max(SMALLEST, self._limit // 2)
        standing.forbidden = getattr(error, "status", 0) == FORBIDDEN
        standing.why = _words(error, self.resource.name)

    def end(self) -> None:
        """Close its watch, from any thread."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()

    # --- listing

    def _list(self) -> None:
        """Everything there is, and where that stands."""
        found: dict[str, S] = {}
        query = {"limit": str(self._limit)} | self._chosen()
        while True:
            self.standing.lists += 1
            page = self._api.read(self.resource.path, self._page, query)
            for item in page.items:
                brief = self.resource.brief(item)
                found[brief.uid] = brief
            meta = page.metadata
            if not meta.continue_:
                break
            query = {"limit": str(self._limit), "continue": meta.continue_} | self._chosen()
        self._not_from_the_past(int(meta.resource_version))
        gone = [old for uid, old in self._here.items() if uid not in found]
        news = [new for uid, new in found.items() if uid not in self._here or self._here[uid].version != new.version]
        self._here, self._version = found, int(meta.resource_version)
        self._took(news, gone)
        self.standing.synced, self.standing.current_at, self._limit = True, self._timing.clock(), PAGE

    def _not_from_the_past(self, version: int) -> None:
        """A list that is older than what was seen before comes from a server that is behind."""
        if version >= self._version:
            self._past_since = 0.0
            return
        now = self._timing.clock()
        self._past_since = self._past_since or now
        if now - self._past_since < PAST:
            raise RelistError(f"the server answers from the past: version {version}, {self._version} was seen already")
        self._past_since = 0.0

    def _chosen(self) -> dict[str, str]:
        return {"fieldSelector": self.resource.fields} if self.resource.fields else {}

    # --- watching

    def _watch(self) -> None:
        """Follow the changes until the server ends the watch.

        Raises:
            RelistError: what is here can not be trusted any more.
            OSError: the connection broke; what is here is only old.
        """
        standing, clock = self.standing, self._timing.clock
        standing.watches += 1
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._version),
            "timeoutSeconds": str(int(WATCH)),
        }
        with self._api.watch(self.resource.path, query | self._chosen(), WATCH + SLACK) as stream:
            began = clock()
            with self._lock:
                self._stream, self._ends_at = stream, began + WATCH + SLACK
            standing.following, standing.why = True, ""
            broke: OSError | None = None
            try:
                heard = self._follow(stream)
            except OSError as error:
                broke, heard = error, True
            finally:
                with self._lock:
                    late, self._stream, self._ends_at = clock() > self._ends_at, None, float("inf")
                standing.following, standing.current_at = False, began if late else clock()
        self._unheard = 0 if heard else self._unheard + 1
        if late or not standing.synced or self._unheard > 1:
            self._unheard = 0
            raise RelistError(standing.why or "its watch went silent, or does not keep up")
        if broke is not None:
            raise broke

    def _follow(self, stream: Lines) -> bool:
        """Take every event; says whether there was any."""
        heard = False
        for line in stream:
            heard = True
            self._apply(line)
        return heard

    def _apply(self, line: bytes) -> None:
        """One event.

        Raises:
            RelistError: it cannot follow what was seen before.
        """
        try:
            event = self._event.decode(line)
            if event.type == "ERROR":
                problem = msgspec.json.decode(event.object, type=_Problem)
                raise RelistError(f"{problem.code} {problem.reason}: {problem.message}")
            if event.type == "BOOKMARK":
                marked = msgspec.json.decode(event.object, type=_Mark).metadata.resource_version
                self._version = max(self._version, int(marked))
                return
            brief = self.resource.brief(self._object.decode(event.object))
        except (msgspec.DecodeError, ValueError) as error:
            raise RelistError(f"an event cannot be read: {error}") from error
        old = self._here.get(brief.uid)
        if brief.version <= self._version:
            if event.type == "DELETED" if old is None else old.version >= brief.version:
                return  # said before
            raise RelistError(f"an event is out of order: version {brief.version} after {self._version}")
        self._version = brief.version
        if event.type == "DELETED":
            self._here.pop(brief.uid, None)
            self._took((), (brief,))
        else:
            self._here[brief.uid] = brief
            self._took((brief,), ())


def _page_type(kind: type[Any]) -> type[Any]:
    """A page of a list of these."""
    fields = [("metadata", ListMeta, ListMeta()), ("items", tuple[kind, ...], ())]  # type: ignore[valid-type]
    return msgspec.defstruct(f"{kind.__name__}Page", fields, gc=False)


def _words(error: Exception, name: str) -> str:
    """What went wrong, for people: what is forbidden says what it takes."""
    if getattr(error, "status", 0) == FORBIDDEN:
        return f"forbidden: needs the verbs list and watch on {name}"
    return f"{name}: {error}"
