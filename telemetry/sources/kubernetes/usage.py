"""What pods use, where the cluster measures it (the metrics API): asked now and then, for it can not be watched."""

from collections.abc import Callable, Mapping, Sequence
from math import nan

import msgspec
import numpy as np

from telemetry.columns import Floats
from telemetry.inventory import Facts
from telemetry.sources.kubernetes.reflector import Api
from telemetry.sources.kubernetes.workloads import Known, quantity
from telemetry.target import Target

PATH = "/apis/metrics.k8s.io/v1beta1"
EVERY = 10.0
"""Seconds between two questions."""
ABSENT = 60.0
"""Seconds until it is asked again where there is no such API."""


class _Used(msgspec.Struct, frozen=True, gc=False):
    cpu: str = "0"
    memory: str = "0"


class _Container(msgspec.Struct, frozen=True, gc=False):
    name: str
    usage: _Used = _Used()


class _Meta(msgspec.Struct, frozen=True, gc=False):
    name: str
    namespace: str


class _Pod(msgspec.Struct, frozen=True, gc=False):
    metadata: _Meta
    containers: tuple[_Container, ...] = ()


class _Pods(msgspec.Struct, frozen=True):
    items: tuple[_Pod, ...] = ()


PodUsage = Mapping[str, tuple[float, float]]
"""By container: cores, bytes."""
Usage = Mapping[tuple[str, str], PodUsage]
"""By namespace and name of a pod."""


class Meter:
    """Asks in a thread of its own.

    Attributes:
        latest: when it was answered the last time, by the clock, and what; None as long as it never was.
    """

    def __init__(self, api: Api, namespaces: Sequence[str], clock: Callable[[], float]) -> None:
        self.latest: tuple[float, Usage] | None = None
        self._api, self._namespaces, self._clock = api, namespaces, clock

    def run(self, stopped: Callable[[], bool], wait: Callable[[float], None]) -> None:
        """Ask until stopped. A cluster without this API is no trouble: what it would say is unknown."""
        while not stopped():
            asked = self._clock()
            try:
                self.latest = (asked, ask(self._api, self._namespaces))
            except Exception as error:  # noqa: BLE001  whatever it was: the columns grow old, and that says it
                absent = getattr(error, "status", 0) in (403, 404)
                wait(ABSENT if absent else EVERY)
            else:
                wait(EVERY)


def ask(api: Api, namespaces: Sequence[str]) -> Usage:
    """What every pod uses, by namespace and name.

    Raises:
        OSError: it did not answer; or another exception with a `status` where it said no.
    """
    found: dict[tuple[str, str], PodUsage] = {}
    for where in [f"/namespaces/{name}" for name in namespaces] or [""]:
        for pod in api.read(f"{PATH}{where}/pods", _Pods).items:
            used = {c.name: (quantity(c.usage.cpu), quantity(c.usage.memory)) for c in pod.containers}
            found[pod.metadata.namespace, pod.metadata.name] = used
    return found


def columns(
    targets: Sequence[Target],
    facts: Mapping[Target, Facts],
    known: Mapping[str, Known],
    used: Usage,
) -> dict[str, Floats]:
    """Use against limits, of the worst container of the worst instance; NaN where no limit is declared.

    Args:
        targets: rows.
        facts: with their instances.
        known: workloads by uid, with their limits.
        used: by namespace and name of a pod.
    """
    rows = [_worst(target, facts[target], known.get(target.uid), used) for target in targets]
    cpu, memory, size = np.array(rows, np.float64).reshape(len(rows), 3).T
    return {"cpu.ratio": cpu, "memory.ratio": memory, "memory.bytes": size}


def _worst(target: Target, facts: Facts, known: Known | None, used: Usage) -> tuple[float, float, float]:
    cpu = memory = size = nan
    if known is None:
        return cpu, memory, size
    for instance in facts.instances:
        pod = used.get((target.namespace, instance.slot), {})
        for name, (cores, held) in pod.items():
            cpu = _more(cpu, cores, known.cpu_limits.get(name))
            memory = _more(memory, held, known.memory_limits.get(name))
        if pod:
            size = _more(size, sum(held for _, held in pod.values()), 1.0)
    return cpu, memory, size


def _more(worst: float, use: float, limit: float | None) -> float:
    """The larger of two shares; a limit that is not there leaves the first."""
    if not limit:
        return worst
    share = use / limit
    return share if worst != worst or share > worst else worst  # noqa: PLR0124  NaN is not itself
