"""The local supervisor as a source: it lists the services of this machine and what their probes say."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from telemetry.inventory import Facts, Instance, Sample, Value
from telemetry.sources import Reading
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered, call
from telemetry.target import Target

PLATFORM = "local"
SOCKET = "supervisor.sock"
"""The supervisor's socket, in its state directory."""

RECENT = 1800.0  # seconds for which a change counts as recent


class _Slot(msgspec.Struct, frozen=True):
    slot: str
    incarnation: str
    pid: int
    started_at: float
    ready: bool | None
    ok: bool | None
    failures: int
    probed_at: float


class _Identity(msgspec.Struct, frozen=True):
    kind: str
    namespace: str
    name: str
    uid: str


class _Limits(msgspec.Struct, frozen=True):
    memory: int | None
    cpu: float | None


class _Service(msgspec.Struct, frozen=True):
    target: _Identity
    labels: dict[str, str]
    desired: int
    min: int
    max: int
    protected: str
    changed_at: float
    probed: bool
    crashes: int
    crashes_hour: int
    limits: _Limits
    fields: dict[str, Value]
    slots: tuple[_Slot, ...]


class _Listing(msgspec.Struct, frozen=True):
    at: float
    services: tuple[_Service, ...]


class SupervisorSource:
    """Reads one supervisor.

    Attributes:
        name: `supervisor`.
        facts: of its last answer.
        limits: by target, the declared memory (bytes) and CPU (cores) of one instance; None where not declared.
    """

    name = "supervisor"

    def __init__(self, state: Path, timeout: float = 2.0) -> None:
        """`state` is the supervisor's directory; `timeout` in seconds: it answers from memory."""
        self._socket, self._timeout = state / SOCKET, timeout
        self.facts: Mapping[Target, Facts] = {}
        self.limits: Mapping[Target, tuple[int | None, float | None]] = {}

    def read(self, now: float) -> Reading:
        """List the services. Stamps are of the caller's clock, spans of the supervisor's."""
        try:
            listing = msgspec.convert(call(self._socket, {"op": "list"}, self._timeout), _Listing)
        except (NotDelivered, MaybeDelivered) as error:
            return Reading(now, PLATFORM, self.facts, error=str(error))
        except msgspec.ValidationError as error:
            return Reading(now, PLATFORM, self.facts, error=f"{self._socket} speaks another version: {error}")
        services = {_target(service): service for service in listing.services}
        self.facts = {target: _facts(service, now) for target, service in services.items()}
        self.limits = {target: (s.limits.memory, s.limits.cpu) for target, s in services.items()}
        samples: list[Sample] = []
        for target, service in services.items():
            samples += _samples(target, service, now, listing.at)
            if service.probed:
                samples += _probed(target, service.slots, now, listing.at)
        return Reading(now, PLATFORM, self.facts, samples)


def _target(service: _Service) -> Target:
    identity = service.target
    return Target(PLATFORM, identity.kind, identity.namespace, identity.name, identity.uid)


def _facts(service: _Service, at: float) -> Facts:
    return Facts(
        seen_at=at,
        desired=service.desired,
        ready=sum(slot.ready is True for slot in service.slots),
        minimum=service.min,
        maximum=service.max,
        fields=service.fields,
        instances=tuple(Instance(s.slot, s.incarnation, s.ready, s.started_at) for s in service.slots),
        labels=service.labels,
        changed_at=service.changed_at,
        protected=service.protected,
    )


def _samples(target: Target, service: _Service, now: float, there: float) -> Iterator[Sample]:
    """What one answer tells; what nobody has measured yet is left out, and so unknown.

    Args:
        target: the service.
        service: what the supervisor says of it.
        now: the stamp of the samples.
        there: the supervisor's own time, against which its times are read.
    """
    running = [slot for slot in service.slots if slot.incarnation]
    yield Sample(target, "active.count", float(len(running)), now)
    yield Sample(target, "restarts.count", float(service.crashes), now)
    yield Sample(target, "restarts.rate", float(service.crashes_hour), now)
    if running:
        yield Sample(target, "up.duration", max(0.0, there - max(slot.started_at for slot in running)), now)
    if service.changed_at:
        yield Sample(target, "change.age", max(0.0, there - service.changed_at), now)
    recent = bool(service.changed_at) and there - service.changed_at < RECENT
    yield Sample(target, "change.recent", float(recent), now)


def _probed(target: Target, slots: tuple[_Slot, ...], now: float, there: float) -> Iterator[Sample]:
    """The probes over all instances: one failure is enough to say false, all must be known to say true.

    The samples are as old as the oldest probe: a prober that hangs is not taken for good news.
    """
    asked = [slot for slot in slots if slot.ok is not None]
    at = now - max(0.0, there - min((slot.probed_at for slot in asked), default=there))
    failed = any(slot.ok is False or slot.ready is False for slot in slots)
    if failed or (slots and len(asked) == len(slots)):
        yield Sample(target, "probe.ok", float(not failed), at, len(asked))
    if asked:
        yield Sample(target, "probe.failures", float(max(slot.failures for slot in asked)), at, len(asked))
    judged = [slot.ready for slot in slots if slot.ready is not None]
    if False in judged or (slots and len(judged) == len(slots)):
        yield Sample(target, "instances.sick", judged.count(False) / len(slots), at, len(judged))
