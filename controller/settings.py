"""Settings of this process: flags, then `GYROSTAT_*`, then a file, then defaults. Unknown names are errors everywhere.

How policies act is written in policies; here stands only what bounds all of them, and where this process finds things.
"""

import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from controller.setting_values import (
    PoliciesPath,
    SomePath,
    Span,
    host_and_port,
    key,
    loopback,
    schedule,
    some_namespaces,
)
from telemetry.documents import DocumentError, InvalidError, Problem, Seconds, parse, validate
from telemetry.documents.files import read_file
from telemetry.documents.problems import legible, one_of, shown
from telemetry.documents.quantities import format_duration

if TYPE_CHECKING:
    from controller.core.wish import Limits

PREFIX = "GYROSTAT_"
FILE = "gyrostat.yaml"
STORE = "trail.db"
"""Names in the state directory: the settings file that is found by itself, and the store."""
_CONFIG = PREFIX + "CONFIG"  # names the file, so it can not stand in it
_NOT_SETTINGS = ("config",)
FLAGS = {"mode_cap": "--mode"}
"""Flags that are not named like their key."""


class SettingsError(ValueError):
    """Settings that are not used at all, with everything that is wrong with them.

    Attributes:
        problems: one line each, saying where, what, and what is allowed.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Keys(BaseModel):
    """Every key, with its meaning, default, reason and bounds; `table` prints them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: SomePath = key(
        Path(".gyrostat"),
        "directory of the store, its keys and the sockets of loop and supervisor",
        "beside the services file it belongs to, so that two projects never share one",
    )
    services: SomePath | None = key(
        None, "services file; the loop starts its supervisor if none runs", "without it the running supervisor is used"
    )
    policies: PoliciesPath | None = key(
        None,
        "policy file, directory of policy files, or the word library for those of the build",
        "without policies the loop only watches",
    )
    signals: SomePath | None = key(
        None,
        "directory of signals files, over those of the build",
        "the health score and the patterns of the build do without",
    )
    interval: Annotated[float, Span(0.05, 60.0)] = key(
        1.0, "time between two ticks", "a sick instance is seen within a second, at about 1 % of a core"
    )
    mode_cap: Literal["Observe", "Recommend", "Approve", "Enforce"] = key(
        "Enforce", "no policy acts above this mode", "what a policy may do is written in the policy"
    )
    dry_run: bool = key(False, "decide as always, write nothing to any target", "a policy's own default is Observe")
    dry_run_server: bool = key(
        False,
        "in a dry run, the API server goes the whole way with each write, admission included, and keeps nothing",
        "a look asks nothing of the cluster that stands in its audit log as a write",
    )
    max_concurrent: Annotated[int, Field(ge=1, le=100)] = key(
        3, "attempts under way at once, over all policies", "three mistakes at once can still be watched by one person"
    )
    attempts: Annotated[int, Field(ge=1, le=100)] = key(
        3, "attempts in a row that may fail before a human is asked", "what failed three times is not cured by a fourth"
    )
    backoff_first: Annotated[float, Span(1.0, 7 * 86_400.0)] = key(
        600.0, "wait after the first failed attempt, doubled by each further one", "as long as the default cooldown"
    )
    backoff_max: Annotated[float, Span(1.0, 7 * 86_400.0)] = key(
        86_400.0, "longest wait after a failed attempt", "somebody looks at least once a day"
    )
    warmup: Annotated[float, Span(0.0, 3_600.0)] = key(
        10.0, "time after taking the lead in which nothing new starts", "two windows of the local probes"
    )
    facts_stale: Annotated[float, Span(1.0, 600.0)] = key(
        10.0,
        "age above which what the platform said is too old to act on",
        "ten missed answers at the default pace",
    )
    max_open_episodes: Annotated[int, Field(ge=1, le=10_000)] = key(
        200, "open episodes per policy; more are counted, not opened", "more can neither be acted on nor read"
    )
    storm_share: Annotated[int, Field(ge=1, le=90)] = key(
        30,
        "percent of a namespace or platform that may be sick or unknown; above, nothing new starts there",
        "so many at once have a common cause, which healing one by one does not reach",
    )
    storm_targets: Annotated[int, Field(ge=2, le=10_000)] = key(
        5, "fewer sick or unknown targets are no storm", "one of three is 33 %, and no storm"
    )
    storm_calm: Annotated[float, Span(60.0, 86_400.0)] = key(
        600.0, "calm after which a storm is over", "longer than caches and connections take to warm up again"
    )
    own_failures: Annotated[int, Field(ge=2, le=5)] = key(
        3,
        "of our last 5 actions, how many that did not help stop us until `auto ack own-storm`, or for `storm_calm`",
        "who is wrong more often than right does not understand what is wrong",
    )
    turn_spacing: Annotated[float, Span(3_600.0, 7 * 86_400.0)] = key(
        3_600.0,
        "time before a field that went one way may go the other way again, doubled by each further pair of turns",
        "at most two changes of direction in an hour",
    )
    call_timeout: Annotated[float, Span(0.1, 60.0)] = key(
        5.0, "longest wait for one answer of a platform", "a local answer takes a millisecond; then it is unknown"
    )
    checkpoint_records: Annotated[int, Field(ge=10, le=1_000_000)] = key(
        10_000, "records between two signed checkpoints", "a restart then reads a tenth of a second of trail"
    )
    checkpoint_every: Annotated[float, Span(1.0, 86_400.0)] = key(
        300.0, "time between two signed checkpoints while there is news", "a cut tail shows after five minutes"
    )
    verify_trail: Annotated[str, AfterValidator(schedule)] = key(
        "17 3 * * *",
        "cron schedule (UTC) at which the whole trail is verified, or off; one that does not verify pauses the loop",
        "every night, off the full hour at which everything else begins",
    )
    metrics: Annotated[str, AfterValidator(loopback)] = key(
        "127.0.0.1:0",
        "address of /metrics, /healthz and /readyz, or off; port 0 takes a free one, `auto status` says which",
        "loopback, because it is not authenticated; any port, so that two loops never clash",
    )
    otlp: Annotated[str, AfterValidator(loopback)] = key(
        "127.0.0.1:4318",
        "address at which OTLP over HTTP is received, or off; where the default is taken, the loop goes on without",
        "where every SDK sends by itself; loopback, because senders are not authenticated",
    )
    kubernetes: Annotated[str, Field(min_length=1)] = key(
        "off",
        "the cluster to look after: off, in-cluster by the pod's own account, or a kubeconfig file",
        "the processes of this machine need none",
    )
    namespaces: Annotated[str, AfterValidator(some_namespaces)] = key(
        "",
        "namespaces of the cluster to look at, commas between them; empty for every one",
        "access rules bound it too",
    )
    log_level: Literal["debug", "info", "warning", "error"] = key(
        "info", "least severe line of the log that is written to stderr", "one line per record, none per tick"
    )
    log_format: Literal["auto", "console", "json"] = key(
        "auto", "how log lines look: auto is console on a terminal, else json", "people read terminals, machines pipes"
    )


