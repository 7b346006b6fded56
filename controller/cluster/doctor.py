"""Is everything in place in the cluster? Answered by the API server itself, as the account that will be used."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from actions.action import Permission
from actions.registry import ACTIONS
from controller.cluster.crds import GROUP, PLURALS, VERSION
from controller.cluster.join import access, spaces
from controller.cluster.policies import Raw, path
from controller.cluster.rbac import CLUSTER, READS, WRITES
from controller.doctor import Finding, State
from controller.settings import Settings
from telemetry.sources.kubernetes.access import AccessError
from telemetry.sources.kubernetes.client import Client, Refused
from telemetry.sources.kubernetes.rights import Right, allowed, review

OLDEST = 29
"""Minor version from which rules in custom resources are stable."""
SKEW = 5.0
"""Seconds between our clock and the API server's."""
_ACTS = ("Approve", "Enforce")
_NOT_NEEDED = {"services", "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "pods.metrics.k8s.io"}


class _Version(msgspec.Struct):
    major: str = ""
    minor: str = ""


class _Named(msgspec.Struct):
    name: str


class _Kinds(msgspec.Struct):
    resources: list[_Named] = []


class _List(msgspec.Struct):
    items: list[Raw] = []


def examine_cluster(settings: Settings, now: Callable[[], float]) -> Iterator[Finding]:
    """Way, version, clock, kinds, rights; `now` in epoch seconds."""
    try:
        way = access(settings.kubernetes)
    except AccessError as error:
        yield Finding("cluster", State.BAD, str(error), "set `kubernetes` to in-cluster, or to a kubeconfig file")
        return
    client = Client(way, settings.call_timeout)
    try:
        version = client.read("/version", _Version)
    except (Refused, OSError) as error:
        yield Finding("cluster", State.BAD, f"{way.server} does not answer: {error}", "is it the right one, and up?")
        return
    minor = int("".join(digit for digit in version.minor if digit.isdigit()) or 0)
    fine = State.FINE if minor >= OLDEST else State.BAD
    hint = "" if minor >= OLDEST else f"from 1.{OLDEST} on rules in custom resources are stable"
    yield Finding("cluster", fine, f"Kubernetes {version.major}.{version.minor} at {way.server}", hint)
    yield _clock(client, now)
    kinds = _kinds(client)
    yield kinds
    yield from _rights(client, spaces(settings.namespaces))
    if kinds.state is State.FINE:
        yield from _rights_of_policies(client, spaces(settings.namespaces))


def _clock(client: Client, now: Callable[[], float]) -> Finding:
    """Our clock against the server's, whose time lies somewhere between question and answer, cut to a second."""
    asked = now()
    try:
        answer = client.write(review(Right("get", "", "pods")))
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (OSError, ValueError) as error:
        return Finding("clock", State.NOTE, f"the API server's time is not known: {error}")
    away = max(asked - 1.0 - there, there - now(), 0.0)
    if away > SKEW:
        return Finding(
            "clock", State.BAD, f"{away:.0f} s away from the API server's", "windows and ages are wrong by that"
        )
    return Finding("clock", State.FINE, f"within {SKEW:g} s of the API server's")


def _kinds(client: Client) -> Finding:
    wanted = set(PLURALS.values())
    try:
        there = {one.name for one in client.read(f"/apis/{GROUP}/{VERSION}", _Kinds).resources}
    except (Refused, OSError) as error:
        there = set()
        if not isinstance(error, Refused):
            return Finding("kinds", State.BAD, str(error))
    if missing := sorted(wanted - there):
        hint = "install the chart with crds.enabled=true"
        return Finding("kinds", State.BAD, f"missing: {', '.join(f'{name}.{GROUP}' for name in missing)}", hint)
    return Finding("kinds", State.FINE, f"{', '.join(sorted(wanted))} of {GROUP}/{VERSION}")


def _rights(client: Client, namespaces: Sequence[str]) -> Iterator[Finding]:
    """Every rule of a default install, in every namespace that is looked at."""
    missing = [(rule, verb, "") for rule in CLUSTER for verb in _denied(client, rule, "")]
    for space in namespaces or [""]:
        missing += [(rule, verb, space) for rule in (*READS, *WRITES) for verb in _denied(client, rule, space)]
    hard = [each for each in missing if _name(each[0]) not in _NOT_NEEDED]
    for rule, verb, space in missing:
        needed = (rule, verb, space) in hard
        yield Finding(
            "rights", State.BAD if needed else State.NOTE, str(_right(rule, verb, space)), "the chart grants it"
        )
    if not hard:
        where = ", ".join(namespaces) or "every namespace"
        yield Finding("rights", State.FINE, f"everything that a default install needs, in {where}")


def _rights_of_policies(client: Client, namespaces: Sequence[str]) -> Iterator[Finding]:
    """A policy that may act needs the rights of its actions where it acts."""
    for space in namespaces or [""]:
        try:
            found = client.read(path("RemediationPolicy", space), _List).items
        except (Refused, OSError) as error:
            busy = isinstance(error, Refused) and error.status == 429  # the kinds are brand new
            state, hint = (State.NOTE, "ask again") if busy else (State.BAD, "see rights")
            yield Finding("policies", state, f"policies can not be read: {error}", hint)
            return
        modes = [str(_spec(one).get("mode", "Observe")) for one in found]
        yield Finding(
            "policies",
            State.FINE,
            f"{len(found)} in {space or 'every namespace'}, {sum(m in _ACTS for m in modes)} may act",
        )
        for one, mode in zip(found, modes, strict=True):
            if mode in _ACTS:
                yield from _of_policy(client, one)


def _of_policy(client: Client, one: Raw) -> Iterator[Finding]:
    space, name, spec = str(one.metadata.get("namespace", "")), one.metadata.get("name", ""), _spec(one)
    entries = [spec.get("action"), *(spec.get("actions") or ())]
    for action in dict.fromkeys(str(entry.get("type")) for entry in entries if isinstance(entry, dict)):
        rules = ACTIONS[action].permissions if action in ACTIONS else ()
        denied = [str(_right(rule, verb, space)) for rule in rules for verb in _denied(client, rule, space)]
        if denied:
            told = f"{space}/{name} may {action}, but the account may not: {'; '.join(denied)}"
            yield Finding("rights", State.BAD, told, f"helm upgrade … --set 'mayAct.{space}={{{action}}}'")


def _spec(one: Raw) -> Mapping[str, Any]:
    return one.spec if isinstance(one.spec, dict) else {}


def _denied(client: Client, rule: Permission, space: str) -> Iterable[str]:
    """The verbs that the account lacks."""
    for verb in rule.verbs:
        if not allowed(client, _right(rule, verb, space)):
            yield verb


def _right(rule: Permission, verb: str, space: str) -> Right:
    return Right(verb, rule.group, rule.resource, space)


def _name(rule: Permission) -> str:
    return (
        f"{rule.resource}.{rule.group}"
        if rule.group and rule.group != "admissionregistration.k8s.io"
        else rule.resource
    )
