"""Holds the API server's audit log of our account against our trail, both ways. Pure: it can be shown a lie.

Two programs wrote the two: what was really asked of the cluster, and by whom, stands in the audit log alone.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import structs

from actions.plan import Change
from audit.stores.sqlite import SqliteStore
from controller.core.records import AnyRecord, Intent, Outcome, Step, decode
from telemetry.verdict import Verdict
from tests.controlplane.cluster import Cluster
from tests.faults.checker import CLOCKS

from .charts import objects
from .installed import ACCOUNT

Entry = dict[str, Any]
Right = tuple[str, str, str]
"""Namespace (empty: every one), resource with its subresource, verb."""
OURS = {
    *("episodes", "episodes/status", "events"),
    *("remediationpolicies/status", "clusterremediationpolicies/status"),
    *("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
}
"""What says or asks something, and changes no target."""
_NUMBERS = {"deployments": "replicas", "statefulsets": "replicas", "horizontalpodautoscalers": "minReplicas"}


@dataclass(frozen=True)
class Books:
    """Both, as they were read.

    Attributes:
        chain: which trail: it stands before the id of each intent.
        records: the whole trail.
        told: so many of them were there before the audit log was read: what they say must stand in it.
        log: every write in the namespace, by anybody, and every one of ours, in order.
        granted: what our account may write.
    """

    chain: str
    records: Sequence[AnyRecord]
    told: int
    log: Sequence[Entry]
    granted: frozenset[Right]

    def findings(self) -> list[str]:
        """Everything that contradicts I1, I10 or I11; empty when nothing does."""
        return [*self._unaccounted(), *self._misreported(), *self._overwritten(), *self._outside()]

    @property
    def effects(self) -> list[Entry]:
        """What our account asked of targets."""
        return [entry for entry in self.log if _user(entry) == ACCOUNT and resource(entry) not in OURS]

    @property
    def done(self) -> list[Entry]:
        """Those that the API server carried out."""
        return [entry for entry in self.effects if _accepted(entry)]

    @property
    def intents(self) -> dict[str, Intent]:
        """By the id that their effects carry."""
        return {f"{self.chain}-{r.id}": r for r in self.records if isinstance(r, Intent)}

    def _unaccounted(self) -> Iterator[str]:
        """I1: whatever was asked of a target has an earlier intent, which names this object and this argument."""
        intents = self.intents
        for entry in self.effects:
            intent = intents.get(entry["auditID"])
            if intent is None:
                yield f"I1: {_told(entry)}: no such intent is in the trail"
            elif intent.at > at(entry) + CLOCKS:
                yield f"I1: {_told(entry)}: was asked before its intent"
            elif not any(_asks(change, entry) for change in intent.changes):
                yield f"I1: {_told(entry)}: the intent says something else"

    def _misreported(self) -> Iterator[str]:
        """I1, the other way: each outcome says what really happened, and nothing happened twice."""
        intents, done = self.intents, Counter(entry["auditID"] for entry in self.done)
        for outcome in (record for record in self.records[: self.told] if isinstance(record, Outcome)):
            name = f"{self.chain}-i{outcome.number}"
            part = re.match(r"(\d+) of \d+ written", outcome.detail)
            many = int(part[1]) if part else len(intents[name].changes) if name in intents else -1
            if outcome.result is Verdict.PASS and done[name] != many:
                yield f"I1: {name} says {many} written, {done[name]} were"
            if outcome.result is Verdict.FAIL and done[name]:
                yield f"I1: {name} says not written, and was"

    def _overwritten(self) -> Iterator[str]:
        """I10: each number that we wrote took the place of the one that its intent names; what is put back was ours."""
        intents = self.intents
        for entry in self.done:
            intent, number = intents.get(entry["auditID"]), _number(entry)
            if intent is None or number is None or intent.changes[0].path == "rollout":
                continue
            before = [other for other in self._history(entry) if _version(other) < _version(entry)]
            expected = intent.changes[0].before
            if not before or _number(before[-1]) != expected:
                yield f"I10: {_told(entry)}: wrote over {before and _number(before[-1])}, not over {expected}"
                continue
            last = next((o for o, prior in _pairs(before) if prior is None or _number(prior) != expected), before[0])
            if intent.step is not Step.DO and _user(last) != ACCOUNT:
                yield f"I10: {_told(entry)}: put back what {_user(last)} wrote"

    def _history(self, entry: Entry) -> list[Entry]:
        """The writes of the same object's number, by anybody, in the order of their versions."""
        same = [o for o in self.log if _object(o) == _object(entry) and _accepted(o) and _number(o) is not None]
        return sorted(same, key=_version)

    def _outside(self) -> Iterator[str]:
        """I11: nothing outside the rights and namespaces that are granted, and nothing that was forbidden."""
        for entry in self.log:
            if _user(entry) != ACCOUNT or resource(entry).startswith("selfsubject"):
                continue
            space = entry["objectRef"].get("namespace", "")
            if not {(space, resource(entry), entry["verb"]), ("", resource(entry), entry["verb"])} & self.granted:
                yield f"I11: {_told(entry)}: that was never granted"
            if entry["responseStatus"]["code"] == 403:
                yield f"I11: {_told(entry)}: forbidden"


