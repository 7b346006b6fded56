"""A workload with its pods rolled up: the facts of it, and the numbers that its columns are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan

from telemetry.inventory import Autoscaler, Budget, By, Facts, Instance, Owner, Value
from telemetry.sources.kubernetes.bounds import Bound, Scaler
from telemetry.sources.kubernetes.ownership import DESIRED, ROLLOUT
from telemetry.sources.kubernetes.pods import Seen
from telemetry.sources.kubernetes.workloads import Known
from telemetry.target import Target

PLATFORM = "kubernetes"
MINIMUM = "autoscaler/minimum"
"""The field that holds the fewest instances that an autoscaler keeps."""
_TROUBLES = 3


@dataclass(frozen=True, slots=True)
class Around:
    """What bounds a workload from outside.

    Attributes:
        scalers: what scales it, by name; more than one is a mistake of its people.
        bounds: budgets of its pods.
        protected: why it must not be touched, by what stands elsewhere.
    """

    scalers: Sequence[Scaler] = ()
    bounds: Sequence[Bound] = ()
    protected: str = ""


NUMBERS = (
    *("active", "ok", "sick", "started_at", "changed_at", "progressing", "stuck_at", "crash_until", "killed_until"),
    *("no_image", "waits_since", "autoscaled", "limited", "room"),
)
"""The numbers of a workload, in order: times are epoch seconds, so that they need no look while nothing happens."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """A workload with its pods.

    Attributes:
        facts: for decisions; `seen_at` is that of the look.
        numbers: as NUMBERS names them; NaN where nobody can tell.
        settles_at: when it must be looked at again although nothing happened; inf if never.
        odd: its controller counts other pods ready than are.
    """

    target: Target
    facts: Facts
    numbers: tuple[float, ...]
    settles_at: float
    odd: bool


def roll_up(known: Known, pods: Iterable[Seen], around: Around, now: float) -> Rolled:
    """One workload at one moment."""
    here = sorted((pod for pod in pods if not pod.gone), key=lambda pod: (pod.created_at, pod.name))
    instances = tuple(Instance(p.name, p.uid, ready(p, now), p.started_at) for p in here)
    scaler = around.scalers[0] if around.scalers else None
    count = sum(instance.ready is True for instance in instances)
    target = Target(PLATFORM, known.kind, known.namespace, known.name, known.uid)
    facts = Facts(
        seen_at=now,
        desired=known.desired,
        ready=count,
        minimum=scaler.minimum if scaler else known.bounds[0],
        maximum=scaler.maximum if scaler else known.bounds[1],
        fields=_fields(known, instances, around.scalers),
        instances=instances,
        labels=known.labels,
        changed_at=known.changed_at,
        protected=known.opted_out or around.protected or known.protected,
        owners=_owners(known, scaler),
        writers=known.writers,
        rollout=_rollout(known, now),
        paused="its rollouts are paused (spec.paused)" if known.paused else "",
        budgets=tuple(_budget(bound) for bound in around.bounds),
        autoscaler=_autoscaler(scaler),
        revision=known.revision,
        troubles=_troubles(known, here, scaler, now),
    )
    settles = min((pod.settles_at for pod in here if pod.ready is None and pod.settles_at > now), default=inf)
    numbers = _numbers(known, here, facts)
    return Rolled(target, facts, numbers, settles, odd=count != known.said_ready)


def ready(pod: Seen, now: float) -> bool | None:
    """Whether a pod is ready; what starts for too long is not."""
    return False if pod.ready is None and pod.settles_at <= now else pod.ready


def _fields(known: Known, instances: Sequence[Instance], scalers: Sequence[Scaler]) -> Mapping[str, Value]:
    fields: dict[str, Value] = {ROLLOUT: known.restarted} if known.rolls else {}
    if known.scaled is not None and not scalers:
        fields[DESIRED] = known.scaled
    elif len(scalers) == 1:
        fields[MINIMUM] = scalers[0].minimum
    for instance in instances:
        fields[f"slots/{instance.slot}/incarnation"] = instance.incarnation
        fields[f"slots/{instance.slot}/healthy"] = None if instance.ready is None else int(instance.ready)
    return fields


def _owners(known: Known, scaler: Scaler | None) -> Mapping[str, Owner]:
    if scaler is None:
        return known.owners
    name = f"HorizontalPodAutoscaler {scaler.namespace}/{scaler.name}"
    bounds = f"its bounds are {scaler.minimum} to {scaler.maximum}"
    by = By.KEDA if scaler.kept == "ScaledObject" else By.HPA
    owner = Owner(by, name, f"{bounds}; change the bounds of {'its ' + scaler.kept if scaler.kept else 'it'} instead")
    return {**known.owners, DESIRED: owner, **({MINIMUM: owner} if scaler.kept else {})}


def _autoscaler(scaler: Scaler | None) -> Autoscaler | None:
    if scaler is None:
        return None
    target = Target(PLATFORM, "HorizontalPodAutoscaler", scaler.namespace, scaler.name, scaler.uid)
    return Autoscaler(target, scaler.minimum, scaler.maximum, scaler.wants, scaler.limited)


def _budget(bound: Bound) -> Budget:
    return Budget(f"PodDisruptionBudget {bound.namespace}/{bound.name}", bound.room, bound.sick_free, bound.why)


def _rollout(known: Known, now: float) -> str:
    rollout = known.rollout
    name = f"revision {known.revision}" if known.revision else "the newest revision"
    far = f"{rollout.updated} of {rollout.desired} instances have {name}, {known.said_ready} are ready"
    if now >= rollout.stuck_at:
        return f"stuck: {far}"
    if rollout.progressing and not rollout.seen:
        return "its controller has not seen the newest change yet"
    return far if rollout.progressing else ""


def _troubles(known: Known, pods: Sequence[Seen], scaler: Scaler | None, now: float) -> tuple[str, ...]:
    """What is wrong, the worst first: what was killed for memory, what crashes, what else is sick, what is too late."""
    found: list[tuple[int, int, str]] = []
    for pod in pods:
        killed = pod.killed_until > now
        if not pod.trouble or not (killed or pod.no_image or pod.crash_until > now or ready(pod, now) is False):
            continue
        limit = known.memory_limits.get(pod.container, 0.0) if killed else 0.0
        found.append((-2 * killed - (pod.crash_until > now), -pod.restarts, pod.trouble + _limit(limit)))
    words = [text for *_, text in sorted(found)[:_TROUBLES]]
    if len(found) > _TROUBLES:
        words.append(f"and {len(found) - _TROUBLES} more instances")
    if now >= known.rollout.stuck_at:
        words.append(f"its rollout is {_rollout(known, now)}")
    if scaler is not None and scaler.limited:
        name = f"HorizontalPodAutoscaler {scaler.namespace}/{scaler.name}"
        bounds = f"its bounds are {scaler.minimum} to {scaler.maximum}"
        words.append(f"{name} wants more than its maximum: {bounds}; raise maxReplicas if there is room for more")
    return tuple(words)


def _limit(limit: float) -> str:
    return f", memory limit {limit / 2**20:.0f} MiB" if limit else ""


def _numbers(known: Known, pods: Sequence[Seen], facts: Facts) -> tuple[float, ...]:
    verdicts = [instance.ready for instance in facts.instances]
    told = False in verdicts or (bool(verdicts) and None not in verdicts)
    started = max((pod.started_at for pod in pods), default=0.0)
    rooms = [budget.room for budget in facts.budgets]
    return (
        float(sum(pod.started_at > 0 for pod in pods)),
        float(False not in verdicts) if told else nan,
        verdicts.count(False) / len(verdicts) if told else nan,
        started or nan,
        known.changed_at or nan,
        float(known.rollout.progressing),
        known.rollout.stuck_at,
        max((pod.crash_until for pod in pods), default=0.0),
        max((pod.killed_until for pod in pods), default=0.0),
        float(any(pod.no_image for pod in pods)),
        min((pod.waits_since for pod in pods), default=inf),
        float(facts.autoscaler is not None),
        float(facts.autoscaler is not None and facts.autoscaler.limited),
        float(min(rooms)) if rooms else nan,
    )
