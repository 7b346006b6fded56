"""What a policy does, in words."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.policy import Mode, OnFailure, Policy, Rung
from telemetry.columns import COLUMNS, ColumnSpec, Kind
from telemetry.documents.quantities import format_duration
from telemetry.expression import Derived, Length, one_line
from telemetry.expression.condition import spec_of
from telemetry.signals.definitions import Definitions

_MODES = {
    Mode.OBSERVE: "it only writes down what it would do",
    Mode.RECOMMEND: "it tells people what it would do",
    Mode.APPROVE: "it acts once a person has approved",
    Mode.ENFORCE: "it acts by itself",
}
_FAILURES = {
    OnFailure.ROLLBACK: "put it back if that is possible, wait, try again, and in the end ask a person",
    OnFailure.ESCALATE: "ask a person",
    OnFailure.NEXT: "put it back if that is possible, and go on to the next action",
}


def explain(policy: Policy, signals: Definitions) -> dict[str, Any]:
    """Everything as plain data, with `words` for people: pairs of a heading and a sentence."""
    columns = sorted(policy.when.columns | policy.until.columns)
    used = signals.closure(policy.when.signals | policy.until.signals)
    return {
        "policy": policy.name,
        "mode": policy.mode.label,
        "columns": [_column(spec_of(name, COLUMNS)) for name in columns],
        "signals": [
            {"name": name, "meaning": each.spec.meaning, "is": _with_values(each)} for name, each in used.items()
        ],
        "operations": {"when": policy.when.cost(), "until": policy.until.cost()},
        "words": [list(pair) for pair in _words(policy)],
    }


def _column(spec: ColumnSpec) -> dict[str, Any]:
    stale = None if spec.stale_after == float("inf") else spec.stale_after
    unit = spec.unit if spec.kind is Kind.NUMBER else ""
    return {"name": spec.name, "kind": spec.kind.value, "unit": unit, "meaning": spec.meaning, "stale_after": stale}


def _words(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "mode", f"{policy.mode.label}: {_MODES[policy.mode]}"
    yield "watches", _targets(policy)
    lasting = f" for {format_duration(policy.delay)}" if policy.delay else ""
    yield "when", f"{one_line(policy.when.source)}{', surely and' if lasting else ', surely'}{lasting}"
    until = one_line(policy.until.source) if policy.has_until else "that surely no longer holds"
    yield "over when", until
    for number, rung in enumerate(policy.rungs, 1):
        yield ("does" if number == 1 else "then"), _remedy(rung)
    yield "if sure", _sure(policy)
    yield "at most", _throttle(policy)
    if times := _times(policy):
        yield "only", times
    looks = f"{format_duration(policy.initial_delay)} to {format_duration(policy.within)} after it"
    yield "helped if", f"it is over, looked at from {looks}"
    yield "if not", _FAILURES[policy.on_failure]


def _targets(policy: Policy) -> str:
    chosen = policy.selector
    kinds = " or ".join(sorted(chosen.kinds)) if chosen.kinds is not None else "target"
    parts = [f"every {kinds}" if chosen.names is None else f"{kinds} called {', '.join(sorted(chosen.names))}"]
    if chosen.namespace is not None:
        parts.append(f"in namespace {chosen.namespace}")
    if chosen.labels:
        parts.append(f"with {', '.join(f'{key}={value}' for key, value in sorted(chosen.labels.items()))}")
    return f"{' '.join(parts)}; none at all if that is more than {chosen.max}"


def _remedy(rung: Rung) -> str:
    given = rung.params.model_dump(mode="json", by_alias=True, exclude_none=True)
    params = ", ".join(f"{key} {value}" for key, value in given.items())
    hold = f"; lifted after {format_duration(rung.hold)}" if rung.hold is not None else ""
    return f"{rung.action}{f' ({params})' if params else ''}{hold}"


def _sure(policy: Policy) -> str:
    samples = f", and {policy.min_samples} samples behind each column" if policy.min_samples else ""
    return f"confidence of {policy.min_confidence:.0%} or more{samples}"


def _throttle(policy: Policy) -> str:
    throttle = policy.throttle
    parts = [f"{limit.max} in {format_duration(limit.per)}" for limit in throttle.limits]
    parts.append(f"{throttle.max_concurrent} at once")
    if throttle.cooldown:
        parts.append(f"one target every {format_duration(throttle.cooldown)}")
    return f"{', '.join(parts)}; {throttle.max_unavailable} of its instances down at once"


def _times(policy: Policy) -> str:
    parts = []
    if policy.active_windows:
        parts.append(f"in {len(policy.active_windows)} windows of time")
    if policy.blackouts:
        parts.append(f"outside {len(policy.blackouts)} blackouts")
    return " and ".join(parts)


def _with_values(signal: Derived) -> str:
    """Its expression with the constants in it."""
    text = one_line(signal.source)
    for name, value in signal.constants.items():
        shown = f"duration('{format_duration(value)}')" if isinstance(value, Length) else f"{value:g}"
        text = re.sub(rf"(?<![\w.'\"]){name}(?![\w.'\"])", shown, text)
    return text


def described(explained: Mapping[str, Any]) -> list[str]:
    """The lines that people read."""
    lines = [str(explained["policy"])]
    lines += [f"  {heading:<10} {text}" for heading, text in explained["words"]]
    for heading, rows in (("reads", explained["columns"]), ("through", explained["signals"])):
        width = max((len(row["name"]) for row in rows), default=0)
        for number, row in enumerate(rows):
            about = f" = {row['is']}" if "is" in row else f"  {row['meaning']}{_freshness(row)}"
            lines.append(f"  {heading if not number else '':<10} {row['name']:<{width}}{about}")
    when, until = explained["operations"]["when"], explained["operations"]["until"]
    return [*lines, f"  {'costs':<10} {when} + {until} operations over all its targets a tick, of 256 each"]


def _freshness(row: Mapping[str, Any]) -> str:
    unit = f", {row['unit']}" if row["unit"] not in ("", "1") else ""
    stale = f", unknown after {format_duration(row['stale_after'])}" if row["stale_after"] else ""
    return f" ({row['kind']}{unit}{stale})"
