"""A real API server whose watches lie: too old, twice, out of order, with gaps, or lists from the past (F7, F8, F9).

What is here becomes what is there within ten seconds, or is unknown until then; what was seen is never taken back.
"""

import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from controller.core.records import Result
from telemetry.sources.kubernetes import reflector, source
from telemetry.sources.kubernetes.client import Client

from ...controlplane.proxy import NONE, Fault, Proxy  # noqa: TID252  importlib mode has no package named tests
from ...controlplane.rig import access  # noqa: TID252
from ...controlplane.workloads import workload  # noqa: TID252
from .test_real_decisions import HOUR, Live, sicken
from .test_real_decisions import ready as all_ready
from .test_real_faults import CONVERGES, desired, error, ready, scaled
from .watching import watching

DEPLOYMENTS, PODS = "deployments.apps", "pods"
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
OPEN, STREAM = "on open", "in the stream"


@pytest.fixture
def proxy(cluster):
    with Proxy(cluster) as proxy:
        yield proxy


@pytest.fixture
def watched(cluster, namespace, proxy):
    """Through the proxy, and of this namespace only: nothing of other tests is in its watches."""
    with through(cluster, proxy, namespaces=[namespace]) as watched:
        yield watched


def through(cluster, proxy, **given):
    return watching(cluster, api=Client(access(cluster, server=proxy.url), 5.0), **given)


def kind(line):
    """Of the object that a line of a watch is about; empty for one that is no news of an object."""
    event = json.loads(line)
    return "" if event["type"] in ("BOOKMARK", "ERROR") else event["object"]["kind"]


def lists(watched):
    """How often each kind was listed."""
    return {each.resource.name: each.standing.lists for each in watched.source.reflectors}


def converges(watched, namespace, count, within=CONVERGES):
    """Everything known of web says so many; says after how many seconds."""
    began = time.monotonic()
    for column in ("replicas.desired", "replicas.ready"):
        watched.until(lambda column=column: watched.column(column, "web", namespace) == count, column, within)
    watched.until(lambda: error(watched) == "", "no trouble is left", within)
    return time.monotonic() - began