_file_values: ContextVar[Mapping[str, Any]] = ContextVar("_file_values", default=MappingProxyType({}))


class _FileSource(PydanticBaseSettingsSource):
    """The values of a settings file that `load` read and checked before."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The raw value of one key, its name, and that it is not to be decoded further."""
        del field
        return _file_values.get().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All raw values."""
        return dict(_file_values.get())


class Settings(BaseSettings, Keys):
    """What is in force. Made by `load`, which also says where a bad value came from."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then file."""
        del others, named
        return init_settings, env_settings, _FileSource(settings_cls)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, name: str) -> str:
        """Where the value of a key came from: flag, environment, file or default."""
        return self._origins.get(name, "default")

    @property
    def limits(self) -> "Limits":
        """The bounds that the decision goes by."""
        from controller.core.wish import Limits  # noqa: PLC0415 - the CLI reads settings without the core
        from policies.policy import Mode  # noqa: PLC0415

        names = Limits.__dataclass_fields__
        values = {name: getattr(self, name) for name in names}
        values |= {"mode_cap": Mode[self.mode_cap.upper()], "storm_share": self.storm_share / 100}
        return Limits(**values)

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port to serve metrics at; None when off."""
        return host_and_port(self.metrics)

    @property
    def otlp_address(self) -> tuple[str, int] | None:
        """Host and port to receive OTLP at; None when off."""
        return host_and_port(self.otlp)


def load(flags: Mapping[str, Any] = MappingProxyType({}), config: Path | None = None) -> Settings:
    """The settings in force.

    Args:
        flags: key to what was given on the command line; None where a flag was not given.
        config: settings file; otherwise `GYROSTAT_CONFIG`, else `gyrostat.yaml` in the state directory if it exists.

    Raises:
        SettingsError: with everything that is wrong, of flags, environment and file.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    problems = list(_unknown_names())
    values: Mapping[str, Any] = {}
    try:
        values = _read(config, given)
    except DocumentError as error:
        problems += [str(problem) for problem in error.problems]
    token = _file_values.set(values)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems += dict.fromkeys(_in_words(detail, given) for detail in error.errors(include_url=False))
    finally:
        _file_values.reset(token)
    if not problems and settings.backoff_first > settings.backoff_max:
        first, longest = format_duration(settings.backoff_first), format_duration(settings.backoff_max)
        problems.append(f"backoff_first: {first} is longer than backoff_max, {longest}")
    if not problems and settings.dry_run_server and (not settings.dry_run or settings.kubernetes == "off"):
        problems.append("dry_run_server: it is a part of a dry run in a cluster: set dry_run and kubernetes, too")
    if problems:
        raise SettingsError(tuple(problems))
    variables = {name.upper().removeprefix(PREFIX).lower() for name in os.environ if name.upper().startswith(PREFIX)}
    for source, names in (("file", values), ("environment", variables), ("flag", given)):
        settings._origins.update(dict.fromkeys(names, source))  # noqa: SLF001 - load is its constructor
    return settings


