"""Columns to test with, and random well-typed expressions over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from telemetry.columns import Column, ColumnSpec, Kind
from telemetry.expression import Condition, ExpressionError, compile_condition
from telemetry.reading import TEXTS, label_column
from telemetry.words import WORDS

Cell = float | str | None

STALE = 180.0
SPECS: dict[str, ColumnSpec] = {
    name: ColumnSpec(name, kind, unit, "for tests", STALE)
    for name, kind, unit in (
        ("n.a", Kind.NUMBER, "1"),
        ("n.b", Kind.NUMBER, "1"),
        ("n.power", Kind.NUMBER, "ratio"),
        ("d.a", Kind.DURATION, ""),
        ("d.b", Kind.DURATION, ""),
        ("b.a", Kind.BOOL, ""),
        ("b.b", Kind.BOOL, ""),
        ("s.a", Kind.STRING, ""),
        ("s.b", Kind.STRING, ""),
    )
}
FACTS = {"target.name": TEXTS["target.name"], 'labels["tier"]': label_column("tier")}
"""Of the inventory: always there, without being declared."""


def compiled(source: str) -> Condition | ExpressionError:
    """The condition, or why there is none."""
    try:
        return compile_condition(source, SPECS)
    except ExpressionError as error:
        return error


def column(spec: ColumnSpec, values: Sequence[Cell], ages: Sequence[float] | float = 0.0) -> Column:
    """A column of these cells; None was never sampled."""
    coded = [WORDS.code(value) if isinstance(value, str) else value for value in values]
    cells = np.array([np.nan if value is None else float(value) for value in coded], dtype=np.float64)
    age = np.broadcast_to(np.asarray(ages, dtype=np.float64), cells.shape).copy()
    return Column(spec, cells, age, np.where(np.isnan(cells), 0.0, 3.0))


def table(specs: Mapping[str, ColumnSpec] = SPECS, **cells: Sequence[Cell]) -> dict[str, Column]:
    """Fresh columns by name, with `_` for the dot."""
    return {name.replace("_", ".", 1): column(specs[name.replace("_", ".", 1)], row) for name, row in cells.items()}


@dataclass(frozen=True)
class Tree:
    """A random expression: a template over its parts, and how the oracle must write it to share our view of x / 0."""

    template: str
    guarded: str = ""
    parts: tuple["Tree", ...] = ()

    def text(self, *, guarded: bool = False) -> str:
        """Source text; `guarded` makes NaN and division by zero errors, which is what they are to us."""
        template = self.guarded if guarded and self.guarded else self.template
        return template.format(*(part.text(guarded=guarded) for part in self.parts))


def _leaf(*texts: str) -> st.SearchStrategy[Tree]:
    return st.sampled_from([Tree(text) for text in texts])


def _node(template: str, *parts: st.SearchStrategy[Tree], guarded: str = "") -> st.SearchStrategy[Tree]:
    return st.tuples(*parts).map(lambda drawn: Tree(template, guarded, drawn))


NAMES = {kind: [name for name, spec in SPECS.items() if spec.kind is kind] for kind in Kind}
INTEGERS = _leaf("0", "1", "2", "3", "10", "100")
SCALES = _leaf("2", "0.5", "4.0", "-1", "0", "n.power")
NUMBER_LEAVES = _leaf(*NAMES[Kind.NUMBER], *NAMES[Kind.NUMBER], "0.5", "0.0", "1.0", "2.5", "1e3", "count(n.a)")
DURATION_LEAVES = _leaf(*NAMES[Kind.DURATION], "duration('64s')", "duration('2m8s')", "age(d.a)", "age(b.b)")
BOOL_LEAVES = _leaf(
    *(*NAMES[Kind.BOOL], *NAMES[Kind.BOOL], "known(n.a)", "known(d.b)", "known(b.a)", "known(s.b)", "true", "false"),
    *("has(labels.tier)", "has(target.labels.none)", "('tier' in labels)", "('none' in target.labels)"),
)
TEXT_LEAVES = _leaf(
    *(
        *NAMES[Kind.STRING],
        *NAMES[Kind.STRING],
        "target.name",
        "labels.tier",
        "labels['tier']",
        'target.labels["none"]',
    ),
    *("'web'", '"web-1"', "'\u00fc'", "'\U0001f600'", "'\uffff'", "''", r"'it\'s'", r"r'a\b'"),
)
QUESTIONS = (
    *("startsWith('web')", "endsWith('-1')", "contains('e')", "contains('')", "startsWith('never')"),
    *("matches('^w')", r"matches(r'^web-\d+$')", "matches('(?i)WEB')", "matches('.')", "contains('\U0001f600')"),
)
STRING_LISTS = ("['web']", "['web', 'web-1', 'never']", "['\u00fc', 'api']")
NUMBER_LISTS = ("[1]", "[0, 1, 2.5]", "[0.5, 1e308]", "[-1, 3.0]")

Strategies = tuple[st.SearchStrategy[Tree], st.SearchStrategy[Tree], st.SearchStrategy[Tree], st.SearchStrategy[Tree]]


def _asked_of_text(text: st.SearchStrategy[Tree], number: st.SearchStrategy[Tree]) -> list[st.SearchStrategy[Tree]]:
    """Bools from strings, and from lists."""
    found = [_node(f"({{}} {op} {{}})", text, text) for op in ("==", "!=", "==", "!=", "<", "<=", ">", ">=")]
    found += [_node(f"{{}}.{question}", text) for question in QUESTIONS]
    found += [_node(f"({{}} in {members})", text) for members in STRING_LISTS]
    return found + [_node(f"({{}} in {members})", number) for members in NUMBER_LISTS]


def _grown(depth: int) -> Strategies:
    """Strategies for numbers, durations, bools and strings of at most this depth."""
    if depth == 0:
        return NUMBER_LEAVES, DURATION_LEAVES, BOOL_LEAVES, TEXT_LEAVES
    number, duration, boolean, text = _grown(depth - 1)
    either = number | INTEGERS
    pairs = ((number, either), (either, number))
    numbers, durations, bools = [NUMBER_LEAVES], [DURATION_LEAVES], [BOOL_LEAVES]
    for pair in pairs:
        numbers += [_node(f"({{}} {op} {{}})", *pair, guarded=f"chk(({{}} {op} {{}}))") for op in "+-*"]
        numbers += [_node("({} / {})", *pair, guarded="chk(sdiv({}, {}))")]
        numbers += [_node(f"{name}({{}}, {{}})", *pair) for name in ("min", "max")]
        bools += [_node(f"({{}} {op} {{}})", *pair) for op in ("<", "<=", ">", ">=", "==", "!=")]
    numbers += [_node("(-{})", number), _node("({} ? {} : {})", boolean, number, number)]
    numbers += [_node("({} / {})", duration, duration), _node("max({}, {}, {})", number, number, number)]
    durations += [_node(f"({{}} {op} {{}})", duration, duration) for op in "+-"]
    durations += [_node("({} * {})", duration, SCALES), _node("({} * {})", SCALES, duration)]
    durations += [_node("({} / {})", duration, _leaf("2", "0.5", "-4", "n.power"))]
    durations += [_node("min({}, {})", duration, duration), _node("({} ? {} : {})", boolean, duration, duration)]
    durations += [_node("(-{})", duration)]
    bools += [_node(f"({{}} {op} {{}})", duration, duration) for op in ("<", "<=", ">", ">=")]
    for op in ("&&", "||", "==", "!="):
        bools += [_node(f"({{}} {op} {{}})", boolean, boolean)] * (3 if op in ("&&", "||") else 1)
    bools += [_node("(!{})", boolean), _node("({} ? {} : {})", boolean, boolean, boolean)]
    bools += [_node("{} && {} || {}", boolean, boolean, boolean).map(lambda tree: Tree("({})", "", (tree,)))]
    bools += [st.one_of(_asked_of_text(text, number))] * 4
    texts = TEXT_LEAVES | _node("({} ? {} : {})", boolean, text, text)
    return st.one_of(numbers), st.one_of(durations), st.one_of(bools), texts


CONDITIONS = _grown(4)[2]
"""Random conditions, deep enough to nest every construct in every other."""

_VALUES: dict[str, list[Cell]] = {
    **{name: [None, 0.0, 0.5, 1.0, -1.0, 2.5, 3.0, 10.0, 1e308, -1e308, 0.1] for name in ("n.a", "n.b")},
    "n.power": [None, 0.0, 0.5, 1.0, 2.0],
    **{name: [None, 0.0, 64.0, 128.0, 192.0, 3840.0] for name in ("d.a", "d.b")},
    **{name: [None, 0.0, 1.0] for name in ("b.a", "b.b")},
    **{name: [None, "web", "web-1", "", "\u00fc", "\U0001f600", "\uffff", "Web\n"] for name in ("s.a", "s.b")},
}
_FACT_VALUES: dict[str, list[Cell]] = {
    "target.name": ["web", "web-1", "api", "it's"],
    'labels["tier"]': [None, "web", "a\\b", ""],
}
CELLS = st.fixed_dictionaries(
    {
        name: st.tuples(
            st.sampled_from(values + values[1:]), st.sampled_from([0.0, 64.0, 128.0, 0.0, 64.0, 128.0, 192.0])
        )
        for name, values in _VALUES.items()
    }
    | {name: st.tuples(st.sampled_from(values), st.just(0.0)) for name, values in _FACT_VALUES.items()}
)
ROWS = st.lists(CELLS, min_size=1, max_size=8)
"""Rows of (value or None, age) by column; an age of 192 s is stale."""


def columns_of(rows: Sequence[Mapping[str, tuple[Cell, float]]]) -> dict[str, Column]:
    """The columns that hold these rows."""
    return {
        name: column(spec, [row[name][0] for row in rows], [row[name][1] for row in rows])
        for name, spec in (SPECS | FACTS).items()
        if name in rows[0]
    }
