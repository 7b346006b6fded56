"""A source that watches a real cluster, and what a processor makes of its readings."""

import contextlib
import time

from telemetry.processor import Processor
from telemetry.sources.kubernetes.access import Access
from telemetry.sources.kubernetes.client import Client
from telemetry.sources.kubernetes.source import KubernetesSource

WITHIN = 60.0
now = time.time  # noqa: TID251  as the loop has it


def client(cluster, server="", timeout=5.0):
    """A client with the administrator's rights, perhaps by another address."""
    return Client(Access(server or cluster.server, lambda: f"Bearer {cluster.token}", str(cluster.ca)), timeout)


class Watched:
    """A cluster as the processor sees it; each look is a reading, by a clock that may be ahead of the cluster's."""

    def __init__(self, source):
        self.source, self.processor, self.reading, self.ahead = source, Processor(), None, 0.0

    def look(self):
        at = now() + self.ahead
        self.reading = self.source.read(at)
        self.processor.ingest(self.reading)
        return self.processor.snapshot(at)

    def target(self, name, namespace):
        seen = self.look()
        return next((t for t in seen.targets if (t.namespace, t.name) == (namespace, name)), None)

    def facts(self, name, namespace):
        target = self.target(name, namespace)
        return self.reading.facts.get(target)

    def column(self, column, name, namespace):
        """The value now; None where it is unknown."""
        seen = self.look()
        row = next((row for t, row in seen.rows.items() if (t.namespace, t.name) == (namespace, name)), None)
        found = seen.columns[column]
        if row is None or not found.known[row]:
            return None
        return float(found.values[row])

    def columns(self, name, namespace):
        seen = self.look()
        row = next((row for t, row in seen.rows.items() if (t.namespace, t.name) == (namespace, name)), None)
        return {n: float(c.values[row]) for n, c in seen.columns.items() if row is not None and c.known[row]}

    def until(self, condition, what, within=WITHIN):
        """Look until it is true; returns what it returned."""
        deadline = time.monotonic() + within
        while not (found := condition()):
            if time.monotonic() > deadline:
                standing = {r.resource.name: r.standing for r in self.source.reflectors}
                raise AssertionError(
                    f"{what}: not within {within:g} s; {self.reading and self.reading.error}; {standing}"
                )
            time.sleep(0.05)
        return found


@contextlib.contextmanager
def watching(cluster, **given):
    """Watch a cluster until the block ends."""
    source = KubernetesSource(given.pop("api", None) or client(cluster), **given)
    source.start()
    try:
        watched = Watched(source)
        watched.until(lambda: watched.look() and not watched.reading.error, "the first list")
        yield watched
    finally:
        source.close()
