"""Strict YAML: the core schema less everything that surprises.

Two readers of a file must never understand it differently, so whatever YAML 1.1 and 1.2 read differently is an error.
Nothing is built from a document before its size, depth and number of nodes are known to be bounded: the parser's
event stream is lazy, and reading stops at the first event beyond a limit.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from telemetry.documents.positions import Document, Span, line_and_column
from telemetry.documents.problems import MAX_PROBLEMS, DocumentError, Path, Problem, dotted, shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 10_000

_DIGITS = 18  # an integer of at most this many digits is exact in every reader of JSON that keeps 64 bits

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# control characters, and those that make a line read differently from what it says
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

# looked for in the text, because the parser compares each with all before it ere it gives its first event
_DIRECTIVE = re.compile(r"(?:\A|[\r\n])%")

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TRAPS = (
    (re.compile(r"(?i:yes|no|on|off)"), "is true or false in YAML 1.1 and text in 1.2", "write true or false"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "is a number of base 60 in YAML 1.1", ""),
    (re.compile(r"[-+]?0[0-9]+"), "is octal in YAML 1.1 and decimal in 1.2", "leave out the leading zero"),
    (re.compile(r"[-+]?0[box][0-9a-fA-F_]+"), "is not read the same by every YAML reader", "write it in decimal"),
    (re.compile(r"[-+]?[0-9.][0-9_.]*_[0-9_.]*(?:[eE][-+]?[0-9]+)?"), "is a number in YAML 1.1", "leave out the _"),
    (re.compile(r"(?i:[-+]?\.inf|\.nan)"), "is no finite number", ""),
    (re.compile(r"<<|="), "has a special meaning in YAML 1.1", ""),
)


def parse(text: str | bytes, file: str) -> Document:
    """Read exactly one document.

    Args:
        text: the content; bytes must be UTF-8.
        file: its name, for messages.

    Raises:
        DocumentError: with everything that is wrong; never anything else.
    """
    documents = parse_all(text, file)
    if len(documents) > 1:
        second = documents[1].problem((), "holds more than one document", "one file, one document")
        raise DocumentError([second])
    return documents[0]


def parse_all(text: str | bytes, file: str) -> tuple[Document, ...]:
    """Read one or more documents, separated by `---`; those without any content are skipped.

    Raises:
        DocumentError: with everything that is wrong; never anything else.
    """
    return _Reader(file, _decode(text, file)).documents()


def _decode(content: str | bytes, file: str) -> str:
    """The characters of a file that is small enough and holds nothing hidden."""
    if len(content) > MAX_BYTES or len(_bytes(content)) > MAX_BYTES:
        raise DocumentError([Problem(file, 1, 1, "", "is too large", f"at most {MAX_BYTES} bytes")])
    text = content if isinstance(content, str) else _utf8(content, file)
    if text.startswith("\ufeff"):
        raise DocumentError([Problem(file, 1, 1, "", "starts with a byte order mark", "save it without one")])
    if hidden := _HIDDEN.search(text):
        line, column = line_and_column(text, hidden.start())
        message = f"holds the hidden character U+{ord(hidden[0]):04X}"
        raise DocumentError([Problem(file, line, column, "", message, "remove it")])
    if directive := _DIRECTIVE.search(text):
        line, column = line_and_column(text, directive.end() - 1)
        raise DocumentError([Problem(file, line, column, "", "has a % directive", "leave it out")])
    return text


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode(errors="surrogatepass")


def _utf8(content: bytes, file: str) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in content[:4]:
        raise DocumentError([Problem(file, 1, 1, "", "is UTF-16 or binary", "save it as UTF-8")])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = line_and_column(before, len(before))
        raise DocumentError([Problem(file, line, column, "", "is not UTF-8", "save it as UTF-8")]) from None


class _Reader:
    """Builds documents from the event stream, noting every problem it can read past."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.nodes = 0
        self.spans: dict[Path, Span] = {}
        self.problems: list[Problem] = []
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def documents(self) -> tuple[Document, ...]:
        found: list[Document] = []
        try:
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self.spans = {}
                    data = self.node(next(self.events), (), None)
                    if data is not None:
                        found.append(Document(self.file, data, self.text, self.spans))
        except yaml.YAMLError as error:
            self.problems.append(self.syntax(error))
        if not found and not self.problems:
            self.problems.append(Problem(self.file, 1, 1, "", "is empty"))
        if self.problems:
            raise DocumentError(self.problems)
        return tuple(found)

    @staticmethod
    def index(event: Any) -> int:
        return int(event.start_mark.index)

    def note(self, path: Path, index: int, message: str, hint: str = "") -> None:
        line, column = line_and_column(self.text, index)
        self.problems.append(Problem(self.file, line, column, dotted(path), message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise DocumentError(self.problems)

    def give_up(self, path: Path, index: int, message: str, hint: str) -> NoReturn:
        self.note(path, index, message, hint)
        raise DocumentError(self.problems)

    def node(self, event: Any, path: Path, key: int | None) -> Any:
        """The value that starts with this event; its events are consumed."""
        start, end = self.index(event), int(event.end_mark.index)
        self.spans[path] = Span(start if key is None else key, start, end, getattr(event, "style", None) or "")
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.give_up(path, start, "has too many values", f"at most {MAX_NODES} in a file")
        if isinstance(event, yaml.AliasEvent):
            self.note(path, start, f"*{event.anchor} is an alias", "write the value out, or put text in quotes")
            return ""
        if event.anchor is not None:
            self.note(path, start, f"&{event.anchor} is an anchor", "leave it out, or put text in quotes")
        if event.tag is not None:
            self.note(path, start, f"{shown(event.tag)} is a tag", "leave it out, or put text in quotes")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        if len(path) >= MAX_DEPTH:
            self.give_up(path[:3], start, "is nested too deeply", f"at most {MAX_DEPTH} levels")
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items)), None))
        return items

    def mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            start = self.index(event)
            key = self.key(event, path, start)
            value = self.node(next(self.events), (*path, key), start)
            if key in items:
                self.note((*path, key), start, "is given twice", "keep one of them")
            items.setdefault(key, value)
        return items

    def key(self, event: Any, path: Path, start: int) -> str:
        """The key that this event is; `path` is that of the mapping."""
        if not isinstance(event, yaml.ScalarEvent):
            self.give_up(path, start, "a key must be text", "write it out")
        whole = self.spans[path]
        key = self.node(event, path, None)
        self.spans[path] = whole
        if isinstance(key, str):
            return key
        self.note(path, start, f"the key {shown(key)} is not text", "put it in quotes")
        return str(event.value)

    def scalar(self, event: Any, path: Path) -> str | int | float | bool | None:
        text: str = event.value
        start = self.index(event)
        if hidden := _HIDDEN.search(text):
            self.note(path, start, f"holds the hidden character U+{ord(hidden[0]):04X}", "remove it")
        if event.style:  # C loader: None or '' for plain, else the quote or block sign
            return text
        for trap, why, hint in _TRAPS:
            if trap.fullmatch(text):
                quotes = "put text in quotes"
                self.note(path, start, f"{shown(text)} {why}", f"{hint}, or {quotes}" if hint else quotes)
                return text
        return self.plain(text, path, start)

    def plain(self, text: str, path: Path, start: int) -> str | int | float | bool | None:
        """A plain scalar by the core schema of YAML 1.2."""
        if _NULL.fullmatch(text):
            return None
        if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            if len(text.lstrip("+-")) <= _DIGITS:
                return int(text)
            self.note(path, start, f"{shown(text)} is too large a number", f"at most {_DIGITS} digits")
        elif _FLOAT.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
            self.note(path, start, f"{shown(text)} is too large a number")
        return text

    def syntax(self, error: yaml.YAMLError) -> Problem:
        """What the parser could not read, in words that help."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        index = mark.index if mark is not None else getattr(error, "position", 0)
        line, column = line_and_column(self.text, index)
        found = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        quote = "put text that holds YAML's own signs in quotes, or write it as a block: `key: |`"
        hint = "indent with spaces" if self.text[index : index + 1] == "\t" else quote
        return Problem(self.file, line, column, "", f"is not YAML: {found}", hint)
