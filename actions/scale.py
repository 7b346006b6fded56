"""Scale: more or fewer instances, lifted again after a hold; an autoscaler is told, not fought."""

import math
import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from actions.action import Params, Permission
from actions.plan import Change, Plan, Refusal, Undo
from actions.reason import Reason
from telemetry.inventory import Facts
from telemetry.target import Target

PATH = "desired"
MINIMUM = "autoscaler/minimum"
"""The field in the place of `desired` where an autoscaler owns the number: it would take a foreign value back."""
HOLD = 1800.0  # seconds that an unasked-for hold of extra instances lasts: an override always expires

_STEP = re.compile(r"[+-][1-9][0-9]{0,5}%?")
_PERCENT = re.compile(r"([1-9][0-9]?|100)%")
_STEP_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{_STEP.pattern}$"})
_RELEASE_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]}
)


def _step(value: object) -> object:
    if isinstance(value, str) and _STEP.fullmatch(value):
        return value
    raise ValueError('a step has a sign and stands in quotes: "+2", "-1", "+50%" or "-25%"')


def _release_step(value: object) -> object:
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return value
    if type(value) is int and value >= 1:
        return value
    raise ValueError('a release step is a number of instances from 1 up, or a share from "1%" to "100%"')


_ReleaseStep = Annotated[int | str, BeforeValidator(_release_step), _RELEASE_SCHEMA]


class ScaleParams(Params):
    """How many instances.

    Attributes:
        by: relative step; percent is of what is desired now, rounded away from zero. It never reaches zero instances.
        to: the number itself; 0 stops the workload and is taken literally.
        max: a step up goes no further.
        min: a step down goes no further.
        release_step: how many instances (or which share of the difference) each stage of the release takes back;
            nothing: all in one stage.
    """

    by: Annotated[str, BeforeValidator(_step), _STEP_SCHEMA] | None = None
    to: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    max: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    min: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    release_step: _ReleaseStep | None = Field(None, alias="releaseStep")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.by is None) == (self.to is None):
            raise ValueError("say either `by` (a step) or `to` (a number), and only one of them")
        if self.to is not None and (self.max is not None or self.min is not None):
            raise ValueError("`max` and `min` bound a step `by`; with `to` they would mean nothing")
        if self.by is not None and self.by[0] == "+" and self.min is not None:
            raise ValueError("`min` bounds a step down; this step goes up")
        if self.by is not None and self.by[0] == "-" and self.max is not None:
            raise ValueError("`max` bounds a step up; this step goes down")
        return self


class Scale:
    """Changes how many instances are desired."""

    name: ClassVar[str] = "Scale"
    params: ClassVar[type[Params]] = ScaleParams
    undo: ClassVar[Undo] = Undo.REVERSIBLE
    writes: ClassVar[frozenset[str]] = frozenset({PATH, MINIMUM})
    permissions: ClassVar[tuple[Permission, ...]] = (
        Permission("apps", "deployments/scale", ("patch",)),
        Permission("apps", "statefulsets/scale", ("patch",)),
        Permission("autoscaling", "horizontalpodautoscalers", ("patch",)),  # who owns the number is moved, not fought
    )

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        """One change of a number; its release leads back in stages, each expecting our own value."""
        path = PATH if PATH in facts.fields else MINIMUM
        now = facts.fields.get(path)
        if not isinstance(now, int):
            return Refusal(Reason.NO_MECHANISM, f"{target.ref} has no number of instances that can be set")
        after = _wanted(params, facts)
        if isinstance(after, Refusal):
            return after
        if path == MINIMUM and after <= max(now, facts.desired):
            detail = f"{target.ref} is scaled by an autoscaler: its minimum, {now}, can only be raised over what runs"
            return Refusal(Reason.NO_MECHANISM, detail)
        seconds = hold if hold is not None else (HOLD if after > now else 0.0)
        return Plan(
            changes=(Change(target, path, now, after),),
            disrupts=_removed_ready(facts, after) if path == PATH else 0,
            undo=self.undo,
            hold=seconds,
            release=_release(Change(target, path, after, now), params.release_step) if seconds > 0 else (),
        )


def _wanted(params: ScaleParams, facts: Facts) -> int | Refusal:
    """The number to set, within every bound and never against the asked direction."""
    now = facts.desired
    if params.to is not None:
        if params.to == now:
            return Refusal(Reason.NOTHING_TO_DO, f"{now} instances are desired already")
        if params.to < min(1, facts.minimum):
            return Refusal(
                Reason.AT_LIMIT,
                f"{now} instances are desired and zero asked for, {facts.minimum} is the fewest allowed",
            )
        wanted, lowest, highest = params.to, facts.minimum, facts.maximum
    else:
        if now == 0:
            return Refusal(Reason.NOTHING_TO_DO, "zero instances are desired: only `to` starts what was stopped")
        wanted = now + _delta(params.by or "", now)
        lowest = max(1, facts.minimum, params.min or 1)
        highest = facts.maximum if params.max is None else min(facts.maximum, params.max)
    clamped = max(now, min(wanted, highest)) if wanted > now else min(now, max(wanted, lowest))
    if clamped == now:
        limit = f"{highest} is the most" if wanted > now else f"{lowest} is the fewest"
        return Refusal(Reason.AT_LIMIT, f"{now} instances are desired, {limit} allowed")
    return clamped


def _delta(step: str, now: int) -> int:
    """The signed number of instances of a step; a share is rounded away from zero."""
    sign = -1 if step[0] == "-" else 1
    if step.endswith("%"):
        return sign * math.ceil(now * int(step[1:-1]) / 100)
    return sign * int(step[1:])


def _release(back: Change, step: int | str | None) -> tuple[Change, ...]:
    """The stages of a change back."""
    start, end = int(back.before or 0), int(back.after or 0)
    distance = abs(start - end)
    size = distance
    if isinstance(step, str):
        size = math.ceil(distance * int(step[:-1]) / 100)
    elif step is not None:
        size = min(step, distance)
    way = -size if start > end else size
    stops = [*range(start, end, way), end]
    return tuple(Change(back.object, back.path, before, after) for before, after in pairwise(stops))


def _removed_ready(facts: Facts, after: int) -> int:
    """How many ready instances go: platforms stop the highest slots first; unseen instances count as ready."""
    removed = facts.desired - after
    if removed <= 0:
        return 0
    if not facts.instances:
        return min(removed, facts.ready)
    ordered = sorted(facts.instances, key=lambda i: (len(i.slot), i.slot))
    return sum(instance.ready is True for instance in ordered[after:])