def read(cluster: Cluster, state: Path, values: Mapping[str, Any], namespace: str, since: float) -> Books:
    """Both books of the moment; of our account what came after `since` (epoch seconds)."""
    told = len(trail(state)[1])
    found = [*cluster.audit(namespace=namespace), *cluster.audit(user=ACCOUNT)]
    entries = {e["auditID"] + e["stageTimestamp"]: e for e in found if _user(e) != ACCOUNT or at(e) > since}
    chain, records = trail(state)
    return Books(chain, records, told, list(entries.values()), granted(values))


def trail(state: Path) -> tuple[str, list[AnyRecord]]:
    """Its name in the audit log, and its records."""
    with closing(SqliteStore.open(state / "trail.db", read_only=True)) as store:
        return store.chain.id[:8], [decode(stored.body) for stored in store.after(0)]


def granted(values: Mapping[str, Any]) -> frozenset[Right]:
    """What the chart grants its account with these values, as the roles say that Helm renders."""
    return frozenset(
        (role["metadata"].get("namespace", ""), name, verb)
        for role in objects(values)
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    )


def resource(entry: Entry) -> str:
    """Its resource, with the subresource."""
    found = entry["objectRef"]
    return "/".join(filter(None, (found["resource"], found.get("subresource"))))


def _asks(change: Change, entry: Entry) -> bool:
    """Whether a request is what a change says: this object, this argument, and nothing else beside them."""
    target, named, plural = change.object, entry["objectRef"], f"{change.object.kind.lower()}s"
    pod = change.path.split("/")[1] if change.path.startswith("slots/") else ""
    wanted = {
        "desired": ("patch", f"{plural}/scale", target.name),
        "autoscaler/minimum": ("patch", "horizontalpodautoscalers", named["name"]),  # its answer says whose it is
        "rollout": ("patch", plural, target.name),
        "newer": ("create", "pods/eviction", pod),
        "newer!": ("delete", "pods", pod),
    }[str(change.after) if pod else change.path]
    if (entry["verb"], resource(entry), named["name"]) != wanted or named["namespace"] != target.namespace:
        return False
    if "requestObject" not in entry:
        return entry["responseStatus"]["code"] == 403  # refused before it was read
    return _says(change, entry["requestObject"], entry.get("responseObject") or {})


def _says(change: Change, body: Any, left: Mapping[str, Any]) -> bool:
    """Whether a body names the object by its uid, and asks for this value alone."""
    target = change.object
    if change.path == "rollout":
        fence = {"op": "test", "path": "/metadata/uid", "value": target.uid}
        written = [op["path"] for op in body if op["op"] != "test"]
        return fence in body and len(written) == 1 and written[0].startswith("/spec/template/metadata/annotations")
    if change.path.startswith("slots/"):
        return bool(body.get("deleteOptions", body).get("preconditions", {}).get("uid") == change.before)
    fenced = body.keys() == {"metadata", "spec"} and body["metadata"].keys() == {"uid", "resourceVersion"}
    if change.path == "desired":
        return fenced and body["spec"] == {"replicas": change.after} and body["metadata"]["uid"] == target.uid
    scales = left.get("spec", {}).get("scaleTargetRef", {"kind": target.kind, "name": target.name})  # none: refused
    ours = (scales["kind"], scales["name"]) == (target.kind, target.name)
    return fenced and ours and body["spec"] == {"minReplicas": change.after}


