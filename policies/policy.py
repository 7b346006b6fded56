"""A policy as the engine uses it: checked, compiled, frozen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from actions.action import Params
from actions.registry import ACTIONS
from policies.model import KINDS, ClusterRemediationPolicy, RemediationPolicy, Spec
from policies.windows import Window, zone
from telemetry.documents import Amount, Document, DocumentError, Problem, parse, validate
from telemetry.documents.problems import one_of, shown
from telemetry.expression import Condition, ExpressionError, compile_condition
from telemetry.inventory import Facts
from telemetry.signals.definitions import NONE, Definitions, pack, unpack
from telemetry.target import Target

_SIGNALS = "signals"  # a key of `content` only: the model knows no such key


class Mode(IntEnum):
    """What a policy may do by itself, from least to most."""

    OBSERVE = 0  # writes down what it would do
    RECOMMEND = 1  # says it to people
    APPROVE = 2  # does it once a person said yes
    ENFORCE = 3  # does it

    @property
    def label(self) -> str:
        """How YAML and people write it."""
        return self.name.capitalize()


class Severity(IntEnum):
    """How bad it is when the condition holds; the first part of the rank of a wish."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def label(self) -> str:
        """How YAML and people write it."""
        return self.name.capitalize()


class OnFailure(StrEnum):
    """What follows an attempt that did not help."""

    ROLLBACK = "Rollback"  # put back; where there is nothing to put back: wait longer, try again, then ask a person
    ESCALATE = "Escalate"  # ask a person
    NEXT = "Next"  # put back, then the next rung


