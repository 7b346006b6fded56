"""The schema of a policy: pydantic models that are the YAML, and later the custom resource, field for field."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.alias_generators import to_camel

from actions.action import Params
from actions.plan import Undo
from actions.registry import ACTIONS
from policies.windows import check_schedule, zone
from telemetry.documents import Amount, Duration, IntOrPercent, InvalidError, Matching, Seconds
from telemetry.documents.problems import one_of, shown

_DNS = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_WORDS = "letters, digits, - _ . inside, at most 63"

Name = Annotated[str, Matching(_DNS, "lower-case letters, digits, and - inside, at most 63")]
TargetName = Annotated[str, Matching(rf"{_DNS}(\.{_DNS}){{0,3}}", "lower-case letters, digits, and - . inside")]
KindName = Annotated[str, Matching("[A-Z][A-Za-z0-9]{0,62}", "a word in CamelCase, like Service or Deployment")]
LabelKey = Annotated[
    str, Matching(rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL}", f"{_LABEL_WORDS}; a domain and / before it")
]
LabelValue = Annotated[str, Matching(f"({_LABEL})?", _LABEL_WORDS)]
Delay = Annotated[float, Seconds(minimum=0)]
REMEMBERED = 7 * 86_400.0
"""Seconds: budgets look back so far, for the controller remembers its starts no longer."""


class _Part(BaseModel):
    """Base of every part: unknown keys are errors, keys are camelCase, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Metadata(_Part):
    """Names a policy that sees every namespace."""

    name: Name


class NamespacedMetadata(Metadata):
    """Names a policy that sees and touches one namespace."""

    namespace: Name


class Selector(_Part):
    """Chooses by labels.

    Attributes:
        match_labels: every one of them must be there with this value.
    """

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=50)]


class Targets(_Part):
    """Which targets. What is given must all match; to choose everything takes the word `allowAll`.

    Attributes:
        kinds: any of these; any kind if not given.
        selector: by labels.
        names: any of these.
        allow_all: every target of the kinds.
        max: a selection of more is refused whole: somebody chose more than they meant.
    """

    kinds: Annotated[tuple[KindName, ...] | None, Field(min_length=1, max_length=50)] = None
    selector: Selector | None = None
    names: Annotated[tuple[TargetName, ...] | None, Field(min_length=1, max_length=1000)] = None
    allow_all: bool = False
    max: Annotated[int, Field(ge=1, le=100_000)] = 500

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        chosen = self.names is not None or self.selector is not None
        if not chosen and not self.allow_all:
            raise InvalidError("chooses nothing", "selector.matchLabels or names, or allowAll: true for every target")
        if chosen and self.allow_all:
            raise InvalidError("chooses all and some", "either allowAll, or selector and names", "allowAll")
        return self


class Limit(_Part):
    """At most `max` starts in any time of length `per`."""

    max: Annotated[int, Field(ge=1, le=10_000)]
    per: Annotated[float, Seconds(maximum=REMEMBERED)]


class Throttle(_Part):
    """How often, and how many at once.

    Attributes:
        cooldown: between two starts on one target.
        limits: starts of this policy, all targets together.
        max_concurrent: attempts of this policy under way at once.
        max_unavailable: instances of a target that may be down at once by our doing.
    """

    cooldown: Annotated[float, Seconds(minimum=0, maximum=REMEMBERED)] = 600.0
    limits: Annotated[tuple[Limit, ...], Field(min_length=1, max_length=10)] | None = None
    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 1
    max_unavailable: IntOrPercent = Amount(1)


class WindowSpec(_Part):
    """A time that comes by a cron schedule and lasts."""

    schedule: Annotated[str, AfterValidator(check_schedule)]
    duration: Duration
    time_zone: Annotated[str, AfterValidator(lambda name: zone(name).key)] = "UTC"


Windows = Annotated[tuple[WindowSpec, ...], Field(min_length=1, max_length=20)]


class Verify(_Part):
    """When an attempt is judged by `until`.

    Attributes:
        initial_delay: nothing is read before.
        within: by then `until` must hold.
    """

    initial_delay: Delay = 10.0
    within: Duration = 300.0

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.initial_delay >= self.within:
            raise InvalidError("leaves no time to look", "it must be shorter than within", "initialDelay")
        return self


