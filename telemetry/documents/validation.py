"""From a document to a model, with every error at its place."""

import json
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from telemetry.documents.positions import Document
from telemetry.documents.problems import MAX_PROBLEMS, DocumentError, Path, Problem, one_of, shown
from telemetry.documents.quantities import InvalidError

Model = TypeVar("Model", bound=BaseModel)

_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
}
_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}


def validate(document: Document, model: type[Model]) -> Model:
    """Turn a document into a model. Types are exact: the text "5" is no number, and null is no value.

    Args:
        document: what was read.
        model: a model that forbids unknown keys.

    Raises:
        DocumentError: with everything that is wrong; never anything else.
    """
    empty = tuple(path for path, value in _walk(document.data) if value is None)
    problems = dict.fromkeys(_no_value(document, path) for path in empty[:MAX_PROBLEMS])
    try:
        # JSON, because only its strict mode reads an enum from its name; aliases only, because one key has one name
        made = model.model_validate_json(json.dumps(document.data), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_PROBLEMS]
        found = (_problem(document, model, detail, empty) for detail in details)
        problems |= dict.fromkeys(problem for problem in found if problem is not None)
    if problems:
        raise DocumentError(problems)
    return made


def _no_value(document: Document, path: Path) -> Problem:
    return document.problem(path, "has no value", "give it one, or leave the key out")


def _walk(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value with its path."""
    yield path, data
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from _walk(value, (*path, key))


def _problem(
    document: Document, model: type[BaseModel], detail: ErrorDetails, empty: tuple[Path, ...]
) -> Problem | None:
    """The error in our words; None where the cause is another error."""
    path = _existing(document.data, detail["loc"])
    kind = detail["type"]
    if path in empty:
        return None
    if kind == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:  # only because its items are wrong
        return None
    if kind == "missing":
        return document.problem((*path, str(detail["loc"][-1])), "is required")
    if kind == "extra_forbidden":
        hint = one_of(_keys(model, path[:-1]), path[-1])
        return document.problem(path, "is an unknown key", hint, key=True)
    cause = detail.get("ctx", {}).get("error")
    if kind == "value_error" and any(at[: len(path)] == path for at in empty):
        return None
    if isinstance(cause, InvalidError) and cause.key:
        path = _existing(document.data, (*path, cause.key))
    message, hint = _words(detail)
    return document.problem(path, message, hint, key=detail["loc"][-1:] == ("[key]",))


def _existing(data: Any, loc: tuple[int | str, ...]) -> Path:
    """The part of pydantic's location that is in the document: it adds names of union members and validators."""
    path: Path = ()
    for part in loc:
        keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
        if part in keys:
            data = data[part]
            path = (*path, part)
    return path


def _words(detail: ErrorDetails) -> tuple[str, str]:
    """Message and hint for an error of the value itself."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        error = context.get("error")
        return str(error), getattr(error, "hint", "")
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{shown(value)} is not allowed", one_of(allowed, value)
    if kind in _BOUNDS:
        bound = next(iter(context.values()))
        return f"{shown(value)} is out of bounds", f"must be {_BOUNDS[kind]} {bound}"
    if kind in ("too_short", "too_long"):
        return _length(kind, value, context)
    wanted = _WANTED.get(kind.removesuffix("_type").removesuffix("_parsing"))
    if wanted is not None:
        hint = "put it in quotes" if wanted == "text" and isinstance(value, int | float) else ""
        return f"must be {wanted}, not {shown(value)}", hint
    return detail["msg"].replace("Input should", "must").replace("Value error, ", ""), ""


def _length(kind: str, value: Any, context: dict[str, Any]) -> tuple[str, str]:
    if kind == "too_long":
        return "has too many entries", f"at most {context['max_length']}"
    return "has too few entries" if value else "is empty", f"at least {context['min_length']}"


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model allows at a path."""
    models = [model]
    for part in path:
        if isinstance(part, int):
            continue
        fields = [
            field for each in models for name, field in each.model_fields.items() if (field.alias or name) == part
        ]
        models = [found for field in fields for found in _models(field.annotation)]
    return sorted({field.alias or name for each in models for name, field in each.model_fields.items()})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation: `tuple[A, ...]`, `A | None`, `dict[str, A]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict, frozenset):
        for argument in get_args(annotation):
            yield from _models(argument)
