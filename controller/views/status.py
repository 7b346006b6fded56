"""What is true now, one row per target, and whether somebody should look."""

from collections.abc import Mapping
from typing import Any

from controller.core.records import OWN_STORM
from controller.core.state import State
from controller.core.wish import Rulebook
from controller.views.words import instant, phase, span, storm
from policies.policy import Mode
from telemetry.columns import Column, Kind
from telemetry.inventory import Facts
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.words import WORDS

SCORE, STATE = "health.score", "health.state"
OK, SICK, UNKNOWN = "ok", "sick", "unknown"


def status(
    snapshot: Snapshot, state: State, rules: Rulebook, namespace: str = "", *, signals: Definitions | None = None
) -> dict[str, Any]:
    """Targets with their health, what is under way, and who stopped what.

    The paths `telemetry.health_score`, `remediation.enabled` and `remediation.active_remediations` are there for
    scripts. The score is the worst of the targets shown, because a mean would hide one that is dead among many that
    are well; it is null where none is known.

    Args:
        snapshot: what is true.
        state: what was done.
        rules: what the loop goes by.
        namespace: show the targets of this one only; empty for all.
        signals: what the health score means; that of the build if not given.
    """
    health = (signals or builtin()).columns(snapshot, (SCORE, STATE))
    rows = [
        target_row(target, snapshot, state, rules.limits.facts_stale) | _score(health, row)
        for row, target in enumerate(snapshot.targets)
        if namespace in ("", target.namespace)
    ]
    healths = [row["health"] for row in rows]
    waiting = [e.id for e in state.episodes.values() if e.needs_human]
    return {
        "at": instant(snapshot.at),
        "telemetry": {
            "health_score": min((row["health_score"] for row in rows if row["health_score"] is not None), default=None),
            "targets": len(rows),
            "ok": healths.count(OK),
            "sick": healths.count(SICK),
            "unknown": healths.count(UNKNOWN),
            "silent": dict(snapshot.silent),
        },
        "remediation": remediation(state, rules),
        "needs_human": waiting,
        "targets": rows,
        "attention": _attention(rows, waiting, state, rules),
    }


def worst_score(snapshot: Snapshot, signals: Definitions | None = None) -> float | None:
    """The worst health score of any target, 0 to 1; None where none is known. Arguments as of `status`."""
    column = (signals or builtin()).columns(snapshot, (SCORE,)).get(SCORE)
    if column is None or not column.known.any():
        return None
    return float(column.values[column.known].min())


def _score(health: Mapping[str, Column], row: int) -> dict[str, Any]:
    """The health score of one target and its state, as the signals say; null is unknown."""
    found: dict[str, Any] = {"health_score": None, "health_state": None}
    for key, name in (("health_score", SCORE), ("health_state", STATE)):
        column = health.get(name)
        if column is not None and column.known[row]:
            value = float(column.values[row])
            found[key] = WORDS.word(value) if column.spec.kind is Kind.STRING else round(value, 4)
    return found


def remediation(state: State, rules: Rulebook) -> dict[str, Any]:
    """Whether anything may be started, and why not."""
    paused, frozen = rules.stops(state)
    in_force = [rules.policies[hash_] for hash_ in state.in_force.values() if hash_ in rules.policies]
    acting = [p.name for p in in_force if min(p.mode, rules.limits.mode_cap) >= Mode.APPROVE]
    stormy = OWN_STORM in state.storms or any("/" not in group for group in state.storms)
    return {
        "enabled": bool(acting) and not paused and not frozen and not stormy,
        "active_remediations": len(state.under_way()),
        "max_concurrent": rules.limits.max_concurrent,
        "mode_cap": rules.limits.mode_cap.label,
        "paused": paused,
        "frozen": frozen,
        "storms": [
            {"group": s.group, "said": instant(s.at), "why": s.why, "until": instant(s.until) if s.until else None}
            for s in state.storms.values()
        ],
        "policies": len(in_force),
        "policies_that_act": len(acting),
        "open_episodes": len(state.episodes),
    }


