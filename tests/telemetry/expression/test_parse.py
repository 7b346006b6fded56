"""Any text is either a tree or an ExpressionError; nothing else ever comes out."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telemetry.expression import ExpressionError
from telemetry.expression.parse import MAX_BYTES, MAX_DEPTH, Form, parse

from .support import compiled

WORDS = [
    "cpu.ratio",
    "n.a",
    "b.a",
    "d.a",
    "known",
    "min",
    "duration",
    "(",
    ")",
    ",",
    "'1h'",
    "'",
    '"',
    "&&",
    "||",
    "!",
    "-",
]
WORDS += [
    "<",
    ">=",
    "==",
    "=",
    "?",
    ":",
    "1",
    "0.5",
    "1e999",
    "9" * 30,
    ".",
    "..",
    "%",
    "[",
    "]",
    "{",
    "}",
    "//",
    "\n",
    "\t",
]
WORDS += [
    "\0",
    "😀",
    "\ud800",
    "é",
    "and",
    "not",
    "null",
    "true",
    "in",
    "2u",
    "5m",
    "\\",
    "`",
    "_",
    "$",
    "@",
    "#",
    ";",
    "\x1b[2J",
]


def _outcome(source: str) -> str:
    """Compile, and where it is refused check that the error can be shown."""
    error = compiled(source)
    if not isinstance(error, ExpressionError):
        return ""
    assert error.problems
    assert all(0 <= problem.offset <= len(source) for problem in error.problems)
    assert all(0 <= problem.length <= len(source) - problem.offset for problem in error.problems)
    shown = str(error)
    assert all(character.isprintable() or character == "\n" for character in shown.replace("\ufffd", ""))
    return shown


@settings(max_examples=1500, deadline=None)
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
    | st.lists(st.sampled_from(WORDS), max_size=40).map("".join)
)
@example("\0")
@example("'" * 4000)
@example("1" * 4096 + " < n.a")
@example("0." + "1" * 4000 + "e" + "9" * 50 + "<n.a")
@example("n.a > 1" + "\r" * 100 + "x")
def test_arbitrary_text_is_compiled_or_refused_with_places(source: str) -> None:
    _outcome(source)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_as_text_are_compiled_or_refused(raw: bytes) -> None:
    _outcome(raw.decode("latin-1"))
    _outcome(raw.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(" * 2000 + "b.a" + ")" * 2000, "nested deeper than 32"),
        ("!" * 4000 + "b.a", "nested deeper than 32"),
        ("-" * 4000 + "n.a > 1", "nested deeper than 32"),
        ("b.a ? b.b : " * 300 + "b.a", "nested deeper than 32"),
        ("min(1," * 500 + "1" + ")" * 500 + " > n.a", "nested deeper than 32"),
        ("b.a || " * 10_000 + "b.a", "longer than 4096 bytes"),
        ("x" * 1_000_000, "longer than 4096 bytes"),
        ("\0" * 1_000_000, "longer than 4096 bytes"),
        ("😀" * 1025, "longer than 4096 bytes"),
    ],
)
def test_a_hostile_size_is_a_named_error(source: str, message: str) -> None:
    assert message in _outcome(source)


def test_what_is_within_the_limits_is_accepted() -> None:
    assert not _outcome("(" * MAX_DEPTH + "b.a" + ")" * MAX_DEPTH)
    assert not _outcome("b.a || " * 500 + "b.a")
    assert not _outcome("n.a + " * 200 + "n.a > 1")
    assert not _outcome("b.a" + " " * (MAX_BYTES - 3))
    assert _outcome("b.a" + " " * (MAX_BYTES - 2))


def test_a_chain_is_one_node_and_arguments_come_first() -> None:
    tree = parse("b.a && n.a < 2 && b.b")
    assert tree[-1].value == "_&&_"
    assert [tree[arg].value for arg in tree[-1].args] == ["b.a", "_<_", "b.b"]
    assert all(arg < at for at, node in enumerate(tree) for arg in node.args)


@pytest.mark.parametrize(
    ("source", "grouped"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c", "((a / b) * c)"),
        ("-a * b", "((-a) * b)"),
        ("!a && b || c", "(((!a) && b) || c)"),
        ("a || b && c", "(a || (b && c))"),
        ("a < b == c", "((a < b) == c)"),
        ("a + b < c - d", "((a + b) < (c - d))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a ? b ? c : d : e", None),
        ("a || b ? c : d", "((a || b) ? c : d)"),
    ],
)
def test_operators_bind_as_in_cel(source: str, grouped: str | None) -> None:
    if grouped is None:
        with pytest.raises(ExpressionError):
            parse(source)
        return
    tree, expected = parse(source), parse(grouped)
    assert [(node.form, node.value, node.args) for node in tree] == [(n.form, n.value, n.args) for n in expected]


def test_spans_are_the_text_of_each_node() -> None:
    source = " (n.a) + 1 > min( 2, n.b ) // why\n"
    texts = {source[node.offset : node.offset + node.length] for node in parse(source)}
    assert texts == {"n.a", "1", "(n.a) + 1", "2", "n.b", "min( 2, n.b )", "(n.a) + 1 > min( 2, n.b )"}


def test_literals_keep_their_kind() -> None:
    values = [node.value for node in parse("f(1, 1.5, .5, 2e3, true, 'x', \"y\")") if node.form is Form.LITERAL]
    assert values == [1, 1.5, 0.5, 2000.0, True, "x", "y"]
    assert [type(value) for value in values[:2]] == [int, float]


@pytest.mark.parametrize("hidden", ["\n", "\x1b[2J", "\t", "\u202e", "\x00"])
def test_a_pattern_that_is_none_can_not_speak_to_the_terminal(hidden):
    """Found by fuzzing: RE2 repeats the pattern, and so did the message."""
    error = compiled(f"s.a.matches(r'({hidden}')") if hidden != "\n" else compiled("s.a.matches('(\\n')")
    assert isinstance(error, ExpressionError)
    assert [problem.message.isprintable() for problem in error.problems] == [True]
