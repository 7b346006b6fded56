"""Every mistake is refused when it is loaded, at its place, with what to write instead."""

import pytest

from telemetry.columns import COLUMNS, ColumnSpec, Kind
from telemetry.expression import ExpressionError, Problem, compile_condition

ERRORS = [  # source, text under the caret, part of the message, part of the hint
    ("cpu.ratoi > 0.9", "cpu.ratoi", "unknown column `cpu.ratoi`", "did you mean `cpu.ratio`?"),
    ("CPU.Ratio > 0.9", "CPU.Ratio", "unknown column", "`cpu.ratio`"),
    ("sick > 0.5", "sick", "unknown column", "did you mean `instances.sick`?"),
    ("ratio > 0.5", "ratio", "unknown column", "`cpu.ratio`, `files.ratio` or `memory.ratio`"),
    ("memory > 0.5", "memory", "unknown column", "did you mean `memory.bytes` or `memory.ratio`?"),
    ("zebra > 0.5", "zebra", "unknown column `zebra`", ""),
    ("known > 1", "known", "unknown column `known`", "known is a function"),
    ("cpu.ratio > null", "null", "unexpected 'null'", "write !known(column)"),
    ("cpu.ratio > now", "now", "unknown column", "there is no clock"),
    ("probe.ok and cpu.ratio > 1", "and", "unexpected 'and'", "write && for and"),
    ("probe.ok or cpu.ratio > 1", "or", "unexpected 'or'", "write || for or"),
    ("not probe.ok", "probe.ok", "unexpected 'probe.ok'", "write ! for not"),
    ("probe.ok & change.recent", "&", "unexpected '&'", "write && for and"),
    ("cpu.ratio = 0.9", "=", "unexpected '='", "write == to compare"),
    ("cpu.ratio > 60%", "%", "unexpected '%'", "write 0.6"),
    ("cpu.ratio % 2 == 1", "%", "unexpected '%'", "1"),
    ("files.count % probe.failures > 1", "%", "unexpected '%'", "no remainder operator"),
    ("change.age > 5m", "5m", "5m is not a number", "write duration('5m')"),
    ("change.age > 1.5h", "1.5h", "not a number", "write duration('1.5h')"),
    ("change.age > 2d", "2d", "not a number", "write duration('48h')"),
    ("change.age > 2min", "2min", "not a number", "write duration('2m')"),
    ("memory.bytes > 5Gi", "5Gi", "not a number", "write 5368709120"),
    ("memory.bytes > 5MB", "5MB", "not a number", "write 5000000"),
    ("cpu.ratio > 2u", "2u", "not a number", "write 2"),
    ("cpu.ratio > 2.", "2.", "not a number", ""),
    ("change.age > 10", "change.age > 10", "`>` does not take a duration and a whole number", "duration('10s')"),
    ("change.age > '10m'", "change.age > '10m'", "does not take a duration and a string", "duration('10m')"),
    ("cpu.ratio > '0.9'", "cpu.ratio > '0.9'", "does not take a number and a string", "text has a place"),
    ("cpu.ratio > 'x", "'", "unexpected", "text ends with the quote"),
    ("probe.ok == 1", "probe.ok == 1", "does not take a bool and a whole number", "a bool stands alone"),
    ("0.1 < cpu.ratio < 0.9", "0.1 < cpu.ratio < 0.9", "does not take a bool and a number", "a < b && b < c"),
    ("change.age == up.duration", "change.age == up.duration", "of durations is chance", "write <, <=, > or >="),
    ("cpu.ratio", "cpu.ratio", "a condition is true or false, and this is a number", "compare it"),
    ("cpu.ratio && probe.ok", "cpu.ratio", "`&&` joins bools, and this is a number", "threshold"),
    ("!cpu.ratio", "!cpu.ratio", "`!` does not take a number", ""),
    ("-probe.ok", "-probe.ok", "`-` does not take a bool", "a bool stands alone"),
    ("cpu.ratio ? probe.ok : true", "cpu.ratio ? probe.ok : true", "`?:` asks a bool", "condition ? a : b"),
    ("probe.ok ? 1 : true", "probe.ok ? 1 : true", "can not choose between a whole number and a bool", ""),
    ("probe.ok ? cpu.ratio : change.age", "probe.ok ? cpu.ratio : change.age", "can not choose", "needs its unit"),
    ("7 / 2 > cpu.ratio", "7 / 2", "two whole numbers", "7.0 / 2"),
    ("cpu.ratio / 0 > 1", "cpu.ratio / 0", "division by zero", "unknown on every target"),
    ("cpu.ratio / (2 - 2) > 1", "cpu.ratio / (2 - 2)", "division by zero", ""),
    ("change.age / duration('0s') > 1", "change.age / duration('0s')", "division by zero", ""),
    ("1.0 / -0.0 > cpu.ratio", "1.0 / -0.0", "division by zero", ""),
    ("1e999 > cpu.ratio", "1e999", "the number is too large", ""),
    ("1e308 * 10 > cpu.ratio", "1e308 * 10", "the number is too large", ""),
    ("9007199254740993 > cpu.ratio", "9007199254740993", "2^53 or more", "decimal"),
    ("9007199254740991 * 2 > cpu.ratio", "9007199254740991 * 2", "2^53 or more", "decimal"),
    ("9" * 400 + " > cpu.ratio", "9" * 400, "too large", ""),
    ("has(cpu.ratio)", "has(cpu.ratio)", "unknown function `has`", "write known(column)"),
    ("knwon(cpu.ratio)", "knwon(cpu.ratio)", "unknown function `knwon`", "did you mean `known`?"),
    ("abs(cpu.ratio) > 1", "abs(cpu.ratio)", "unknown function `abs`", "max(x, -x)"),
    ("quux(cpu.ratio) > 1", "quux(cpu.ratio)", "unknown function", "there are age, count, duration, known, max, min"),
    ("cpu.ratio.age() > 1", "cpu.ratio.age()", "unknown function", "write age(cpu.ratio)"),
    ("cpu.ratio() > 1", "cpu.ratio()", "unknown function", "is a column"),
    ("cpu.ratio in (1)", "in", "unexpected 'in'", "not supported yet"),
    ("cpu.ratio.matches('a')", "cpu.ratio.matches('a')", "unknown function", "text functions are not supported"),
    ("known(cpu.ratio + 1)", "known(cpu.ratio + 1)", "asks about one column", "known(cpu.ratio)"),
    ("known(1)", "known(1)", "asks about one column", ""),
    ("known()", "known()", "asks about one column", ""),
    ("age(cpu.ratio, probe.ok) > duration('1s')", "age(cpu.ratio, probe.ok)", "asks about one column", ""),
    ("known(cpu.ratoi)", "cpu.ratoi", "unknown column", "`cpu.ratio`"),
    ("max(cpu.ratio) > 1", "max(cpu.ratio)", "takes two or more", "max(cpu.ratio, memory.ratio)"),
    ("max() > 1", "max()", "takes two or more", ""),
    ("max(1, 2, probe.ok) > 1", "max(1, 2, probe.ok)", "does not take a whole number and a bool", ""),
    ("duration(10) > change.age", "duration(10)", "one literal in quotes", "duration('90s')"),
    ("duration('1d') < change.age", "'1d'", "'1d' is not a duration", "write duration('24h')"),
    ("duration('') < change.age", "''", "is not a duration", "duration('1h30m')"),
    ("duration('1h 30m') < change.age", "'1h 30m'", "is not a duration", ""),
    ("duration('99999999999h') < change.age", "'99999999999h'", "ten thousand years", ""),
    ("duration('1s', '2s') < change.age", "duration('1s', '2s')", "one literal", ""),
    ("memory.bytes > cpu.ratio", "memory.bytes > cpu.ratio", "`memory.bytes` is in byte, `cpu.ratio` is", "unit"),
    ("", "", "the expression is empty", "cpu.ratio > 0.9"),
    ("  // only words", "", "the expression is empty", ""),
    ("cpu.ratio >", "", "unexpected end of the expression: expected a value", ""),
    ("(probe.ok", "", "expected ) to close", ""),
    ("probe.ok)", ")", "unexpected ')'", ""),
    ("min(1 2)", "2", "expected , or )", ""),
    ("min(1,)", ")", "expected a value", ""),
    ("probe.ok ? 1", "", "expected : and the other value", ""),
    ("probe.ok change.recent", "change.recent", "unexpected 'change.recent'", ""),
    ("probe.ok > \x1b[2J", "\x1b", r"unexpected '\x1b'", ""),
]  # fmt: skip


