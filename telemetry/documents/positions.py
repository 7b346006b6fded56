"""A document with the place of everything in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from telemetry.documents.problems import Path, Problem, dotted

_BLANKS = " \t\r\n"
_HEX = {"x": 2, "u": 4, "U": 8}


class Span(NamedTuple):
    """Where a node stands, as character indexes of the text.

    Attributes:
        key: where its key starts; its own start if it has none.
        start, end: of the node itself, quotes and block header included.
        style: how a scalar was written: `'`, `"`, `|`, `>`, or empty for plain ones and collections.
    """

    key: int
    start: int
    end: int
    style: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document.

    Attributes:
        file: as the user named it; used in messages only.
        data: dict, list, str, int, float, bool or None.
        text: the whole file.
        spans: where each node stands; empty for an object that was never a file: its problems name the field alone.
    """

    file: str
    data: Any
    text: str = ""
    spans: Mapping[Path, Span] = field(default_factory=dict)

    def place(self, path: Path = (), *, key: bool = False, offset: int | None = None) -> tuple[int, int]:
        """Line and column of a node, from 1; of the nearest enclosing one where the document has no such path.

        Args:
            path: which node.
            key: the place of its key instead.
            offset: the place of this character of a text value instead.
        """
        while path not in self.spans:
            if not path:
                return 1, 1
            path = path[:-1]
        span = self.spans[path]
        index = span.key if key else span.start
        if offset is not None:
            index += _offset_in_source(self.text[span.start : span.end], span.style, self.value(path), offset)
        return line_and_column(self.text, index)

    def value(self, path: Path) -> Any:
        """The value at a path that exists."""
        found = self.data
        for part in path:
            found = found[part]
        return found

    def problem(
        self, path: Path, message: str, hint: str = "", *, key: bool = False, offset: int | None = None
    ) -> Problem:
        """A problem at this path; the options are those of `place`."""
        if not self.spans:
            return Problem(self.file, 0, 0, self._field(path, offset), message, hint)
        line, column = self.place(path, key=key, offset=offset)
        return Problem(self.file, line, column, dotted(path), message, hint)

    def _field(self, path: Path, offset: int | None) -> str:
        """A path, and line and column within its text where an offset says so: `spec.when:1:14`."""
        if offset is None:
            return dotted(path)
        line, column = line_and_column(str(self.value(path)), offset)
        return f"{dotted(path)}:{line}:{column}"

    def is_cut(self, path: Path) -> bool:
        """Whether a plain value was ended by ` #`, which its writer may not have meant as a comment."""
        span = self.spans.get(path)
        return span is not None and not span.style and self.text[span.end :].lstrip(" \t").startswith("#")


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _offset_in_source(raw: str, style: str, value: object, offset: int) -> int:
    """Index in the source of a scalar of the character at `offset` of its value.

    Blanks are folded by YAML, so both sides are aligned by counting what is not blank.
    """
    if not isinstance(value, str):
        return 0
    wanted = sum(character not in _BLANKS for character in value[:offset])
    blank = offset < len(value) and value[offset] in _BLANKS
    at, stop = _body(raw, style)
    seen, end = 0, at
    while at < stop:
        length, is_blank = _unit(raw, at, style)
        if not is_blank:
            if seen == wanted and not blank:
                return at
            seen += 1
            end = at + length
            if seen == wanted and blank:
                return end
        at += length
    return end


def _body(raw: str, style: str) -> tuple[int, int]:
    """Where the content of a scalar starts and ends in its source."""
    if style in ("'", '"'):
        return 1, len(raw) - 1
    if style in ("|", ">"):
        return raw.find("\n") + 1, len(raw)
    return 0, len(raw)


def _unit(raw: str, at: int, style: str) -> tuple[int, bool]:
    """Length in the source of the character that starts here, and whether it is blank."""
    if style == "'" and raw[at : at + 2] == "''":
        return 2, False
    if style == '"' and raw[at] == "\\":
        code = raw[at + 1 : at + 2]
        if code in _HEX:
            digits = raw[at + 2 : at + 2 + _HEX[code]]
            return 2 + len(digits), chr(int(digits, 16)) in _BLANKS
        return 2, code in ("t", "n", "r", " ", "\t", "\n", "\r", "")
    return 1, raw[at] in _BLANKS