def _number(entry: Entry) -> int | None:
    """The number that a write left in an object that actions scale."""
    found, left = entry["objectRef"], entry.get("responseObject") or {}
    if found["resource"] not in _NUMBERS or found.get("subresource", "scale") != "scale":
        return None
    number = left.get("spec", {}).get(_NUMBERS[found["resource"]])
    return int(number) if number is not None else None


def _pairs(before: Sequence[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Each write with the one before it, the latest first."""
    for at in range(len(before) - 1, -1, -1):
        yield before[at], before[at - 1] if at else None


def _object(entry: Entry) -> tuple[str, str, str]:
    found = entry["objectRef"]
    return found["resource"], found.get("namespace", ""), found.get("name", "")


def _version(entry: Entry) -> int:
    return int(entry["responseObject"]["metadata"]["resourceVersion"])


def _accepted(entry: Entry) -> bool:
    return 200 <= int(entry["responseStatus"]["code"]) < 300


def _user(entry: Entry) -> str:
    return str(entry["user"]["username"])


def at(entry: Entry) -> float:
    return datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()


def _told(entry: Entry) -> str:
    found = entry["objectRef"]
    where = f"{found.get('namespace', '')}/{found.get('name', '')}"
    return f"{entry['auditID']} {entry['verb']} {resource(entry)} {where}"


def lies(honest: Books) -> dict[str, Books]:
    """The same books with one thing changed in each, by words of the finding that must name it."""
    evicted = next(e for e in honest.done if len(honest.intents[e["auditID"]].changes) == 1 and "pods" in resource(e))
    scaled = next(e for e in honest.done if resource(e) == "deployments/scale")
    back = next(e for e in honest.done if _object(e) == _object(scaled) and e is not scaled)
    intent = honest.intents[evicted["auditID"]]
    other = {**evicted["requestObject"], "deleteOptions": {"preconditions": {"uid": "another"}}}
    between = {"metadata": {"resourceVersion": str(_version(back) - 1)}, "spec": {"replicas": 7}}
    somebody = {"user": {"username": "somebody"}, "auditID": "theirs"}
    blog = {"objectRef": evicted["objectRef"] | {"namespace": "blog"}}
    logs: dict[str, Sequence[Entry]] = {
        "the intent says something else": _with(honest.log, evicted, requestObject=other),
        "deployments/scale market/busy: the intent": _with(honest.log, scaled, requestObject={"metadata": {}}),
        "says 1 written, 0 were": [entry for entry in honest.log if entry is not evicted],
        "says 1 written, 2 were": [*honest.log, evicted],
        "wrote over 7, not over 3": [*honest.log, scaled | somebody | {"responseObject": between}],
        "put back what somebody wrote": _with(honest.log, scaled, **somebody),
        "that was never granted": _with(honest.log, evicted, **blog),
        "forbidden": [*honest.log, evicted | {"responseStatus": {"code": 403}}],
    }
    trails = {
        "no such intent": [record for record in honest.records if record is not intent],
        "was asked before its intent": [_later(r, 60) if r is intent else r for r in honest.records],
        "says not written, and was": [
            structs.replace(r, result=Verdict.FAIL) if isinstance(r, Outcome) and r.number == intent.number else r
            for r in honest.records
        ],
    }
    made = {told: replace(honest, log=log) for told, log in logs.items()}
    return made | {told: replace(honest, records=records) for told, records in trails.items()}


def _with(log: Sequence[Entry], one: Entry, **changes: Any) -> list[Entry]:
    return [{**entry, **changes} if entry is one else entry for entry in log]


def _later(record: AnyRecord, seconds: float) -> AnyRecord:
    return structs.replace(record, at=record.at + seconds)
