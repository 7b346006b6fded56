"""A pod in brief: what its workload's columns need, so that tens of thousands of them are small."""

from collections.abc import Iterable
from datetime import datetime
from math import inf

import msgspec

from telemetry.sources.kubernetes.objects import ContainerStatus, Pod, Terminated

STARTING = 120.0
"""Seconds that a container may take to become ready before it counts as sick; a startup probe takes its own time."""
CALM = 300.0
"""Seconds that a container which crashed again and again must run before it no longer counts as in a crash loop."""
CRASHES = 3
"""So many restarts are a loop, also in the moments in which the container runs."""
KILLED = 1800.0
"""Seconds for which a kill for memory counts."""
_WORDS = 200  # characters that are kept of a kubelet's message
_IMAGE = frozenset(
    {
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"),
        *("ImageInspectError", "SignatureValidationFailed"),
    }
)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A pod in brief. Times are epoch seconds.

    Attributes:
        version: its resourceVersion; versions of one object only grow.
        owner: uid of the ReplicaSet, StatefulSet or DaemonSet that it belongs to; empty if it belongs to none.
        gone: it ended or is being deleted: no instance any more.
        ready: True, False, or None while nobody can tell: it starts, or waits to be started.
        settles_at: when `ready` becomes False if nothing is heard until then; inf if it does not.
        started_at: when the youngest of its containers started; 0 if none runs.
        waits_since: since when it waits to be started; inf if it does not.
        restarts: of its containers, all together.
        crash_until, killed_until: until when it counts as in a crash loop, and as killed for its memory.
        no_image: an image of it cannot be pulled.
        trouble: what is wrong with it, in words; empty if nothing is.
        container: which container is in trouble.
    """

    namespace: str
    name: str
    uid: str
    version: int
    owner: str = ""
    gone: bool = False
    ready: bool | None = None
    settles_at: float = inf
    created_at: float = 0.0
    started_at: float = 0.0
    waits_since: float = inf
    restarts: int = 0
    crash_until: float = 0.0
    killed_until: float = 0.0
    no_image: bool = False
    trouble: str = ""
    container: str = ""


def seen(pod: Pod) -> Seen:
    """A pod in brief."""
    meta, status = pod.metadata, pod.status
    statuses = (*status.init_container_statuses, *status.container_statuses)
    created = epoch(meta.creation_timestamp)
    ready, settles = _ready(pod, statuses)
    trouble, container = _trouble(meta.name, statuses)
    started = max((epoch(s.state.running.started_at) for s in statuses if s.state.running), default=0.0)
    return Seen(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        version=int(meta.resource_version),
        owner=next((owner.uid for owner in meta.owner_references if owner.controller), ""),
        gone=meta.deletion_timestamp is not None or status.phase in ("Succeeded", "Failed"),
        ready=ready,
        settles_at=settles,
        created_at=created,
        started_at=started,
        waits_since=created if status.phase == "Pending" else inf,
        restarts=sum(s.restart_count for s in statuses),
        crash_until=max(map(_crash_until, statuses), default=0.0),
        killed_until=max(map(_killed_until, statuses), default=0.0),
        no_image=any(_no_image(s) for s in statuses),
        trouble=trouble,
        container=container,
    )


def epoch(time: datetime | None) -> float:
    """Epoch seconds; 0 for a time that was never."""
    return 0.0 if time is None else time.timestamp()


def _ready(pod: Pod, statuses: Iterable[ContainerStatus]) -> tuple[bool | None, float]:
    """The readiness, and when silence turns it to False.

    What crashed and is not ready again, cannot be pulled, or was ready and is no more is sick; what has not become
    ready yet is starting, as long as its startup probe says so, or for a while if it has none.
    """
    if any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions):
        return True, inf
    if any(_failed(status) for status in statuses):
        return False, inf
    running = [s for s in statuses if s.state.running]
    if pod.status.phase != "Running" or not running:
        return None, inf  # it waits for a node, an image or an init container: `pending.duration` tells how long
    if any(s.started is False for s in running):
        return None, inf
    began = max(epoch(s.state.running.started_at) for s in running if s.state.running)
    lost = next((epoch(c.last_transition_time) for c in pod.status.conditions if c.type == "Ready"), 0.0)
    if lost > began + 1.0:  # it was ready since its containers run: conditions change in whole seconds
        return False, inf
    return None, began + STARTING


def _failed(status: ContainerStatus) -> bool:
    waiting, ended = status.state.waiting, _ended(status) if not status.ready else status.state.terminated
    if waiting is not None:
        return waiting.reason == "CrashLoopBackOff" or waiting.reason in _IMAGE or waiting.reason.endswith("Error")
    return ended is not None and ended.exit_code != 0


def _no_image(status: ContainerStatus) -> bool:
    return status.state.waiting is not None and status.state.waiting.reason in _IMAGE


def _ended(status: ContainerStatus) -> Terminated | None:
    """How it ended the last time."""
    return status.state.terminated or status.last_state.terminated


def _crash_until(status: ContainerStatus) -> float:
    """Until when it counts as in a crash loop: it runs for moments between two crashes, which is no recovery."""
    state, ended = status.state, _ended(status)
    if state.waiting is not None:
        return inf if state.waiting.reason == "CrashLoopBackOff" else 0.0
    if status.restart_count < CRASHES or ended is None or (ended.exit_code == 0 and ended.reason == "Completed"):
        return 0.0
    since = state.running.started_at if state.running is not None else ended.finished_at
    return epoch(since) + CALM


def _killed_until(status: ContainerStatus) -> float:
    ends = (status.state.terminated, status.last_state.terminated)
    return max((epoch(end.finished_at) + KILLED for end in ends if end and end.reason == "OOMKilled"), default=0.0)


def _trouble(pod: str, statuses: Iterable[ContainerStatus]) -> tuple[str, str]:
    """What is wrong with a pod in one sentence, and with which container."""
    for status in statuses:
        waiting, ended = status.state.waiting, _ended(status)
        if waiting is not None and waiting.reason in _IMAGE:
            return f"{pod}, container {status.name}: {waiting.reason}: {_plain(waiting.message)}", status.name
        if ended is not None and (status.restart_count or status.state.terminated) and ended.reason != "Completed":
            state = f"{waiting.reason}, last end " if waiting and waiting.reason == "CrashLoopBackOff" else ""
            times = "1 restart" if status.restart_count == 1 else f"{status.restart_count} restarts"
            said = f"{state}{_plain(ended.reason) or 'Error'}, exit code {ended.exit_code}, {times}"
            return f"{pod}, container {status.name}: {said}", status.name
    return "", ""


def _plain(words: str) -> str:
    """A kubelet's words for people: one line, printable, not too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in words)
    return line if len(line) <= _WORDS else f"{line[: _WORDS - 1]}…"