@dataclass(frozen=True, slots=True)
class Rung:
    """One remedy of the ladder.

    Attributes:
        hold: seconds that a success is held; None takes the action's own default.
        allow_irreversible: the policy accepts that it destroys data.
    """

    action: str
    params: Params
    hold: float | None = None
    allow_irreversible: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` starts in any `per` seconds."""

    max: int
    per: float


@dataclass(frozen=True, slots=True)
class Throttle:
    """How often, and how many at once.

    Attributes:
        cooldown: seconds between two starts on one target.
        limits: starts of the policy, all targets together.
        max_concurrent: attempts of the policy under way at once.
        max_unavailable: instances of a target that may be down at once.
    """

    cooldown: float
    limits: tuple[Limit, ...]
    max_concurrent: int
    max_unavailable: Amount


@dataclass(frozen=True, slots=True)
class Selector:
    """Which targets; None does not restrict.

    Attributes:
        namespace: the only one of a namespaced policy.
        labels: each must be there with this value.
        max: a selection of more is refused whole.
    """

    namespace: str | None
    kinds: frozenset[str] | None
    names: frozenset[str] | None
    labels: Mapping[str, str]
    max: int


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy; two are equal if their documents are.

    Attributes:
        name: `namespace/name`, or `name` of a policy that sees every namespace.
        namespace: the only one that it may see and touch; None: every one.
        hash: SHA-256 of `content`, in hex.
        content: the document as canonical JSON, with the signals that it reads; `compile_policy` reads it back.
        delay: seconds that `when` must hold.
        min_confidence: 0..1.
        rungs: the ladder of remedies; never empty.
        initial_delay, within: seconds after a start before `until` is read, and by which it must hold.
        until: if the document has none, it is true where `when` is surely false.
    """

    name: str
    namespace: str | None
    hash: str
    content: str
    mode: Mode
    selector: Selector
    when: Condition
    until: Condition
    delay: float
    min_samples: int
    min_confidence: float
    severity: Severity
    priority: int
    rungs: tuple[Rung, ...]
    throttle: Throttle
    initial_delay: float
    within: float
    on_failure: OnFailure
    active_windows: tuple[Window, ...]
    blackouts: tuple[Window, ...]

    @property
    def has_until(self) -> bool:
        """Whether `until` was given; if not, its answer is the opposite of that of `when`."""
        return self.until.source != _opposite(self.when.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def selects(self, target: Target, facts: Facts) -> bool:
        """Whether the policy is about this target."""
        chosen = self.selector
        return (
            chosen.namespace in (None, target.namespace)
            and (chosen.kinds is None or target.kind in chosen.kinds)
            and (chosen.names is None or target.name in chosen.names)
            and all(facts.labels.get(key) == value for key, value in chosen.labels.items())
        )

    def open_at(self, now: float) -> bool:
        """Whether it may start anything at this epoch second."""
        allowed = not self.active_windows or any(window.open_at(now) for window in self.active_windows)
        return allowed and not any(window.open_at(now) for window in self.blackouts)


def allowed_unavailable(limit: Amount, desired: int) -> int:
    """How many of `desired` instances may be down at once; a share is rounded down."""
    return limit.of(desired)


def compile_policy(source: Document | str, file: str = "", signals: Definitions = NONE) -> Policy:
    """Check and compile one policy.

    Args:
        source: a document, or the `content` of a policy from the trail.
        file: name for messages about a `content`.
        signals: that a document may read; a `content` holds its own.

    Raises:
        DocumentError: with everything that is wrong with it.
    """
    document = source if isinstance(source, Document) else parse(source, file)
    if not isinstance(source, Document):
        document, signals = _unpacked(document)
    data = document.data
    spec = data.get("spec") if isinstance(data, dict) else None
    conditions, problems = _conditions(document, spec if isinstance(spec, dict) else {}, signals)
    try:
        model = validate(document, _kind(document))
    except DocumentError as error:
        raise DocumentError((*problems, *error.problems)) from None
    if problems:
        raise DocumentError(problems)
    read = signals.closure(name for condition in conditions.values() for name in condition.signals)
    content = {**data, _SIGNALS: pack(read)} if read else data
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _compiled(model, conditions, text)


def _unpacked(document: Document) -> tuple[Document, Definitions]:
    """A `content` without the signals in it, and those; it means what it meant when it was written."""
    data = document.data
    packed = data.get(_SIGNALS, {}) if isinstance(data, dict) else {}
    try:
        signals = unpack(packed)
    except ValueError as error:
        raise DocumentError([document.problem((_SIGNALS,), str(error))]) from error
    bare = {key: value for key, value in data.items() if key != _SIGNALS} if isinstance(data, dict) else data
    return Document(document.file, bare, document.text, document.spans), signals


def _kind(document: Document) -> type[RemediationPolicy | ClusterRemediationPolicy]:
    """The model by the document's kind."""
    data = document.data
    if not isinstance(data, dict):
        raise DocumentError([document.problem((), f"must be a mapping, not {shown(data)}")])
    kind = data.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is not None:
        return model
    message = "is required" if kind is None else f"{shown(kind)} is not allowed"
    raise DocumentError([document.problem(("kind",), message, one_of(KINDS, kind))])


def _conditions(
    document: Document, spec: dict[str, Any], signals: Definitions
) -> tuple[dict[str, Condition], list[Problem]]:
    """The compiled `when` and `until`, and what is wrong with them; what is no text is left to the model."""
    sources = {key: spec[key] for key in ("when", "until") if isinstance(spec.get(key), str)}
    compiled, problems = {}, list[Problem]()
    for key, source in sources.items():
        try:
            compiled[key] = compile_condition(source, signals=signals.derived)
        except ExpressionError as error:
            problems += _problems(document, ("spec", key), error)
        else:
            if not compiled[key].columns:
                problems.append(document.problem(("spec", key), "is the same for every target", "read a column"))
    if "when" in compiled and "until" not in spec:
        try:
            compiled["until"] = compile_condition(_opposite(sources["when"]), signals=signals.derived)
        except ExpressionError:
            problems.append(document.problem(("spec", "when"), "is too long or too deep to be negated", "give until"))
    return compiled, problems


def _opposite(when: str) -> str:
    return f"!({when}\n)"  # the line break ends a comment


def _problems(document: Document, path: tuple[str, ...], error: ExpressionError) -> list[Problem]:
    """The errors of an expression at their places in the file."""
    cut = "YAML ends plain text at ' #': write it as a block, `when: |`" if document.is_cut(path) else ""
    return [document.problem(path, p.message, cut or p.hint, offset=p.offset) for p in error.problems]


def _compiled(
    model: RemediationPolicy | ClusterRemediationPolicy, conditions: Mapping[str, Condition], content: str
) -> Policy:
    spec = model.spec
    namespace = model.metadata.namespace if isinstance(model, RemediationPolicy) else None
    return Policy(
        name=f"{namespace}/{model.metadata.name}" if namespace else model.metadata.name,
        namespace=namespace,
        hash=hashlib.sha256(content.encode()).hexdigest(),
        content=content,
        mode=Mode[spec.mode.upper()],
        selector=_selector(spec, namespace),
        when=conditions["when"],
        until=conditions["until"],
        delay=spec.for_,
        min_samples=spec.min_samples,
        min_confidence=spec.min_confidence_percent / 100,
        severity=Severity[spec.severity.upper()],
        priority=spec.priority,
        rungs=_rungs(spec),
        throttle=_throttle(spec),
        initial_delay=spec.verify.initial_delay,
        within=spec.verify.within,
        on_failure=OnFailure(spec.on_failure or ("Next" if len(spec.ladder) > 1 else "Rollback")),
        active_windows=_windows(spec, "active_windows"),
        blackouts=_windows(spec, "blackouts"),
    )


def _selector(spec: Spec, namespace: str | None) -> Selector:
    targets = spec.targets
    return Selector(
        namespace=namespace,
        kinds=frozenset(targets.kinds) if targets.kinds is not None else None,
        names=frozenset(targets.names) if targets.names is not None else None,
        labels=targets.selector.match_labels if targets.selector is not None else {},
        max=targets.max,
    )


def _rungs(spec: Spec) -> tuple[Rung, ...]:
    """The ladder; a look that says `then` is two rungs, for what follows is an intent of its own."""
    rungs: list[Rung] = []
    for entry in spec.ladder:
        rungs.append(Rung(entry.type, entry.params, entry.hold, spec.allow_irreversible))
        then = getattr(entry.params, "then", None)
        if then is not None:
            rungs.append(Rung(then, ACTIONS[then].params(), None, spec.allow_irreversible))
    return tuple(rungs)


def _throttle(spec: Spec) -> Throttle:
    given = spec.throttle
    limits = tuple(Limit(limit.max, limit.per) for limit in given.limits or ())
    return Throttle(given.cooldown, limits, given.max_concurrent, given.max_unavailable)


def _windows(spec: Spec, name: str) -> tuple[Window, ...]:
    return tuple(Window(w.schedule, w.duration, zone(w.time_zone)) for w in getattr(spec, name) or ())
