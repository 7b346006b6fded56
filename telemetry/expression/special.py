"""Functions of which the checker looks at more than the types: literals, lists, labels and patterns."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Protocol

from telemetry.expression.hints import duration_literal
from telemetry.expression.ir import Graph, Op
from telemetry.expression.overloads import Type
from telemetry.expression.parse import Form, Syntax
from telemetry.expression.text import MEMBERS, PatternError, predicate
from telemetry.reading import LABEL_MAPS, label_column

MAX_LIST = 256
"""Most members of a list."""
Found = tuple[Type | None, int]
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST = 315_576_000_000.0  # CEL's range: ten thousand years


class Checking(Protocol):
    """What a special function sees of the checker: the tree, and of its nodes so far their types and places."""

    tree: tuple[Syntax, ...]
    types: list[Type | None]
    places: list[int]
    graph: Graph

    def refuse(self, node: Syntax, message: str, hint: str = "") -> tuple[None, int]:
        """Tell a problem."""


def label_of(name: str) -> str | None:
    """The label that a dotted name means: `labels.tier` is `labels["tier"]`."""
    for owner in LABEL_MAPS:
        if name.startswith(f"{owner}."):
            return name.removeprefix(f"{owner}.")
    return None


def read_label(check: Checking, key: str) -> int:
    """The place of a label's column."""
    return check.graph.column(label_column(key).name, is_bool=False)


def _literal(check: Checking, at: int) -> str | None:
    """The text of a literal; None if it is something else."""
    node = check.tree[at]
    return node.value if node.form is Form.LITERAL and isinstance(node.value, str) else None


def _duration(check: Checking, node: Syntax) -> Found:
    text = _literal(check, node.args[0]) if len(node.args) == 1 else None
    hint = "write e.g. duration('90s'), duration('1h30m') or duration('250ms')"
    if text is None:
        return check.refuse(node, "duration() takes one literal in quotes", hint)
    literal, seconds = check.tree[node.args[0]], _seconds(text)
    if seconds is None:
        days = re.fullmatch(r"([0-9]{1,6})(d|min|sec)", text)
        hint = f"write {duration_literal(days[1], days[2])}" if days else hint
        return check.refuse(literal, f"{text!a} is not a duration", hint)
    if abs(seconds) > _LONGEST:
        return check.refuse(literal, "a duration is at most ten thousand years")
    return Type.DURATION, check.graph.number(seconds)


def _list(check: Checking, node: Syntax) -> Found:
    """Its members are read by `in`; here it only has to be one."""
    if not node.args:
        return check.refuse(node, "an empty list holds nothing", "write its members, e.g. ['web', 'api']")
    if len(node.args) > MAX_LIST:
        return check.refuse(node, f"a list has at most {MAX_LIST} members, this one has {len(node.args)}")
    for arg in node.args:
        if check.types[arg] is not None and _constant(check, arg) is None:
            text = "a list holds constants: numbers or text"
            return check.refuse(check.tree[arg], text, "compare with || instead")
    return Type.LIST, 0


def _constant(check: Checking, at: int) -> float | str | None:
    kind, place = check.types[at], check.places[at]
    if kind is Type.STRING:
        return check.graph.text(place)
    return check.graph.constant(place) if kind in (Type.NUMBER, Type.INTEGER) else None


def _in(check: Checking, node: Syntax) -> Found:
    value, where = node.args
    kind, place = check.types[value], check.places[value]
    if kind is None or check.types[where] is None:
        return None, 0
    if check.types[where] is Type.LABELS:
        key = _literal(check, value)
        if key is None:
            return check.refuse(check.tree[value], "`in labels` takes a name in quotes", "write 'tier' in labels")
        return Type.BOOL, check.graph.make(Op.KNOWN, payload=label_column(key).name)
    if check.types[where] is not Type.LIST:
        hint = "write e.g. labels.tier in ['web', 'api']"
        return check.refuse(check.tree[where], f"`in` looks into a list, and this is {check.types[where]}", hint)
    if kind not in (Type.STRING, Type.NUMBER, Type.INTEGER):
        return check.refuse(check.tree[value], f"`in` finds text and numbers, and this is {kind}", "")
    return _among(check, node, kind, place)


def _among(check: Checking, node: Syntax, kind: Type, place: int) -> Found:
    members: list[float | str] = []
    for arg in check.tree[node.args[1]].args:
        member = _constant(check, arg)
        if member is None:
            return None, 0
        if isinstance(member, str) is not (kind is Type.STRING):
            text = f"{kind} is never {check.types[arg]}"
            return check.refuse(check.tree[arg], text, "all members of a list are of one type")
        members.append(member)
    return Type.BOOL, check.graph.among(place, members)


def _index(check: Checking, node: Syntax) -> Found:
    owner, at = node.args
    key = _literal(check, at)
    if check.types[owner] is None or check.types[at] is None:
        return None, 0
    if check.types[owner] is not Type.LABELS:
        return check.refuse(check.tree[owner], "only labels have keys", 'write labels["tier"]')
    if key is None:
        return check.refuse(check.tree[at], "a label is named in quotes", 'write labels["tier"]')
    return Type.STRING, read_label(check, key)


def _has(check: Checking, node: Syntax) -> Found:
    asked = check.tree[node.args[0]] if len(node.args) == 1 else node
    key = label_of(str(asked.value)) if asked.form is Form.NAME else None
    if key is None:
        name = str(asked.value) if asked.form is Form.NAME else "column"
        indexed = asked.value == "_[_]" and asked.form is Form.CALL
        hint = "write 'tier' in labels" if indexed else f"write known({name})"
        return check.refuse(node, "has() asks whether a label is there: has(labels.tier)", hint)
    return Type.BOOL, check.graph.make(Op.KNOWN, payload=label_column(key).name)


def _member(check: Checking, node: Syntax) -> Found:
    function = str(node.value)
    if node.form is not Form.MEMBER or len(node.args) != 2:
        return check.refuse(node, f"{function} is asked of a text", f"write e.g. target.name.{function}('web')")
    value, part = node.args
    if check.types[value] is not Type.STRING:
        return check.refuse(check.tree[value], f"{function}() asks about text, and this is {check.types[value]}")
    text = _literal(check, part)
    if text is None:
        return check.refuse(check.tree[part], f"{function}() takes one literal in quotes", "")
    try:
        question = predicate(function, text)
    except PatternError as error:
        return check.refuse(check.tree[part], f"the pattern is not used: {error}")
    constant = check.graph.text(check.places[value])
    if constant is not None:
        return Type.BOOL, check.graph.truth(question(constant))
    return Type.BOOL, check.graph.make(Op.TEXT, check.places[value], payload=(function, text))


def _seconds(text: str) -> float | None:
    """Seconds of a duration literal such as `1h30m`; None if it is none."""
    body = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text[:1] == "-" else 1.0
    if body == "0":
        return 0.0
    parts = _PART.findall(body)
    if not parts or "".join(amount + unit for amount, unit in parts) != body:
        return None
    return sign * math.fsum(float(amount) * _SECONDS[unit] for amount, unit in parts)


SPECIAL: Mapping[str, Callable[[Checking, Syntax], Found]] = {
    "duration": _duration,
    "[]": _list,
    "@in": _in,
    "_[_]": _index,
    "has": _has,
    **dict.fromkeys(MEMBERS, _member),
}
"""By function."""
