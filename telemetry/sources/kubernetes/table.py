"""The columns of a cluster: one row of numbers for each workload, turned into values of now, all at once."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from telemetry.columns import Floats
from telemetry.sources.kubernetes.pods import Seen
from telemetry.sources.kubernetes.rollup import NUMBERS, Rolled
from telemetry.target import Target

RECENT = 1800.0
"""Seconds for which a change counts as recent."""
HOUR = 3600.0


class Restarts:
    """Starts of one workload's containers that nobody asked for: the kubelet counts them by pod, and pods go."""

    __slots__ = ("_by_pod", "_lately", "total")

    def __init__(self) -> None:
        self.total = 0
        self._by_pod: dict[str, int] = {}
        self._lately: deque[tuple[float, int]] = deque()

    def look(self, pods: Iterable[Seen], now: float) -> None:
        """Count what is new; of a pod seen for the first time, its first hour's are of this hour."""
        before, self._by_pod = self._by_pod, {}
        for pod in pods:
            self._by_pod[pod.uid] = pod.restarts
            new = pod.restarts - before.get(pod.uid, 0)
            if new > 0:
                self.total += new
                if pod.uid in before or now - pod.created_at < HOUR:
                    self._lately.append((now, new))

    def of_the_hour(self, now: float) -> int:
        """How many there were in the last hour."""
        while self._lately and self._lately[0][0] <= now - HOUR:
            self._lately.popleft()
        return sum(count for _, count in self._lately)

    @property
    def calm(self) -> bool:
        """None in the last hour."""
        return not self._lately


class Table:
    """Rows of numbers, by target.

    Attributes:
        targets: sorted; the same object while they are the same.
    """

    def __init__(self) -> None:
        self.targets: tuple[Target, ...] = ()
        self._rows: dict[Target, int] = {}
        self._numbers: Floats = np.empty((len(NUMBERS), 0))
        self._total: Floats = np.empty(0)
        self._hour: Floats = np.empty(0)

    def put(
        self, all_: Mapping[Target, Rolled], changed: Iterable[Target], restarts: Mapping[Target, Restarts]
    ) -> None:
        """These changed, or are new or gone."""
        if all_.keys() != self._rows.keys():
            self.targets = tuple(sorted(all_))
            self._rows = {target: row for row, target in enumerate(self.targets)}
            self._numbers = (
                np.array([all_[target].numbers for target in self.targets]).reshape(-1, len(NUMBERS)).T.copy()
            )
            self._total = np.array([float(restarts[target].total) for target in self.targets])
            self._hour = np.zeros(len(self.targets))
            return
        for target in changed:
            row = self._rows[target]
            self._numbers[:, row] = all_[target].numbers
            self._total[row] = restarts[target].total

    def put_hour(self, counts: Mapping[Target, int]) -> None:
        """Restarts of the last hour, of those that had any."""
        self._hour = np.zeros(len(self.targets))
        for target, count in counts.items():
            self._hour[self._rows[target]] = count

    def columns(self, now: float) -> dict[str, Floats]:
        """Every column, as it is now."""
        it = dict(zip(NUMBERS, self._numbers, strict=True))
        changed = np.maximum(now - it["changed_at"], 0.0)
        progressing, stuck = it["progressing"] > 0, it["stuck_at"] <= now
        waits = np.where(np.isfinite(it["waits_since"]), np.maximum(now - it["waits_since"], 0.0), 0.0)
        return {
            "active.count": it["active"],
            "probe.ok": it["ok"],
            "instances.sick": it["sick"],
            "restarts.count": self._total,
            "restarts.rate": self._hour,
            "up.duration": np.maximum(now - it["started_at"], 0.0),
            "change.age": changed,
            "change.recent": (changed < RECENT).astype(np.float64),
            "rollout.progressing": (progressing & ~stuck).astype(np.float64),
            "rollout.age": np.where(progressing | stuck, changed, np.nan),
            "rollout.stuck": stuck.astype(np.float64),
            "crashloop": (it["crash_until"] > now).astype(np.float64),
            "oomkilled": (it["killed_until"] > now).astype(np.float64),
            "image.failed": it["no_image"],
            "pending.duration": waits,
            "k8s.autoscaled": it["autoscaled"],
            "k8s.autoscaler_limited": it["limited"],
            "k8s.disruptions_allowed": it["room"],
        }