def target_row(target: Target, snapshot: Snapshot, state: State, stale: float) -> dict[str, Any]:
    """One target; `stale` as in `health_of`. Null is unknown."""
    facts = snapshot.facts[target]
    episodes = [e for e in state.episodes.values() if e.key.target == target]
    health, why = health_of(target, snapshot, facts, stale)
    return {
        "target": target.ref,
        "kind": target.kind,
        "platform": target.platform,
        "health": health,
        "why": why,
        "ready": facts.ready,
        "desired": facts.desired,
        "cpu": cell(snapshot, target, "cpu.ratio"),
        "memory_bytes": cell(snapshot, target, "memory.bytes"),
        "memory": cell(snapshot, target, "memory.ratio"),
        "restarts": cell(snapshot, target, "restarts.count"),
        "up_seconds": cell(snapshot, target, "up.duration"),
        "requests_per_second": cell(snapshot, target, "requests.rate"),
        "errors": cell(snapshot, target, "errors.ratio"),
        "p99_seconds": cell(snapshot, target, "latency.p99"),
        "protected": facts.protected,
        "episodes": [
            {"id": e.id, "policy": e.key.policy, "state": phase(e), "detail": e.held_detail} for e in episodes
        ],
    }


def health_of(target: Target, snapshot: Snapshot, facts: Facts, stale: float) -> tuple[str, str]:
    """`ok`, `sick` or `unknown`, and why: what nobody measured is unknown, never ok.

    Args:
        target: which.
        snapshot: it is in.
        facts: what its platform says.
        stale: seconds after which that is no longer taken for true.
    """
    if silent := snapshot.silent.get(target.platform):
        return UNKNOWN, f"{target.platform} does not answer: {silent}"
    old = snapshot.at - facts.seen_at
    if old > stale:
        return UNKNOWN, f"{target.platform} last answered {span(old)} ago"
    if facts.desired == 0:
        return OK, "stopped on purpose"
    return _by_instances(facts)


def _by_instances(facts: Facts) -> tuple[str, str]:
    failing = sum(i.ready is False for i in facts.instances)
    down = sum(not i.incarnation for i in facts.instances)
    unjudged = sum(i.ready is None for i in facts.instances)
    if failing:
        return SICK, f"{failing} of {facts.desired} instances fail their probe"
    if down:
        return SICK, f"{down} of {facts.desired} instances do not run"
    if unjudged:
        return UNKNOWN, f"no probe has told yet of {unjudged} of {facts.desired} instances"
    if facts.ready < facts.desired:
        return SICK, f"{facts.ready} of {facts.desired} instances are ready"
    return OK, ""


def cell(snapshot: Snapshot, target: Target, name: str) -> float | None:
    """A value that is known now, else None."""
    row, column = snapshot.rows.get(target), snapshot.columns.get(name)
    if row is None or column is None or not column.known[row]:
        return None
    return float(column.values[row])


def _attention(rows: list[dict[str, Any]], waiting: list[str], state: State, rules: Rulebook) -> list[str]:
    """One line for everything a person should know; empty when all is well."""
    stopped = [
        f"{word} by {who}" for word, who in remediation(state, rules).items() if word in ("paused", "frozen") and who
    ]
    stopped += [storm(one) for one in state.storms.values()]
    sick = [f"{row['target']} is {row['health']}: {row['why']}" for row in rows if row["health"] != OK]
    human = [f"{e.id} needs a human: {e.detail}" for e in state.episodes.values() if e.id in waiting]
    return stopped + sick + human


def is_degraded(shown: Mapping[str, Any]) -> bool:
    """Whether somebody should look: exit code 3."""
    sick = any(row["health"] != OK for row in shown["targets"])
    loop, silent = shown.get("loop", {}), shown["telemetry"]["silent"]
    return sick or bool(silent or shown["needs_human"] or loop.get("trouble") or loop.get("policy_problems"))
