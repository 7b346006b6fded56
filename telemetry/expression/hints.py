"""What the author probably meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_WORDS = {
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not",
    "AND": "write && for and",
    "OR": "write || for or",
    "NOT": "write ! for not",
    "=": "write == to compare",
    "&": "write && for and",
    "|": "write || for or",
    "null": "there is no null: a cell is known or not; write !known(column)",
    "None": "there is no null: a cell is known or not; write !known(column)",
    "is": "write == to compare",
    "if": "write condition ? a : b",
    "{": "maps and templates do not exist here",
    "^": "there is no power operator; multiply",
    "%": "there is no remainder operator; a ratio is 0..1, so 60% is 0.6",
}
_UNITS = {"d", "h", "m", "min", "s", "sec", "ms", "us", "ns"}
_SIZES = {"k": 1e3, "K": 1e3, "Ki": 2**10, "M": 1e6, "Mi": 2**20, "G": 1e9, "Gi": 2**30, "T": 1e12, "Ti": 2**40}
_CALLS = {
    "defined": "write known(column)",
    "isnan": "write !known(column)",
    "abs": "write max(x, -x)",
    "int": "numbers need no conversion",
    "double": "numbers need no conversion",
    "avg": "windows belong to columns; a policy compares columns",
    "rate": "windows belong to columns; read a column such as restarts.rate",
    "size": "nothing here has a size",
    "lower": "text is compared as it is; write matches(r'(?i)…') to ignore case",
    "lowerAscii": "text is compared as it is; write matches(r'(?i)…') to ignore case",
    "timestamp": "there is no clock in a condition; read a duration column, e.g. change.age",
    "now": "there is no clock in a condition; read a duration column, e.g. change.age",
}
_ABOUT = ("_baseline", "_mad")
"""Ends of the columns that tell what is usual for another one."""


def syntax_hint(text: str, before: str) -> str:
    """For text that can not stand where it does, after `before`."""
    if text == "%" and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", before):
        return f"a ratio is 0..1: write {float(before) / 100:g}"
    said = _WORDS.get(text) or _WORDS.get(before)
    if said:
        return said
    if text[:1] in ("'", '"'):
        return "text ends with the quote it began with, on the same line"
    number = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([A-Za-z]{1,3})", text)
    return _suffix_hint(number[1], number[2]) if number else ""


def _suffix_hint(amount: str, suffix: str) -> str:
    if suffix in _UNITS:
        return f"write {duration_literal(amount, suffix)}"
    size = _SIZES.get(suffix.removesuffix("B"))
    return f"numbers have no suffix: write {float(amount) * size:.0f}" if size else f"write {amount}"


def duration_literal(amount: str, unit: str) -> str:
    """How to write an amount of time: the literals know no days."""
    if unit == "d":
        return f"duration('{int(amount) * 24}h')" if amount.isdecimal() else "duration('24h') for a day"
    short = {"min": "m", "sec": "s"}.get(unit, unit)
    return f"duration('{amount}{short}')"


def column_hint(name: str, columns: Iterable[str], functions: Iterable[str]) -> str:
    """For a name that is no column."""
    known = sorted(column for column in columns if not column.endswith(_ABOUT) or name.endswith(_ABOUT))
    if name in _WORDS:
        return _WORDS[name]
    if name in functions:
        return f"{name} is a function: write {name}(…)"
    if name in _CALLS:
        return _CALLS[name]
    group = [column for column in known if column.startswith(f"{name}.")]
    last = [column for column in known if column.rpartition(".")[2] == name.rpartition(".")[2]] if name else []
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.75)
    if group or close:
        return _one_of(group or close)
    return _one_of(last) if last else _one_of(get_close_matches(name.lower(), known, n=2, cutoff=0.6))


def function_hint(name: str, columns: Mapping[str, object], functions: Iterable[str]) -> str:
    """For a name that is no function."""
    named = sorted(function for function in functions if function.isidentifier())
    if name in columns:
        return f"{name} is a column: write it without parentheses"
    if name in _WORDS:
        return _WORDS[name]
    if name in _CALLS:
        return _CALLS[name]
    owner, _, last = name.rpartition(".")
    if owner and last in named:
        return f"write {last}({owner})"
    if last in _CALLS:
        return _CALLS[last]
    close = get_close_matches(last.lower(), named, n=1, cutoff=0.6)
    return _one_of(close) if close else f"there are {', '.join(named)}"


def _one_of(names: list[str]) -> str:
    if not names:
        return ""
    *rest, last = (f"`{name}`" for name in names[:6])
    return f"did you mean {', '.join(rest)} or {last}?" if rest else f"did you mean {last}?"