def _refused(source: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source)
    return caught.value


@pytest.mark.parametrize(("source", "under", "message", "hint"), ERRORS, ids=[row[0][:40] for row in ERRORS])
def test_a_mistake_is_named_at_its_place(source: str, under: str, message: str, hint: str) -> None:
    problem = _refused(source).problems[0]
    assert source[problem.offset : problem.offset + problem.length] == under
    assert message in problem.message
    assert hint in problem.hint


def test_all_names_and_types_of_one_source_are_told_at_once() -> None:
    problems = _refused(
        "cpu.ratoi > 1 && memory > 3 || change.age > 5 || memory.bytes > cpu.ratio || probe.ok == 1"
    ).problems
    assert [problem.message.split()[0] for problem in problems] == [
        "unknown",
        "unknown",
        "`>`",
        "`memory.bytes`",
        "`==`",
    ]
    assert [problem.offset for problem in problems] == sorted(problem.offset for problem in problems)


def test_one_mistake_is_told_once() -> None:
    assert len(_refused("-(cpu.ratoi + 1) * 2 > 3 ? true : false").problems) == 1
    assert len(_refused("max(1, cpu.ratoi, 2) > 3").problems) == 1
    assert len(_refused("(memory.bytes + cpu.ratio) * 2 > cpu.ratio").problems) == 1


