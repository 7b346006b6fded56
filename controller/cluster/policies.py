"""Policies that are objects of a cluster's API: followed by watches, compiled as they arrive, asked by the loop."""

import contextlib
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from controller.cluster.crds import GROUP, PLURALS, VERSION
from policies.objects import Name, ObjectsResult, compile_object, load_objects, name_of
from policies.policy import Policy
from telemetry.documents import DocumentError
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.sources.kubernetes.reflector import Api, Reflector, Resource, Timing

_KEPT = ("name", "namespace", "uid", "generation", "creationTimestamp", "deletionTimestamp")


class Raw(msgspec.Struct, rename="camel"):
    """An object of ours as the API server sends it."""

    metadata: dict[str, Any]
    kind: str = ""
    api_version: str = ""
    spec: Any = None
    status: Any = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an object of ours.

    Attributes:
        uid, version: which one, and its resourceVersion.
        made: the object, of whose metadata only what says which one it is.
    """

    uid: str
    version: int
    made: Mapping[str, Any]

    @property
    def name(self) -> Name:
        """Which object."""
        return name_of(self.made)

    @property
    def generation(self) -> int:
        """Counts the changes of its spec; those of its status do not count."""
        return int(self.made["metadata"].get("generation", 0))

    @property
    def status(self) -> Mapping[str, Any]:
        """What is said of it."""
        status = self.made.get("status")
        return status if isinstance(status, dict) else {}


def kept(kind: str) -> Any:
    """What is kept of an object of a kind: a list does not always name it."""

    def brief(raw: Raw) -> Kept:
        meta = raw.metadata
        made = {"apiVersion": raw.api_version or f"{GROUP}/{VERSION}", "kind": kind, "spec": raw.spec}
        made |= {"metadata": {key: meta[key] for key in _KEPT if key in meta}, "status": raw.status}
        return Kept(str(meta.get("uid", "")), int(meta.get("resourceVersion", 0)), made)

    return brief


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """Where objects of a kind, or one of them, are found."""
    parts = [f"/apis/{GROUP}/{VERSION}", *(("namespaces", namespace) if namespace else ()), PLURALS[kind]]
    return "/".join([*parts, *([name] if name else [])])


def resource(kind: str, namespace: str = "") -> Resource[Kept]:
    """Objects of a kind, everywhere or in a namespace, as something to follow."""
    return Resource(f"{PLURALS[kind]}.{GROUP}", path(kind, namespace), Raw, kept(kind))


class Followed:
    """Objects of ours, followed from `start` to `close`; the rest may be asked from any thread."""

    def __init__(self, api: Api, resources: Iterable[Resource[Kept]]) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._objects: dict[str, Kept] = {}
        timing = Timing(time.monotonic, random.random, self._wait)
        self._reflectors = [Reflector(each, api, self._took, timing) for each in resources]
        self._threads = [
            threading.Thread(target=each.run, args=(self._stop.is_set,), name=each.resource.name, daemon=True)
            for each in self._reflectors
        ]

    def start(self) -> None:
        """Begin to follow."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop; every connection is closed."""
        self._stop.set()
        for each in self._reflectors:
            each.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)

    @property
    def known(self) -> bool:
        """Whether all of them were listed once."""
        return all(each.standing.lists and each.standing.synced for each in self._reflectors)

    @property
    def why(self) -> str:
        """What keeps us from knowing them; empty if nothing does."""
        return "; ".join(dict.fromkeys(each.standing.why for each in self._reflectors if each.standing.why))

    def all(self) -> list[Kept]:
        """Those that are there and not being deleted, oldest first."""
        for each in self._reflectors:
            each.check()
        with self._lock:
            there = [one for one in self._objects.values() if not one.made["metadata"].get("deletionTimestamp")]
        return sorted(there, key=lambda one: (one.made["metadata"].get("creationTimestamp", ""), one.name))

    def _took(self, news: Iterable[Kept], gone: Iterable[Kept]) -> None:
        with self._lock:
            for old in gone:
                self._objects.pop(old.uid, None)
            self._objects.update({new.uid: new for new in news})
        for new in news:
            self.arrived(new)

    def arrived(self, new: Kept) -> None:
        """An object is new or changed; called by the thread that follows it."""

    def _wait(self, seconds: float) -> None:
        self._stop.wait(seconds)


class PolicyObjects(Followed):
    """Both policy kinds. An object is compiled by the thread that it arrives in, so that no tick waits for it.

    Attributes:
        result: what they said when they were last looked at; None before they are known.
    """

    def __init__(self, api: Api, namespaces: Sequence[str] = ()) -> None:
        """Follow those of every namespace, or of these only; those of the whole cluster always."""
        self._compiled: dict[str, tuple[int, Definitions, Policy | DocumentError]] = {}
        self._signals = builtin()
        self._seen: object = None
        self.result: ObjectsResult | None = None
        spaces = [resource("RemediationPolicy", name) for name in namespaces or [""]]
        super().__init__(api, [*spaces, resource("ClusterRemediationPolicy")])

    def arrived(self, new: Kept) -> None:
        """Compile it now."""
        with contextlib.suppress(DocumentError):  # told when it is looked at
            self._compile(new)

    def look(self, signals: Definitions, taken: Mapping[str, Policy]) -> ObjectsResult | None:
        """What they say now, beside policies from files; None before they are known."""
        if self.result is None and not self.known:
            return None
        self._signals = signals
        there = self.all()
        seen = (signals, tuple((one.uid, one.generation) for one in there), tuple(p.hash for p in taken.values()))
        if seen != self._seen:
            by_uid = {one.made["metadata"]["uid"]: one for one in there}
            self.result = load_objects(
                (one.made for one in there), taken, lambda made: self._compile(by_uid[made["metadata"]["uid"]])
            )
            self._compiled = {uid: known for uid, known in self._compiled.items() if uid in by_uid}
            self._seen = seen
        return self.result

    def _compile(self, one: Kept) -> Policy:
        """Compile it, or remember.

        Raises:
            DocumentError: it is no policy.
        """
        found = self._compiled.get(one.uid)
        if found is None or found[:2] != (one.generation, self._signals):
            made: Policy | DocumentError
            try:
                made = compile_object(one.made, self._signals)
            except DocumentError as error:
                made = error
            found = self._compiled[one.uid] = (one.generation, self._signals, made)
        if isinstance(found[2], DocumentError):
            raise found[2]
        return found[2]
