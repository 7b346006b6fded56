"""The services file: which processes are kept, how many, and how it is seen that they are well."""

import hashlib
import ipaddress
import json
import os
import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from telemetry.documents import (
    Document,
    DocumentError,
    InvalidError,
    Matching,
    Problem,
    Seconds,
    Size,
    validate,
)
from telemetry.documents import parse as parse_document

MOST_INSTANCES = 100  # of one service: this is one machine
PASSED_ON = ("PATH", "HOME", "LANG")
"""What an instance gets of the supervisor's own environment; nothing else, so that no secret leaks into it."""

_RESERVED = frozenset({"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "PORT"})

Name = Annotated[
    str, Matching(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "lower-case letters, digits, and - inside, at most 63")
]
LabelKey = Annotated[
    str, Matching(r"[A-Za-z0-9]([-A-Za-z0-9_./]{0,251}[A-Za-z0-9])?", "letters, digits, - _ . / inside")
]
LabelValue = Annotated[
    str, Matching(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", "letters, digits, - _ . inside")
]
EnvName = Annotated[str, Matching(r"[A-Za-z_][A-Za-z0-9_]{0,254}", "letters, digits and _, no digit first")]
Count = Annotated[int, Field(ge=0, le=MOST_INSTANCES)]


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise InvalidError("holds a NUL character")
    return value


Text = Annotated[str, AfterValidator(_no_nul), Field(max_length=32_768)]


class _Part(BaseModel):
    """Base of every part: unknown keys are errors, keys are camelCase, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Listen(StrEnum):
    """How instances get at connections."""

    INHERIT = "inherit"  # all of them share one listening socket, handed over by the LISTEN_FDS protocol
    EACH = "each"  # each gets a PORT of its own, written to the ports file
    NONE = "none"


class Signal(StrEnum):
    """Asks an instance to end."""

    TERM = "TERM"
    INT = "INT"
    QUIT = "QUIT"
    HUP = "HUP"
    USR1 = "USR1"
    USR2 = "USR2"


class Replicas(_Part):
    """How many instances.

    Attributes:
        desired: asked for at first; a scaled service keeps its number until this one is edited.
        min, max: nothing scales it beyond them; not given, `max` is `desired` (so that nothing grows unasked) and
            `min` is 1, or 0 where `desired` is 0.
    """

    desired: Count = 1
    min: Count = 1
    max: Count = 1

    @model_validator(mode="before")
    @classmethod
    def _bounds(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        least = data.get("min", 1)
        desired = data.get("desired", max(1, least) if isinstance(least, int) else 1)
        if not isinstance(desired, int):
            return data
        return {"desired": desired, "min": min(1, desired), "max": max(1, desired)} | data

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.desired <= self.max:
            raise InvalidError(f"min {self.min}, desired {self.desired}, max {self.max}", "min <= desired <= max")
        return self


class Probe(_Part):
    """How it is seen that an instance is well.

    Attributes:
        http: a GET of this path answers 200 to 399.
        tcp: a connection is accepted; only with `listen: each`.
        period: from the end of one probe to the next.
        timeout: of one probe, for everything together.
        failures: this many in a row make an instance sick.
    """

    http: Annotated[str, Matching(r"/[!-~]{0,1023}", "a path like /health, printable and without spaces")] | None = None
    tcp: Literal[True] | None = None
    period: Annotated[float, Seconds(minimum=0.05, maximum=9)] = 1.0
    timeout: Annotated[float, Seconds(minimum=0.01, maximum=9)] = 1.0
    failures: Annotated[int, Field(ge=1, le=100)] = 3

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.http is None) == (self.tcp is None):
            raise InvalidError("probes nothing, or twice", "either `http: /path` or `tcp: true`")
        if self.period + self.timeout > 9:  # what a probe said is unknown after 10 s (COLUMNS)
            raise InvalidError("probes too seldom: a verdict counts for 10s", "period + timeout at most 9s")
        return self


class Stop(_Part):
    """How an instance ends gracefully.

    Attributes:
        signal: sent first.
        grace: after it, KILL.
    """

    signal: Signal = Signal.TERM
    grace: Annotated[float, Seconds(minimum=0.01, maximum=3600)] = 10.0


class Limits(_Part):
    """What one instance may use: the whole of `memory.ratio` and `cpu.ratio`. Measured against, not enforced.

    Attributes:
        memory: resident bytes; not given: what the machine has.
        cpu: cores; not given: what the machine has.
    """

    memory: Size | None = None
    cpu: Annotated[float, Field(gt=0, le=1024)] | None = None


class Service(_Part):
    """One service.

    Attributes:
        command: argv; never a shell.
        env: all that an instance sees of an environment, beside PATH, HOME, LANG and the listening protocol.
        working_directory: where it runs; relative to the file; not given: the file's directory.
        address, port: where connections are taken; port 0 picks a free one. With `listen: each`, slot n gets port + n.
        protected: why no action may touch it.
    """

    name: Name
    namespace: Name = "default"
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=50)] = Field(default_factory=dict)
    command: Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000)]
    env: Annotated[dict[EnvName, Text], Field(max_length=1000)] = Field(default_factory=dict)
    working_directory: Text = "."
    replicas: Replicas = Replicas()
    listen: Listen = Listen.NONE
    address: str | None = None
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    probe: Probe | None = None
    stop: Stop = Stop()
    limits: Limits = Limits()
    protected: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @field_validator("command")
    @classmethod
    def _program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0]:
            raise InvalidError("starts with nothing", "the program, then its arguments")
        return command

    @field_validator("env")
    @classmethod
    def _unreserved(cls, env: dict[str, str]) -> dict[str, str]:
        if taken := sorted(_RESERVED & env.keys()):
            raise InvalidError(f"sets {taken[0]}", "the supervisor sets it")
        return env

    @field_validator("address")
    @classmethod
    def _literal(cls, address: str | None) -> str | None:
        try:
            return None if address is None else str(ipaddress.ip_address(address))
        except ValueError as error:
            raise InvalidError(f"{address!r} is not an IP address", "like 127.0.0.1 or ::1") from error

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.listen is Listen.NONE and (self.address is not None or self.port is not None):
            raise InvalidError("has an address or a port, and does not listen", "set listen to inherit or each")
        if self.probe is not None and self.listen is Listen.NONE:
            raise InvalidError("has a probe, and does not listen", "set listen to inherit or each")
        if self.probe is not None and self.probe.tcp and self.listen is Listen.INHERIT:
            raise InvalidError(
                "has a tcp probe with listen: inherit, which passes even where every instance hangs: "
                "the system accepts for them",
                "use an http probe, or listen: each",
            )
        if self.listen is Listen.EACH and self.port and self.port + self.replicas.max > 65_536:
            raise InvalidError(f"port {self.port} leaves no room for {self.replicas.max} instances")
        return self

    @property
    def ref(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def host(self) -> str:
        """Where connections are taken."""
        return self.address or "127.0.0.1"

    def fingerprint(self) -> str:
        """Tells apart what instances run: another one means that running instances are replaced."""
        runs = (self.command, sorted(self.env.items()), self.working_directory, self.listen, self.host, self.port)
        return hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:16]


class ServicesFile(_Part):
    """The file."""

    api_version: Literal["gyrostat.dev/v1alpha1"]
    kind: Literal["Services"]
    services: Annotated[tuple[Service, ...], Field(max_length=100)]


def load(path: Path) -> dict[str, Service]:
    """The services of a file by `namespace/name`, each with its working directory made absolute.

    Raises:
        DocumentError: with everything that is wrong; nothing is half loaded.
    """
    try:
        with path.open("rb") as file:
            content = file.read((1 << 20) + 1)
    except OSError as error:
        raise DocumentError([Problem(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    document = parse_document(content, str(path))
    services = validate(document, ServicesFile).services
    base = path.absolute().parent
    placed = [s.model_copy(update={"working_directory": str(base / s.working_directory)}) for s in services]
    if problems := [*_twice(document, placed), *_unusable(document, placed)]:
        raise DocumentError(problems)
    return {service.ref: service for service in placed}


def _twice(document: Document, services: list[Service]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    ports: dict[tuple[str, int], str] = {}
    for index, service in enumerate(services):
        if first.setdefault(service.ref, index) != index:
            yield document.problem(("services", index, "name"), f"{service.ref} is defined twice")
        if not service.port:
            continue
        count = service.replicas.max if service.listen is Listen.EACH else 1
        for port in range(service.port, service.port + count):
            if (other := ports.setdefault((service.host, port), service.ref)) != service.ref:
                yield document.problem(("services", index, "port"), f"port {port} is taken by {other} in this file")
                break


def _unusable(document: Document, services: list[Service]) -> Iterator[Problem]:
    """What the machine does not have."""
    for index, service in enumerate(services):
        folder = Path(service.working_directory)
        if not folder.is_dir():
            yield document.problem(("services", index, "workingDirectory"), f"{folder} is no directory")
            continue
        program = service.command[0]
        path = service.env.get("PATH", os.environ.get("PATH", os.defpath))
        found = shutil.which(folder / program if "/" in program else program, path=path)
        if found is None:
            yield document.problem(("services", index, "command", 0), f"{program!r} is no program that can be run")
