"""Everything that was seen of a cluster, indexed so that one event touches one workload.

Reflectors write from their threads; the source reads what has changed since it last did.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from telemetry.sources.kubernetes.bounds import Asked, Bound, Front, Scaler, Space, selects
from telemetry.sources.kubernetes.pods import Seen
from telemetry.sources.kubernetes.protection import matches
from telemetry.sources.kubernetes.rollup import Around
from telemetry.sources.kubernetes.workloads import Generation, Known


@dataclass(slots=True)
class _Nearby:
    """What is in one namespace besides pods: by uid, and autoscalers by what they scale."""

    workloads: set[str] = field(default_factory=set)
    scalers: dict[str, Scaler] = field(default_factory=dict)
    bounds: dict[str, Bound] = field(default_factory=dict)
    fronts: dict[str, Front] = field(default_factory=dict)
    opted_out: str = ""


Took = Callable[[Iterable[object], Iterable[object]], None]


class Cluster:
    """What was seen, by uid."""

    def __init__(self, own_namespaces: frozenset[str] = frozenset()) -> None:
        """`own_namespaces` are ours: nothing in them is touched."""
        self._own = own_namespaces
        self._lock = threading.Lock()
        self._workloads: dict[str, Known] = {}
        self._pods: dict[str, Seen] = {}
        self._of_owner: defaultdict[str, dict[str, Seen]] = defaultdict(dict)  # owner uid → pods by uid
        self._sets: dict[str, Generation] = {}
        self._sets_of: defaultdict[str, set[str]] = defaultdict(set)  # deployment uid → replica set uids
        self._nearby: defaultdict[str, _Nearby] = defaultdict(_Nearby)
        self._hooks: dict[str, Asked] = {}
        self._asked: frozenset[tuple[str, str]] = frozenset()
        self._changed: set[str] = set()

    def took(self, of: type) -> Took:
        """What a reflector of these tells its news to."""
        put, drop = self._verbs()[of]

        def take(news: Iterable[object], gone: Iterable[object]) -> None:
            with self._lock:
                for one in gone:
                    drop(one)
                for one in news:
                    put(one)

        return take

    def changes(self) -> Mapping[str, tuple[Known, tuple[Seen, ...], Around] | None]:
        """Every workload that something happened to since the last time; None for one that is gone."""
        with self._lock:
            changed, self._changed = self._changed, set()
            return {uid: self._whole(uid) for uid in changed}

    @property
    def workloads(self) -> Mapping[str, Known]:
        """By uid; to be read only."""
        return self._workloads

    def touch(self, uids: Iterable[str]) -> None:
        """Tell of these again."""
        with self._lock:
            self._changed.update(uids)

    def _whole(self, uid: str) -> tuple[Known, tuple[Seen, ...], Around] | None:
        known = self._workloads.get(uid)
        if known is None:
            return None
        owners = (uid, *self._sets_of.get(uid, ()))
        pods = tuple(pod for owner in owners for pod in self._of_owner.get(owner, {}).values())
        return known, pods, self._around(known)

    def _around(self, known: Known) -> Around:
        near = self._nearby[known.namespace]
        scalers = [s for s in near.scalers.values() if (s.kind, s.target) == (known.kind, known.name)]
        bounds = [b for b in near.bounds.values() if selects(b.selector, known.pod_labels)]
        return Around(sorted(scalers, key=lambda s: s.name), bounds, self._protected(known, near))

    def _protected(self, known: Known, near: _Nearby) -> str:
        if near.opted_out:
            return near.opted_out
        if known.namespace in self._own:
            return f"the namespace {known.namespace} is ours"
        for front in near.fronts.values():
            if (front.namespace, front.name) in self._asked and matches(front.selector, known.pod_labels):
                return f"it serves an admission webhook, by the service {front.name}"
        return ""

    # --- what happened

    def _verbs(self) -> Mapping[type, tuple[Callable[..., None], Callable[..., None]]]:
        return {
            Known: (self._put_workload, self._drop_workload),
            Seen: (self._put_pod, self._drop_pod),
            Generation: (self._put_set, self._drop_set),
            Scaler: (self._put_scaler, self._drop_scaler),
            Bound: (self._put_bound, self._drop_bound),
            Space: (self._put_space, self._drop_space),
            Front: (self._put_front, self._drop_front),
            Asked: (self._put_hooks, self._drop_hooks),
        }

    def _put_workload(self, known: Known) -> None:
        self._workloads[known.uid] = known
        self._nearby[known.namespace].workloads.add(known.uid)
        self._changed.add(known.uid)

    def _drop_workload(self, known: Known) -> None:
        self._workloads.pop(known.uid, None)
        self._nearby[known.namespace].workloads.discard(known.uid)
        self._changed.add(known.uid)

    def _put_pod(self, pod: Seen) -> None:
        old = self._pods.get(pod.uid)
        if old is not None and old.owner != pod.owner:
            self._drop_pod(old)
        self._pods[pod.uid] = pod
        if pod.owner:
            self._of_owner[pod.owner][pod.uid] = pod
            self._changed.add(self._workload_of(pod.owner))

    def _drop_pod(self, pod: Seen) -> None:
        old = self._pods.pop(pod.uid, pod)
        owned = self._of_owner.get(old.owner)
        if owned is not None:
            owned.pop(old.uid, None)
            if not owned:
                del self._of_owner[old.owner]
            self._changed.add(self._workload_of(old.owner))

    def _workload_of(self, owner: str) -> str:
        found = self._sets.get(owner)
        return found.owner if found is not None else owner

    def _put_set(self, found: Generation) -> None:
        old = self._sets.get(found.uid)
        self._sets[found.uid] = found
        if old is None or old.owner != found.owner:
            if old is not None:
                self._sets_of[old.owner].discard(found.uid)
                self._changed.add(old.owner)
            self._sets_of[found.owner].add(found.uid)
            self._changed.add(found.owner)

    def _drop_set(self, found: Generation) -> None:
        self._sets.pop(found.uid, None)
        self._sets_of[found.owner].discard(found.uid)
        if not self._sets_of[found.owner]:
            del self._sets_of[found.owner]
        self._changed.add(found.owner)

    def _put_scaler(self, found: Scaler) -> None:
        self._drop_scaler(found)
        self._nearby[found.namespace].scalers[found.uid] = found
        self._scaled(found)

    def _drop_scaler(self, found: Scaler) -> None:
        old = self._nearby[found.namespace].scalers.pop(found.uid, None)
        if old is not None:
            self._scaled(old)

    def _scaled(self, found: Scaler) -> None:
        for uid in self._nearby[found.namespace].workloads:
            known = self._workloads[uid]
            if (known.kind, known.name) == (found.kind, found.target):
                self._changed.add(uid)

    def _put_bound(self, found: Bound) -> None:
        self._drop_bound(found)
        self._nearby[found.namespace].bounds[found.uid] = found
        self._bounded(found)

    def _drop_bound(self, found: Bound) -> None:
        old = self._nearby[found.namespace].bounds.pop(found.uid, None)
        if old is not None:
            self._bounded(old)

    def _bounded(self, found: Bound) -> None:
        for uid in self._nearby[found.namespace].workloads:
            if selects(found.selector, self._workloads[uid].pod_labels):
                self._changed.add(uid)

    def _put_space(self, found: Space) -> None:
        near = self._nearby[found.name]
        if near.opted_out != found.opted_out:
            near.opted_out = found.opted_out
            self._changed.update(near.workloads)

    def _drop_space(self, found: Space) -> None:
        near = self._nearby[found.name]
        near.opted_out = ""
        self._changed.update(near.workloads)

    def _put_front(self, found: Front) -> None:
        near = self._nearby[found.namespace]
        near.fronts[found.uid] = found
        if (found.namespace, found.name) in self._asked:
            self._changed.update(near.workloads)

    def _drop_front(self, found: Front) -> None:
        near = self._nearby[found.namespace]
        near.fronts.pop(found.uid, None)
        self._changed.update(near.workloads if (found.namespace, found.name) in self._asked else ())

    def _put_hooks(self, found: Asked) -> None:
        self._hooks[found.uid] = found
        self._ask()

    def _drop_hooks(self, found: Asked) -> None:
        self._hooks.pop(found.uid, None)
        self._ask()

    def _ask(self) -> None:
        before, self._asked = self._asked, frozenset(s for hook in self._hooks.values() for s in hook.services)
        for namespace in {namespace for namespace, _ in before ^ self._asked}:
            self._changed.update(self._nearby[namespace].workloads)
