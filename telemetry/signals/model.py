"""The schema of a signals file."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from telemetry.documents import InvalidError, Matching, Seconds
from telemetry.documents.problems import shown
from telemetry.expression import Length

_SECONDS = Seconds(minimum=0.0)


def _constant(value: object) -> float:
    """A number, or a text like `2m`."""
    if isinstance(value, str):
        return Length(_SECONDS(value))
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    raise InvalidError(f"{shown(value)} is no constant", "a number, or a duration like 2m")


SignalName = Annotated[
    str,
    Matching(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,3}", "lower-case words with a dot between, like health.score"),
]
ConstantName = Annotated[str, Matching(r"[a-z][a-z0-9_]{1,60}", "a lower-case word, like queue_reference")]
Constant = Annotated[
    Any,
    BeforeValidator(_constant),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+(d|h|m|s|ms)"}]}),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class SignalSpec(_Part):
    """One signal.

    Attributes:
        kind: type of its value.
        unit: of a number: 1, ratio, 1/s, 1/h, byte or byte/s.
        meaning: one sentence, shown by help and docs.
        is_: the expression.
    """

    kind: Literal["number", "duration", "bool", "string"]
    unit: Literal["1", "ratio", "1/s", "1/h", "byte", "byte/s"] | None = None
    meaning: Annotated[str, Field(min_length=1, max_length=200)]
    is_: str = Field(alias="is")


class SignalsFile(_Part):
    """Signals, and the constants that their expressions name.

    Attributes:
        constants: by name; the same for the expressions of all files.
        signals: by name; one that is built in is replaced.
    """

    api_version: Literal["gyrostat.dev/v1alpha1"]
    kind: Literal["Signals"]
    constants: Annotated[dict[ConstantName, Constant], Field(max_length=200)] = Field(default_factory=dict)
    signals: Annotated[dict[SignalName, SignalSpec], Field(max_length=200)] = Field(default_factory=dict)