class ActionBase(_Part):
    """What to do: a type, and its parameters under the type's own name.

    Attributes:
        hold: how long a success stays before it is lifted again.
    """

    type: str
    hold: Duration | None = None

    @property
    def params(self) -> Params:
        """The parameters of its type."""
        given = getattr(self, _key(self.type))
        return given if given is not None else ACTIONS[self.type].params()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        key = _key(self.type)
        for other in ACTIONS:
            if other != self.type and getattr(self, _key(other)) is not None:
                raise InvalidError(
                    f"these are parameters of {other}, but the type is {self.type}", f"give {key}", _key(other)
                )
        if self.hold is not None and ACTIONS[self.type].undo is not Undo.REVERSIBLE:
            raise InvalidError(f"{self.type} leaves nothing that could be lifted after a hold", "leave it out", "hold")
        try:
            _ = self.params
        except ValidationError as error:
            why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise InvalidError(f"{self.type} needs {key}: {why}") from None
        return self


def _exists(name: object) -> object:
    """The name of an action that exists; what is near in letters may be far in meaning, so little is guessed."""
    if not isinstance(name, str) or name not in ACTIONS:
        raise InvalidError(f"there is no action {shown(name)}", one_of(ACTIONS, name, cutoff=0.85))
    return name


def _key(name: str) -> str:
    """The key under which an action's parameters stand: `HealthCheck` has `healthCheck`."""
    return name[0].lower() + name[1:]


def _entry() -> type[ActionBase]:
    """The model of an action entry, with one field for each action that exists."""
    fields: dict[str, Any] = {"type": (Annotated[Literal[tuple(ACTIONS)], BeforeValidator(_exists)], ...)}
    fields |= {_key(name): (action.params | None, None) for name, action in ACTIONS.items()}
    return create_model("ActionEntry", __base__=ActionBase, __doc__=ActionBase.__doc__, **fields)


if TYPE_CHECKING:
    ActionEntry = ActionBase
else:
    ActionEntry = _entry()


class Spec(_Part):
    """When, what, how sure, how often, how checked.

    Attributes:
        mode: what it may do by itself.
        targets: which.
        when: the condition.
        until: when it is over, and what verification asks; if not given: when `when` is surely false.
        for_: how long `when` must hold.
        min_samples: behind each column that `when` reads.
        min_confidence_percent: below it nothing is done.
        severity, priority: which of two wishes comes first.
        action: one remedy.
        actions: a ladder of remedies instead.
        allow_irreversible: one of them may destroy data.
        throttle, active_windows, blackouts: how often, and at what times.
        verify, on_failure: how it is checked, and what follows if it did not help.
    """

    mode: Literal["Observe", "Recommend", "Approve", "Enforce"] = "Observe"
    targets: Targets
    when: str
    until: str | None = None
    for_: Delay = Field(30.0, alias="for")
    min_samples: Annotated[int, Field(ge=0, le=10**9)] = 0
    min_confidence_percent: Annotated[int, Field(ge=0, le=100)] = 70
    severity: Literal["Info", "Warning", "Critical"] = "Warning"
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    action: ActionEntry | None = None
    actions: Annotated[tuple[ActionEntry, ...], Field(min_length=1, max_length=10)] | None = None
    allow_irreversible: bool = False
    throttle: Throttle = Throttle()
    active_windows: Windows | None = None
    blackouts: Windows | None = None
    verify: Verify = Verify()
    on_failure: Literal["Rollback", "Escalate", "Next"] | None = None

    @property
    def ladder(self) -> tuple[ActionBase, ...]:
        """The remedies, first one first."""
        return self.actions or ((self.action,) if self.action is not None else ())

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.action is None) == (self.actions is None):
            raise InvalidError("needs one of action and actions", "action: one remedy; actions: a ladder of several")
        rungs = self.ladder
        if self.on_failure == "Next" and len(rungs) == 1:
            raise InvalidError("there is no next action", "give actions: two or more", "onFailure")
        last_looks = all(rung.type == "HealthCheck" for rung in rungs[:-1])  # a failed look goes on by itself
        if self.on_failure in ("Rollback", "Escalate") and not last_looks:
            raise InvalidError(f"with {self.on_failure} the later actions are never reached", "use Next", "onFailure")
        destroys = any(ACTIONS[rung.type].undo is Undo.IRREVERSIBLE for rung in rungs)
        if self.allow_irreversible and not destroys:
            raise InvalidError("no action here destroys anything", "leave it out", "allowIrreversible")
        return self


class _Document(_Part):
    api_version: Literal["gyrostat.dev/v1alpha1"]
    spec: Spec


class RemediationPolicy(_Document):
    """A policy that sees and touches its own namespace only."""

    kind: Literal["RemediationPolicy"]
    metadata: NamespacedMetadata


class ClusterRemediationPolicy(_Document):
    """A policy that sees and touches every namespace."""

    kind: Literal["ClusterRemediationPolicy"]
    metadata: Metadata


KINDS: dict[str, type[RemediationPolicy] | type[ClusterRemediationPolicy]] = {
    "RemediationPolicy": RemediationPolicy,
    "ClusterRemediationPolicy": ClusterRemediationPolicy,
}
"""The model of each kind."""
