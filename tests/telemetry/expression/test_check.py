"""Every mistake is refused when it is loaded, at its place, with what to write instead."""

import sys
from importlib.util import find_spec

import pytest

from telemetry.columns import COLUMNS, ColumnSpec, Kind
from telemetry.expression import ExpressionError, Problem, compile_condition

from ...needs import need  # noqa: TID252 - importlib mode has no package named tests

ERRORS = [  # source, text under the caret, part of the message, part of the hint
    ("cpu.ratoi > 0.9", "cpu.ratoi", "unknown column `cpu.ratoi`", "did you mean `cpu.ratio`?"),
    ("CPU.Ratio > 0.9", "CPU.Ratio", "unknown column", "`cpu.ratio`"),
    ("sick > 0.5", "sick", "unknown column", "did you mean `instances.sick`?"),
    ("ratio > 0.5", "ratio", "unknown column", "`errors.ratio`, `files.ratio` or `memory.ratio`"),
    ("memory > 0.5", "memory", "unknown column", "did you mean `memory.bytes`, `memory.ratio` or `memory.slope`?"),
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
    ("cpu.ratio > '0.9'", "cpu.ratio > '0.9'", "does not take a number and a string", "compared with text only"),
    ("target.name > 1", "target.name > 1", "does not take a string and a whole number", "text is compared with text"),
    ("target.nmae == 'x'", "target.nmae", "unknown column", "did you mean `target.name`?"),
    ("'x", "'", "unexpected", "text ends with the quote"),
    (r"target.name == 'a\d'", r"\d", "is no escape", "write r'"),
    ("target.name.startsWith(1)", "1", "takes one literal in quotes", ""),
    ("target.name.startsWith(target.kind)", "target.kind", "takes one literal in quotes", ""),
    ("target.name.startsWith()", "target.name.startsWith()", "is asked of a text", "target.name.startsWith('web')"),
    ("startsWith(target.name, 'x')", "startsWith(target.name, 'x')", "is asked of a text", "target.name.startsWith"),
    ("target.name.lower() == 'x'", "target.name.lower()", "unknown function", "(?i)"),
    ("labels.tier.lower() == 'x'", "labels.tier.lower()", "unknown function", "(?i)"),
    ("(cpu.ratio).max(2) > 1", "(cpu.ratio).max(2)", "max is asked of nothing", "write max("),
    ("(cpu.ratio).x > 1", "x", "a value has no x", "names with dots"),
    ("target.name.matches('(')", "'('", "the pattern is not used: it is none", ""),
    ("target.name in 'x'", "'x'", "`in` looks into a list, and this is a string", "['web', 'api']"),
    ("target.name in ['a', 1]", "1", "a string is never a whole number", "one type"),
    ("cpu.ratio in ['a']", "'a'", "a number is never a string", "one type"),
    ("target.name in []", "[]", "an empty list holds nothing", "members"),
    ("target.name in ['a', target.kind]", "target.kind", "a list holds constants", "||"),
    ("cpu.ratio in [probe.failures]", "probe.failures", "a list holds constants", "||"),
    ("change.age in [duration('1s')]", "duration('1s')", "a list holds constants", "||"),
    ("probe.ok in [true]", "true", "a list holds constants", ""),
    ("change.age in [1]", "change.age", "`in` finds text and numbers, and this is a duration", ""),
    ("['a'] == ['a']", "['a'] == ['a']", "`==` does not take a list and a list", ""),
    ("['a']", "['a']", "a condition is true or false, and this is a list", ""),
    ("labels == 'x'", "labels == 'x'", "does not take the labels and a string", ""),
    ("labels.a.b == 'x'", "labels.a.b", "unknown column", 'write labels["a.b"]'),
    ("labels[target.name] == 'x'", "target.name", "a label is named in quotes", 'labels["tier"]'),
    ("target.name['x'] == 'x'", "target.name", "only labels have keys", 'labels["tier"]'),
    ("target.kind in labels", "target.kind", "takes a name in quotes", "'tier' in labels"),
    ("known(labels.tier)", "known(labels.tier)", "asks about a measured column", "has(labels.tier)"),
    ("age(target.name) > duration('1s')", "age(target.name)", "asks about a measured column", "always known"),
    ("has(labels['tier'])", "has(labels['tier'])", "has() asks whether a label is there", "'tier' in labels"),
    ("target.name && probe.ok", "target.name", "`&&` joins bools, and this is a string", ""),
    ("probe.ok ? target.name : 1", "probe.ok ? target.name : 1", "can not choose between a string and a whole", ""),
    ("labels['x' == 'y'", "", "unexpected end", ""),
    ("target.name in ['a'", "", "unexpected end of the expression: expected , or ] in the list", ""),

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
    ("has(cpu.ratio)", "has(cpu.ratio)", "has() asks whether a label is there", "write known(cpu.ratio)"),
    ("knwon(cpu.ratio)", "knwon(cpu.ratio)", "unknown function `knwon`", "did you mean `known`?"),
    ("abs(cpu.ratio) > 1", "abs(cpu.ratio)", "unknown function `abs`", "max(x, -x)"),
    ("quux(cpu.ratio) > 1", "quux(cpu.ratio)", "unknown function", "there are age, contains, count, duration"),
    ("cpu.ratio.age() > 1", "cpu.ratio.age()", "unknown function", "write age(cpu.ratio)"),
    ("cpu.ratio() > 1", "cpu.ratio()", "unknown function", "is a column"),
    ("cpu.ratio in (1)", "1", "`in` looks into a list, and this is a whole number", "['web', 'api']"),
    ("cpu.ratio.matches('a')", "cpu.ratio", "matches() asks about text, and this is a number", ""),
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
    "target.name == 'web' && target.kind != \"Job\" && target.namespace in ['shop', 'pay']",
    "labels.tier == 'web' || target.labels['app.kubernetes.io/name'].matches(r'^web-\\d+$')", "has(labels.tier)",
    "'tier' in labels", "target.name.startsWith('it\\'s')", "probe.failures in [1, 2, -3]", "target.name < 'm'",
    "(probe.ok ? target.name : 'none').contains('x')",
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


def test_a_list_has_at_most_256_members() -> None:
    names = [f"'s{at}'" for at in range(257)]
    assert "at most 256 members, this one has 257" in str(_refused(f"target.name in [{', '.join(names)}]"))
    assert compile_condition(f"target.name in [{', '.join(names[:256])}]").cost() == 9


HOSTILE = [
    r"(?:.{0,30}){0,30}x",
    r"\pL{100}x",
    r"(?:[a-z]{1,50}[0-9]{1,50}){1,10}",
    r"[\x{0}-\x{10FFFF}]{1000}",
    r"(?:a|b|\pL){200}",
    r"(?:(?:a?){30}){30}",
    r"((a{0,100}){0,100}){0,100}",
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_pattern_that_would_be_slow_is_refused_when_it_is_loaded(pattern: str) -> None:
    need(find_spec("re2"), "needs google-re2")
    assert "the pattern is not used" in str(_refused(f"target.name.matches(r'{pattern}')"))


def test_without_re2_a_pattern_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert "RE2 is not installed here" in str(_refused("target.name.matches('^web')"))
    compile_condition("target.name.startsWith('web')")