def allowed(name: str) -> str:
    """The values that a key takes, in words."""
    field = Keys.model_fields[name]
    for mark in field.metadata:
        if isinstance(mark, Seconds):
            return f"from {format_duration(mark.minimum)} to {format_duration(mark.maximum)}; a bare number is seconds"
    bounds = [getattr(mark, side) for side in ("ge", "le") for mark in field.metadata if hasattr(mark, side)]
    if bounds:
        return f"a whole number from {bounds[0]} to {bounds[1]}"
    if field.annotation is bool:
        return "true or false"
    names = get_args(field.annotation)
    if all(isinstance(name, str) for name in names) and names:
        return ", ".join(names)
    address = "off, a loopback host:port, or everywhere:port"
    words = {"metrics": address, "otlp": address, "verify_trail": "off, or five fields of cron"}
    words |= {"kubernetes": "off, in-cluster, or a path", "namespaces": "names, or nothing"}
    return words.get(name, "a path")


def _unknown_names() -> Iterator[str]:
    """A misspelt variable would silently leave a bound at its default."""
    known = [*Keys.model_fields, *_NOT_SETTINGS]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX).lower()
        if not variable.upper().startswith(PREFIX) or name in known:
            continue
        near = [f"did you mean {PREFIX}{match.upper()}?" for match in get_close_matches(name, known, n=1)]
        yield f"{legible(variable)}: is no setting ({near[0] if near else '`auto settings` lists them all'})"


def _read(config: Path | None, flags: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of the settings file, checked alone, with paths relative to it.

    Raises:
        DocumentError: it cannot be read, or something in it is wrong.
    """
    named = config or (Path(os.environ[_CONFIG]) if os.environ.get(_CONFIG) else None)
    state = Path(flags.get("state") or os.environ.get(PREFIX + "STATE") or Keys.model_fields["state"].default)
    path = named or state / FILE
    if named is None and not _exists(path):
        return {}
    document = parse(read_file(path), str(path))
    if named is None and isinstance(document.data, dict) and "state" in document.data:
        hint = "leave it out, or name the file with --config"
        raise DocumentError([document.problem(("state",), "stands in the file that was found by it", hint, key=True)])
    checked = validate(document, Keys)
    values = checked.model_dump(exclude_unset=True)
    return {name: path.parent / value if isinstance(value, Path) else value for name, value in values.items()}


def _exists(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        DocumentError: there can be none of such a name, or nobody may look.
    """
    try:
        return path.exists()
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise DocumentError([Problem(str(path), 1, 1, "", reason)]) from None


def _in_words(detail: ErrorDetails, flags: Mapping[str, Any]) -> str:
    """One line for a bad flag or variable."""
    name = str(detail["loc"][0]) if detail["loc"] else ""
    if name not in Keys.model_fields:
        return f"{name}: is no setting ({one_of(Keys.model_fields, name)})"
    label = FLAGS.get(name, "--" + name.replace("_", "-")) if name in flags else PREFIX + name.upper()
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, InvalidError) and name in ("metrics", "otlp", "verify_trail", "namespaces"):
        return f"{label}: {error} ({error.hint})"
    return f"{label}: {shown(detail['input'])} is not allowed ({_meant(name, detail['input'])})"


def _meant(name: str, value: object) -> str:
    """What is allowed, with the nearest first where it is a choice."""
    choices = get_args(Keys.model_fields[name].annotation)
    return one_of(choices, value) if choices and isinstance(choices[0], str) else allowed(name)