class Expiring:
    """The first news of a Deployment that come are lost to a 410: at once, or when the watch is opened again."""

    def __init__(self, where):
        self.where, self.fired, self.refused = where, 0, 0

    def lines(self, line):
        if self.fired or kind(line) != "Deployment":
            return [line]
        self.fired += 1
        if self.where == OPEN:
            raise EOFError
        return [json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n"]

    def rule(self, method, path):
        if self.where == OPEN and self.fired and not self.refused and "watch=" in path and "/deployments" in path:
            self.refused += 1
            return Fault(applied=False, status=410)
        return NONE


@pytest.mark.parametrize("where", [OPEN, STREAM])
def test_a_version_that_is_too_old_is_listed_again_and_nothing_is_missed(cluster, namespace, proxy, watched, where):
    ready(cluster, watched, namespace)
    expiring = Expiring(where)
    proxy.lines, proxy.rule = expiring.lines, expiring.rule
    scaled(cluster, namespace, 3)
    converges(watched, namespace, 3.0)
    assert (expiring.fired, expiring.refused) == (1, int(where == OPEN))
    assert {name for name, count in lists(watched).items() if count > 1} == {DEPLOYMENTS}


def test_what_is_said_three_times_is_heard_once(cluster, namespace, proxy, watched):
    ready(cluster, watched, namespace)
    said = []
    proxy.lines = lambda line: said.append(kind(line)) or [line] * 3
    for count in (3, 1):
        scaled(cluster, namespace, count)
        converges(watched, namespace, float(count))
    assert {"Deployment", "ReplicaSet", "Pod"} <= set(said)
    assert set(lists(watched).values()) == {1}


def test_what_comes_out_of_order_is_noticed_and_listed_again(cluster, namespace, proxy, watched):
    ready(cluster, watched, namespace)
    held, swapped = [], []

    def late(line):
        """Each second event of a pod comes before the first."""
        if kind(line) != "Pod" or len(swapped) > 2:
            return [line]
        if not held:
            held.append(line)
            return []
        swapped.append(held.pop())
        return [line, swapped[-1]]

    proxy.lines = late
    scaled(cluster, namespace, 4)
    converges(watched, namespace, 4.0)
    assert swapped
    assert lists(watched)[PODS] > 1


def test_a_watch_with_nothing_but_bookmarks_is_current_and_goes_on_from_the_last(
    cluster, namespace, proxy, watched, monkeypatch
):
    ready(cluster, watched, namespace)
    monkeypatch.setattr(reflector, "WATCH", 4.0)  # of the watches that come; the server sends a bookmark at their end
    proxy.lines = lambda line: [] if kind(line) else [line]
    for each in watched.source.reflectors:
        each.end()

    def versions():
        """Where the latest watches of pods began."""
        asked = [parse_qs(urlsplit(path).query) for _, path in proxy.requests if f"/{PODS}?watch=1" in path]
        return [int(query["resourceVersion"][0]) for query in asked if query["timeoutSeconds"] == ["4"]]

    watched.until(lambda: len(set(versions())) > 2 and error(watched) == "", "bookmarks move it on", 60)
    assert versions() == sorted(versions())
    assert set(lists(watched).values()) == {1}
    assert watched.column("probe.ok", "web", namespace) == 1.0
    proxy.lines = lambda line: [line]
    scaled(cluster, namespace, 3)
    converges(watched, namespace, 3.0)
    assert lists(watched)[PODS] == 1


def test_watches_without_a_single_word_are_listed_again(cluster, namespace, proxy, watched, monkeypatch):
    ready(cluster, watched, namespace)
    monkeypatch.setattr(reflector, "WATCH", 3.0)
    proxy.lines = lambda line: []
    for each in watched.source.reflectors:
        each.end()
    scaled(cluster, namespace, 3)
    watched.until(lambda: desired(watched, namespace) == 3.0, "a list says so", 4 * 3.0 + CONVERGES)
    assert lists(watched)[DEPLOYMENTS] > 1


@pytest.mark.parametrize("lost", ["Pod", "Deployment"])
def test_news_that_never_come_are_missed_by_what_others_say_and_listed_again(cluster, namespace, proxy, watched, lost):
    ready(cluster, watched, namespace)
    dropped = []
    proxy.lines = lambda line: dropped.append(line) or [] if kind(line) == lost else [line]
    if lost == "Pod":
        (first, _) = watched.facts("web", namespace).instances
        cluster.kubectl("set", "image", f"pod/{first.slot}", "app=registry.test/web:never-ready", "-n", namespace)
        column, value = "replicas.ready", 1.0
    else:
        scaled(cluster, namespace, 3)
        column, value = "replicas.desired", 3.0
    whys = set()

    def found():
        whys.update(each.standing.why for each in watched.source.reflectors)
        return watched.column(column, "web", namespace) == value

    watched.until(found, "it is as it is", source.ODD + CONVERGES)
    assert dropped
    assert any("an event was missed" in why for why in whys)
    watched.until(lambda: error(watched) == "", "no trouble is left", CONVERGES)


class Past:
    """An API server that is behind: its lists are what was true then, and it knows no version that came later."""

    def __init__(self, proxy, version):
        self.version = version
        proxy.path, proxy.rule, self.cut = self.path, self.rule, False
        proxy.lines = self.lines

    def path(self, path):
        """Lists are answered by the real server, as they were."""
        where, _, query = path.partition("?")
        if "limit=" not in query or "metrics" in where:
            return path
        return f"{path}&resourceVersion={self.version}&resourceVersionMatch=Exact"

    def rule(self, method, path):
        return Fault(applied=False, status=410) if "watch=" in path else NONE

    def lines(self, line):
        raise EOFError


def test_a_server_from_the_past_is_refused_and_what_was_healed_is_not_healed_again(cluster, namespace, proxy):
    cluster.apply(workload(namespace, "web", replicas=3))
    with through(cluster, proxy) as watched:
        live = Live(watched, cluster, namespace, HOUR)
        all_ready(live, 3)
        sicken(live, 0)
        past = cluster.get(f"/api/v1/namespaces/{namespace}/pods")["metadata"]["resourceVersion"]
        live.until(lambda: live.closed, "the end")
        assert [closed.result for closed in live.closed] == [Result.HEALED]
        all_ready(live, 3)
        seen = []

        def turned():
            live.turn()
            seen.append(watched.column("crashloop", "web", namespace))
            return watched.column("probe.ok", "web", namespace) is None and "from the past" in error(watched)

        Past(proxy, past)
        for each in watched.source.reflectors:
            each.end()
        watched.until(turned, "it is unknown, with the reason")
        for _ in range(20):
            turned()
            time.sleep(0.3)
        assert 1.0 not in seen  # what the server tells of now, and what was true then
        proxy.path, proxy.rule, proxy.lines = (lambda path: path), (lambda method, path: NONE), (lambda line: [line])
        converges(watched, namespace, 3.0)
        live.turn()
        assert live.actions == ["Restart"]
        assert live.written() == ["create eviction"]
        live.executor.close()