def test_hundreds_of_mistakes_are_cut_to_the_first_twenty() -> None:
    problems = _refused(" || ".join(["x"] * 800)).problems
    assert [problem.offset for problem in problems] == [5 * at for at in range(20)]


def test_an_error_shows_line_column_text_and_caret() -> None:
    error = _refused("probe.ok &&\n\tcpu.ratoi > 0.9\n|| change.recent")
    assert str(error) == (
        "2:2: unknown column `cpu.ratoi`\n  |  cpu.ratoi > 0.9\n  |  ^^^^^^^^^\n  did you mean `cpu.ratio`?"
    )
    assert error.source.startswith("probe.ok")
    assert isinstance(error, ValueError)


def test_columns_are_counted_in_code_points() -> None:
    problem = _refused("'😀' == cpu.ratoi").problems[0]
    assert problem == Problem(7, 9, "unknown column `cpu.ratoi`", "did you mean `cpu.ratio`?")


def test_a_long_line_is_cut_around_the_caret() -> None:
    lines = str(_refused("probe.ok && " * 200 + "cpu.ratoi > 1")).splitlines()
    assert lines[0].startswith("1:2401: ")
    assert max(map(len, lines)) <= 110
    assert lines[1][lines[2].index("^") :].startswith("cpu.ratoi")


def test_more_than_256_operations_is_a_named_error() -> None:
    many = " || ".join(f"cpu.ratio > {at}" for at in range(129))
    assert "257 operations, more than 256" in str(_refused(many))
    assert compile_condition(many.rpartition(" || ")[0]).cost() == 255


@pytest.mark.parametrize("source", [
    "cpu.ratio > 1", "1 < cpu.ratio", "2 * cpu.ratio >= 1.5", "cpu.ratio / 2 > .5", "probe.ok", "!probe.ok",
    "probe.ok == false",
    "change.age > duration('1h30m')", "change.age * 2 > up.duration / 3", "change.age / up.duration > 0.5",
    "change.age + duration('-5m') > duration(\"250ms\")", "known(probe.ok) && age(probe.ok) < duration('10s')",
    "count(cpu.ratio) >= 10", "min(cpu.ratio, memory.ratio, 1) > 0.9", "max(change.age, up.duration) > duration('0')",
    "(probe.ok ? cpu.ratio : 0) > 0.5", "probe.ok ? change.recent : true", "true", "-cpu.ratio < -1",
    "replicas.ready / replicas.desired < 0.5", "memory.bytes > 5 * 1073741824", "memory.bytes / 1e9 > 2",
    "cpu.ratio > 0.9 // hot\n && probe.failures >= 3",
])  # fmt: skip
def test_what_the_language_has_is_accepted(source: str) -> None:
    compile_condition(source)


def test_only_the_given_columns_exist() -> None:
    mine = {"queue.depth": ColumnSpec("queue.depth", Kind.NUMBER, "1", "backlog")}
    assert compile_condition("queue.depth > 5", mine).columns == {"queue.depth"}
    with pytest.raises(ExpressionError):
        compile_condition("cpu.ratio > 5", mine)


def test_every_column_of_the_program_can_be_asked_about() -> None:
    for name in COLUMNS:
        assert compile_condition(f"known({name})").columns == {name}
