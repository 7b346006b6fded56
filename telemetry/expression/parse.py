"""Source text to a flat syntax tree: a Pratt parser of our subset of CEL.

The tree is a list in which every node comes after its arguments, so that no later pass recurses; the parser's own
recursion is capped.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Never

from telemetry.expression.hints import syntax_hint
from telemetry.expression.problem import ExpressionError, Problem
from telemetry.expression.text import MEMBERS

MAX_BYTES = 4096
"""Longest source, in UTF-8 bytes."""
MAX_DEPTH = 32
"""Deepest nesting of parentheses, calls, unary operators and `?:`."""

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\n\f]|//[^\n]*)+)
      | (?P<number>(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<raw>[rR](?:'[^'\r\n]*'|"[^"\r\n]*"))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<string>'(?:[^'\\\r\n]|\\.)*'|"(?:[^"\\\r\n]|\\.)*")
      | (?P<operator>&&|\|\||==|!=|<=|>=|[-+*/<>!(),?:\[\].])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r"}
_CHOICE, _OR, _AND, _RELATION, _SUM, _PRODUCT = 1, 2, 3, 4, 5, 6
_POWER = {
    "||": _OR,
    "&&": _AND,
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/"), _PRODUCT),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "in"), _RELATION),
}


class Form(Enum):
    """What a syntax node is."""

    LITERAL = "literal"
    NAME = "name"
    CALL = "call"
    MEMBER = "member"  # a call written as `value.function(…)`; its first argument is the value


@dataclass(frozen=True, slots=True)
class Syntax:
    """One node of the tree.

    Attributes:
        form: literal, name, call or member call; operators are calls of functions such as `_<_`, as in CEL.
        offset: where its text starts, in code points.
        length: how long its text is.
        value: a literal's value, or the name of the column or function.
        args: places of the arguments in the tree.
    """

    form: Form
    offset: int
    length: int
    value: bool | int | float | str
    args: tuple[int, ...] = ()


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Operand(NamedTuple):
    """A parsed node and the text it covers, parentheses around it included."""

    node: int
    start: int
    end: int


def parse(source: str) -> tuple[Syntax, ...]:
    """Parse one expression; its root is the last node.

    Raises:
        ExpressionError: with the first syntax error; nothing after it can be trusted.
    """
    if len(source) > MAX_BYTES or len(source.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"the expression is longer than {MAX_BYTES} bytes"
        raise ExpressionError(source, (Problem(0, 0, message, "split it into several policies"),))
    return _Parser(source).run()


def one_line(source: str) -> str:
    """The same expression on one line, without comments."""
    return "".join(" " if match.lastgroup == "space" else match[0] for match in _TOKEN.finditer(source)).strip()


def _tokens(source: str) -> list[_Token]:
    found = [_Token(match.lastgroup or "", match[0], *match.span()) for match in _TOKEN.finditer(source)]
    end = _Token("end", "", len(source), len(source))
    return [token for token in found if token.kind != "space"] + [end]


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = _tokens(source)
        self._at = 0
        self._depth = 0
        self._tree: list[Syntax] = []

    def run(self) -> tuple[Syntax, ...]:
        if self._next.kind == "end":
            self._fail(self._next, "the expression is empty", "write a condition, e.g. cpu.ratio > 0.9")
        self._expression(0)
        if self._next.kind != "end":
            self._unexpected()
        return tuple(self._tree)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, text: str) -> bool:
        return self._next.kind == "operator" and self._next.text == text

    def _expect(self, text: str, why: str) -> _Token:
        if not self._is(text):
            self._unexpected(f"expected {text} {why}")
        return self._take()

    def _expression(self, floor: int) -> _Operand:
        """Parse operators that bind tighter than `floor`."""
        left = self._operand()
        while self._next.kind == "operator" or self._next.text == "in":
            text = self._next.text
            if text == "?" and floor < _CHOICE:
                return self._choice(left)
            power = _POWER.get(text, 0)
            if power <= floor:
                break
            left = self._chain(left, text, power) if text in ("&&", "||") else self._binary(left, power)
        return left

    def _binary(self, left: _Operand, power: int) -> _Operand:
        text = self._take().text
        return self._call("@in" if text == "in" else f"_{text}_", (left, self._expression(power)))

    def _chain(self, left: _Operand, text: str, power: int) -> _Operand:
        """`a && b && c` is one node: as people read it, and no chain nests."""
        operands = [left]
        while self._is(text):
            self._take()
            operands.append(self._expression(power))
        return self._call(f"_{text}_", tuple(operands))

    def _choice(self, condition: _Operand) -> _Operand:
        self._enter(self._take())
        then = self._expression(_CHOICE)
        self._expect(":", "and the other value of ?:")
        otherwise = self._expression(0)
        self._depth -= 1
        return self._call("_?_:_", (condition, then, otherwise))

    def _operand(self) -> _Operand:
        """A value, with what is asked of it behind it: `labels["tier"].startsWith("web")`."""
        value = self._value()
        while self._is("[") or self._is("."):
            value = self._index(value) if self._is("[") else self._member(value)
        return value

    def _index(self, value: _Operand) -> _Operand:
        self._enter(self._take())
        key = self._expression(0)
        self._depth -= 1
        return self._call("_[_]", (value, key), value.start, self._expect("]", "behind the key").end)

    def _member(self, value: _Operand) -> _Operand:
        self._take()
        name = self._next
        if name.kind != "name":
            self._unexpected("expected a function")
        self._take()
        if not self._is("("):
            self._fail(name, f"a value has no {name.text}", "only columns and labels have names with dots")
        return self._called(Form.MEMBER, name.text, value.start, (value,))

    def _value(self) -> _Operand:
        token = self._take()
        leaf = {"number": self._number, "string": self._string, "raw": self._string, "name": self._name}
        return leaf[token.kind](token) if token.kind in leaf else self._composed(token)

    def _composed(self, token: _Token) -> _Operand:
        if token.kind == "operator" and token.text in ("!", "-"):
            self._enter(token)
            operand = self._operand()
            self._depth -= 1
            return self._call(f"{token.text}_", (operand,), token.start)
        if token.kind == "operator" and token.text == "(":
            self._enter(token)
            inner = self._expression(0)
            self._depth -= 1
            return _Operand(inner.node, token.start, self._expect(")", "to close the parenthesis").end)
        if token.kind == "operator" and token.text == "[":
            self._enter(token)
            items, end = self._list("]")
            return self._call("[]", items, token.start, end)
        self._at -= 1
        return self._unexpected("expected a value")

    def _string(self, token: _Token) -> _Operand:
        text = token.text[2:-1] if token.kind == "raw" else self._unescaped(token)
        return self._leaf(Form.LITERAL, token, text)

    def _unescaped(self, token: _Token) -> str:
        body = token.text[1:-1]
        for found in _ESCAPE.finditer(body):
            if found[1] not in _ESCAPES:
                place = _Token("string", found[0], token.start + 1 + found.start(), token.start + 1 + found.end())
                self._fail(
                    place, f"{ascii(found[0])[1:-1]} is no escape", "in a pattern write r'…', where \\ is itself"
                )
        return _ESCAPE.sub(lambda found: _ESCAPES[found[1]], body)

    def _number(self, token: _Token) -> _Operand:
        if self._next.start == token.end and (self._next.kind in ("name", "number") or self._next.text == "."):
            whole = _Token("number", self._source[token.start : self._next.end], token.start, self._next.end)
            self._fail(whole, f"{whole.text} is not a number", syntax_hint(whole.text, ""))
        return self._leaf(Form.LITERAL, token, int(token.text) if token.text.isdecimal() else float(token.text))

    def _name(self, token: _Token) -> _Operand:
        if self._is("("):
            owner, _, function = token.text.rpartition(".")
            if owner and function in MEMBERS:
                value = self._leaf(Form.NAME, _Token("name", owner, token.start, token.start + len(owner)), owner)
                return self._called(Form.MEMBER, function, token.start, (value,))
            return self._called(Form.CALL, token.text, token.start, ())
        if token.text in ("true", "false"):
            return self._leaf(Form.LITERAL, token, token.text == "true")
        if token.text in ("null", "in"):
            self._at -= 1
            self._unexpected("expected a value")
        return self._leaf(Form.NAME, token, token.text)

    def _called(self, form: Form, function: str, start: int, given: tuple[_Operand, ...]) -> _Operand:
        self._enter(self._take())
        args, end = self._list(")")
        args = given + args
        return self._add(Syntax(form, start, end - start, function, tuple(arg.node for arg in args)))

    def _list(self, close: str) -> tuple[tuple[_Operand, ...], int]:
        """What stands between an opening sign and `close`, and where that ends."""
        items: list[_Operand] = []
        while not self._is(close):
            if items:
                self._expect(",", f"or {close} in the {'call' if close == ')' else 'list'}")
            items.append(self._expression(0))
        self._depth -= 1
        return tuple(items), self._take().end

    def _leaf(self, form: Form, token: _Token, value: bool | float | str) -> _Operand:
        return self._add(Syntax(form, token.start, token.end - token.start, value))

    def _call(self, function: str, args: tuple[_Operand, ...], start: int = -1, end: int = -1) -> _Operand:
        start = args[0].start if start < 0 else start
        end = args[-1].end if end < 0 else end
        return self._add(Syntax(Form.CALL, start, end - start, function, tuple(arg.node for arg in args)))

    def _add(self, node: Syntax) -> _Operand:
        self._tree.append(node)
        return _Operand(len(self._tree) - 1, node.offset, node.offset + node.length)

    def _enter(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(token, f"nested deeper than {MAX_DEPTH}", "write it flatter")

    def _unexpected(self, expected: str = "") -> Never:
        token = self._next
        before = self._tokens[self._at - 1].text if self._at else ""
        what = "end of the expression" if token.kind == "end" else ascii(token.text)
        message = f"unexpected {what}" + (f": {expected}" if expected else "")
        self._fail(token, message, syntax_hint(token.text, before))

    def _fail(self, token: _Token, message: str, hint: str) -> Never:
        raise ExpressionError(self._source, (Problem(token.start, token.end - token.start, message, hint),))
