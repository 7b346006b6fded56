"""Quantities as people write them: `1h30m`, `200Mi`, `10%`. A bare number has no unit, so it is refused."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from telemetry.documents.problems import shown

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?")
_DURATION_PATTERN = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
_SIZES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}
_SIZE = re.compile(r"([0-9]{1,15})(k|M|G|T|Ki|Mi|Gi|Ti)")
_AMOUNT = re.compile(r"([0-9]{1,3})%")


class InvalidError(ValueError):
    """A value that a model refuses.

    Attributes:
        hint: what is allowed.
        key: which key of the refused mapping is to blame; empty for the whole.
    """

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key


def format_duration(seconds: float) -> str:
    """The shortest way to write these seconds, to the millisecond: `90` is `1m30s`."""
    left, text = round(seconds * 1000), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, round(size * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True, slots=True)
class Seconds:
    """Marks a float field as a duration with bounds: `Annotated[float, Seconds(minimum=0)]`.

    Attributes:
        minimum, maximum: seconds, both allowed.
    """

    minimum: float = 0.001
    maximum: float = 366 * 86400.0

    def __call__(self, value: object) -> float:
        """Seconds of a text like `1h30m`.

        Raises:
            InvalidError: it is no duration, or out of bounds.
        """
        found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if found is None:
            raise InvalidError(f"{shown(value)} is not a duration", "like 30s, 5m, 1h30m or 1d; units d h m s ms")
        counts = zip(found.groups(), _UNITS.values(), strict=True)
        seconds = round(sum(int(count) * unit for count, unit in counts if count), 3)
        if not self.minimum <= seconds <= self.maximum:
            allowed = f"from {format_duration(self.minimum)} to {format_duration(self.maximum)}"
            raise InvalidError(f"{value} is out of bounds", allowed)
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse before the float is checked."""
        return core_schema.no_info_before_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """In a document a duration is text."""
        return {"type": "string", "pattern": _DURATION_PATTERN, "minLength": 2, "maxLength": 42}


@dataclass(frozen=True, slots=True)
class Matching:
    """Marks a text field that must have a form: `Annotated[str, Matching("[a-z]+", "lower-case letters")]`.

    Attributes:
        pattern: a regular expression over the whole text.
        allowed: the same in words.
    """

    pattern: str
    allowed: str

    def __call__(self, value: object) -> object:
        """The text itself; what is no text is left to the field's type.

        Raises:
            InvalidError: it has another form.
        """
        if isinstance(value, str) and re.fullmatch(self.pattern, value) is None:
            raise InvalidError(f"{shown(value)} is not allowed", self.allowed)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Look at the form before anything else."""
        return core_schema.no_info_before_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The pattern belongs to the schema."""
        return {"type": "string", "pattern": f"^({self.pattern})$"}


Duration = Annotated[float, Seconds()]
"""A duration longer than zero, as seconds."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Marks an int field as a size with bounds: `Annotated[int, Bytes(minimum=1)]`.

    Attributes:
        minimum, maximum: bytes, both allowed.
    """

    minimum: int = 1
    maximum: int = 1 << 60

    def __call__(self, value: object) -> int:
        """Bytes of a text like `200Mi`.

        Raises:
            InvalidError: it is no size, or out of bounds.
        """
        found = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise InvalidError(f"{shown(value)} is not a size", "like 200Mi or 1Gi; units Ki Mi Gi Ti k M G T")
        size = int(found[1]) * _SIZES[found[2]]
        if not self.minimum <= size <= self.maximum:
            raise InvalidError(f"{value} is out of bounds", f"from {self.minimum} to {self.maximum} bytes")
        return size

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse before the int is checked."""
        return core_schema.no_info_before_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """In a document a size is text."""
        return {"type": "string", "pattern": f"^{_SIZE.pattern}$"}


Size = Annotated[int, Bytes()]
"""A size of at least one byte, as bytes."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many, or so many of a hundred.

    Attributes:
        number: how many, or how many percent.
        percent: which of both.
    """

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """How many that is of `total`; a fraction is rounded down, so that a budget is never exceeded."""
        return self.number * total // 100 if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


def _amount(value: object) -> Amount:
    if isinstance(value, Amount):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000:  # more is a typing error
        return Amount(value)
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) > 100:
        raise InvalidError(f"{shown(value)} is neither a number nor a percentage", "a number from 0, or 0% to 100%")
    return Amount(int(found[1]), percent=True)


IntOrPercent = Annotated[
    Amount,
    BeforeValidator(_amount),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^(100|0?[0-9]{1,2})%$"}]}
    ),
]
"""A number from 0, or a whole percentage."""
