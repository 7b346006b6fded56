import json
import time
from enum import StrEnum
from typing import Annotated

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from telemetry.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Amount,
    Bytes,
    DocumentError,
    Duration,
    IntOrPercent,
    InvalidError,
    Matching,
    Seconds,
    Size,
    parse,
    parse_all,
    validate,
)
from telemetry.documents.quantities import format_duration


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, alias_generator=to_camel)


class Mode(StrEnum):
    SOFT = "Soft"
    HARD = "Hard"


class Pair(Part):
    both: Annotated[tuple[int, ...], Field(min_length=2)]


class Inner(Part):
    max_count: Annotated[int, Field(ge=1, le=9)] = 3
    names: Annotated[tuple[str, ...], Field(min_length=1)] = ("x",)
    short: Annotated[str, Matching("[a-z]{1,3}", "at most three lower-case letters")] = "abc"

    @model_validator(mode="after")
    def _agree(self) -> "Inner":
        if self.max_count == 7:
            raise InvalidError("seven is unlucky", "any other number")
        return self


class Model(Part):
    every: Duration = 1.0
    mode: Mode = Mode.SOFT
    ratio: float = 0.5
    flag: bool = False
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    amount: IntOrPercent | None = None
    size: Size | None = None


class Strict(Part):
    needed: str


def problems(text: str | bytes, model: type[BaseModel] | None = None) -> list[str]:
    """What is wrong with a text, as a user sees it."""
    try:
        document = parse(text, "f.yaml")
        if model is not None:
            validate(document, model)
    except DocumentError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", "2:1: a: is given twice"),
        ("x: {b: 1, b: 1}", "1:11: x.b: is given twice"),
        ("a: yes", "1:4: a: 'yes' is true or false in YAML 1.1 and text in 1.2"),
        ("no: 1", "1:1: 'no' is true or false in YAML 1.1"),
        ("a: Off", "1:4: a: 'Off' is true or false"),
        ("a: 12:30:45", "1:4: a: '12:30:45' is a number of base 60"),
        ("a: 1_000", "1:4: a: '1_000' is a number in YAML 1.1"),
        ("a: .inf", "1:4: a: '.inf' is no finite number"),
        ("a: -.INF", "1:4: a: '-.INF' is no finite number"),
        ("a: .NaN", "1:4: a: '.NaN' is no finite number"),
        ("a: 010", "1:4: a: '010' is octal in YAML 1.1"),
        ("a: 0o17", "1:4: a: '0o17' is not read the same"),
        ("a: 0x1F", "1:4: a: '0x1F' is not read the same"),
        ("a: 1e400", "1:4: a: '1e400' is too large a number"),
        ("a: 1234567890123456789", "1:4: a: '1234567890123456789' is too large a number (at most 18 digits)"),
        ("<<: {a: 1}", "1:1: '<<' has a special meaning"),
        ("a: &x 1", "1:4: a: &x is an anchor"),
        ("a: *x", "1:4: a: *x is an alias"),
        (
            "a: !!python/object/apply:os.system [x]",
            "1:4: a: 'tag:yaml.org,2002:python/object/apply:os.system' is a tag",
        ),
        ("when: !a", "1:7: when: '!a' is a tag"),
        ("80: web", "1:1: the key 80 is not text (put it in quotes)"),
        ("? [a]\n: 1", "1:3: a key must be text"),
        ("~: 1", "1:1: the key null is not text"),
        ("%YAML 1.1\n---\na: 1", "1:1: has a % directive"),
        ("a:\n\tb: 1", "2:1: is not YAML: found character that cannot start any token (indent with spaces)"),
        ("when: a ? b : c: d", "1:13: is not YAML: mapping values are not allowed in this context (put text"),
        ("when: @x", "1:7: is not YAML: found character that cannot start any token (put text"),
        ("a: [1", "1:6: is not YAML: did not find expected ',' or ']'"),
        ("a: 'x", "1:6: is not YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 1", "3:1: holds more than one document"),
        ("", "1:1: is empty"),
        ("---\n", "1:1: is empty"),
        ("# only\n", "1:1: is empty"),
        ("\ufeffa: 1", "1:1: starts with a byte order mark"),
        ("a: \x00", "1:4: holds the hidden character U+0000"),
        ("a: \x1b[31m", "1:4: holds the hidden character U+001B"),
        ("a: abc\u202ed", "1:7: holds the hidden character U+202E"),
        ('a: "\\e[0m"', "1:4: a: holds the hidden character U+001B"),
        ('a: "\\u202e"', "1:4: a: holds the hidden character U+202E"),
        (b"\xef\xbb\xbfa: 1", "1:1: starts with a byte order mark"),
        ("a: 1".encode("utf-16"), "1:1: is UTF-16 or binary"),
        ("a: 1".encode("utf-16-be"), "1:1: is UTF-16 or binary"),
        (b"a: 1\nb: \xff", "2:4: is not UTF-8"),
        (b"\x7fELF\x00\x00", "1:1: holds the hidden character U+007F"),
    ],
)
def test_what_yaml_readers_understand_differently_is_refused_with_its_place(text: str | bytes, expected: str):
    assert problems(text)[0].startswith(f"f.yaml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 20_000, "is nested too deeply (at most 32 levels)"),
        ("{a: " * 20_000, "is nested too deeply"),
        ("- " * 20_000, "is nested too deeply"),
        ("? " * 20_000, "a key must be text"),
        ("a: [" + "1," * MAX_NODES + "]", f"has too many values (at most {MAX_NODES} in a file)"),
        ("a: " + "x" * 10_000_000, f"is too large (at most {MAX_BYTES} bytes)"),
        ("a: " + "é" * (MAX_BYTES // 2), "is too large"),
        (b"a" * (MAX_BYTES + 1), "is too large"),
        ("a: &a [1]\n" + "".join(f"k{i}: &k{i} [{'*a,' * 9}]\n" for i in range(30)), "&a is an anchor"),
        ("a: [" + "*x," * 5000 + "]", "*x is an alias"),
    ],
)
def test_hostile_documents_are_refused_before_they_grow(text: str | bytes, expected: str):
    found = problems(text)
    assert expected in found[0]
    assert len(found) <= 100


def test_the_deepest_document_allowed_is_read_and_one_level_more_is_not():
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse(deep, "f").data is not None
    assert "too deeply" in problems(f"[{deep}]")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None), ("null", None), ("", None), ("true", True), ("FALSE", False), ("0", 0), ("-12", -12), ("+3", 3),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), ("'yes'", "yes"), ('"1_000"', "1_000"), ("y", "y"),
        ("2024-01-01", "2024-01-01"), ("30s", "30s"), ("10%", "10%"), ("1.2.3", "1.2.3"), ("a b", "a b"), ("-", None),
        ("127.0.0.1:8080", "127.0.0.1:8080"), ("|\n  x\n  y\n", "x\ny\n"), ("'it''s'", "it's"), ("a # b", "a"),
    ],
)  # fmt: skip
def test_plain_values_have_the_types_of_the_core_schema(text: str, value: object):
    expected = [None] if text == "-" else value
    found = parse(f"a:\n  {text}" if text == "-" else f"a: {text}", "f").data["a"]
    assert found == expected
    assert type(found) is type(expected)


def test_windows_line_ends_are_read_and_counted():
    assert parse("a: 1\r\nb: 2\r\n", "f").data == {"a": 1, "b": 2}
    assert problems("a: 1\r\nb: yes\r\n")[0].startswith("f.yaml:2:4:")


def test_documents_without_content_are_skipped_and_the_others_keep_their_places():
    first, second = parse_all("---\na: 1\n---\n---\nb: 2\n", "f")
    assert (first.data, first.place(("a",))) == ({"a": 1}, (2, 4))
    assert (second.data, second.place(("b",), key=True)) == ({"b": 2}, (5, 1))


def test_every_error_of_a_document_is_reported_at_its_place_with_what_is_allowed():
    text = """\
every: 5
mode: hard
amount: 101%
size: 200
ratio: half
flag: 1
inner: {maxCount: 0, max_count: 3, names: []}
many:
  - {maxCount: 7}
  - {shrot: abc, names: [1, b], short: ABCD}
  - 5
byName: {x: {maxCount: "3"}}
inenr: {}
"""
    keys = ["amount", "byName", "every", "flag", "inner", "many", "mode", "ratio", "size"]
    assert problems(text, Model) == [
        "f.yaml:1:8: every: 5 is not a duration (like 30s, 5m, 1h30m or 1d; units d h m s ms)",
        "f.yaml:2:7: mode: 'hard' is not allowed (did you mean Hard? allowed: Soft, Hard)",
        "f.yaml:3:9: amount: '101%' is neither a number nor a percentage (a number from 0, or 0% to 100%)",
        "f.yaml:4:7: size: 200 is not a size (like 200Mi or 1Gi; units Ki Mi Gi Ti k M G T)",
        "f.yaml:5:8: ratio: must be a number, not 'half'",
        "f.yaml:6:7: flag: must be true or false, not 1",
        "f.yaml:7:19: inner.maxCount: 0 is out of bounds (must be >= 1)",
        "f.yaml:7:22: inner.max_count: is an unknown key (did you mean maxCount? allowed: maxCount, names, short)",
        "f.yaml:7:43: inner.names: is empty (at least 1)",
        "f.yaml:9:5: many[0]: seven is unlucky (any other number)",
        "f.yaml:10:6: many[1].shrot: is an unknown key (did you mean short? allowed: maxCount, names, short)",
        "f.yaml:10:26: many[1].names[0]: must be text, not 1 (put it in quotes)",
        "f.yaml:10:40: many[1].short: 'ABCD' is not allowed (at most three lower-case letters)",
        "f.yaml:11:5: many[2]: must be a mapping, not 5",
        "f.yaml:12:24: byName.x.maxCount: must be a whole number, not '3'",
        f"f.yaml:13:1: inenr: is an unknown key (did you mean inner? allowed: {', '.join(keys)})",
    ]


def test_null_is_no_value_and_missing_is_not_null():
    assert problems("every:\ninner: ~\nmany: [null]\n", Model) == [
        "f.yaml:1:7: every: has no value (give it one, or leave the key out)",
        "f.yaml:2:8: inner: has no value (give it one, or leave the key out)",
        "f.yaml:3:8: many[0]: has no value (give it one, or leave the key out)",
    ]
    assert problems("{}", Strict) == ["f.yaml:1:1: needed: is required"]
    assert problems("[]", Strict) == ["f.yaml:1:1: must be a mapping, not a list"]
    assert problems("{}", Model) == []


def test_a_list_that_is_too_short_says_so_unless_only_its_items_are_wrong():
    assert problems("both: [1]", Pair) == ["f.yaml:1:7: both: has too few entries (at least 2)"]
    assert problems("both: []", Pair) == ["f.yaml:1:7: both: is empty (at least 2)"]
    assert problems("both: [a, 2]", Pair) == ["f.yaml:1:8: both[0]: must be a whole number, not 'a'"]


def test_a_message_repeats_no_line_break_and_no_long_or_foreign_text_as_it_is():
    (long,) = problems("mode: " + "x" * 5000, Model)
    assert len(long) < 200
    (foreign,) = problems("m\u043ede: Soft", Model)  # a Cyrillic o
    assert foreign.startswith("f.yaml:1:1: ['m\\u043ede']: is an unknown key (did you mean mode?")
    (broken,) = problems('mode: "a\\nb"', Model)
    assert "\n" not in broken


def test_a_valid_document_becomes_a_frozen_model():
    text = "{every: 1h30m, mode: Hard, ratio: 1, amount: 10%, size: 5Mi, many: [{maxCount: 2}], byName: {a: {}}}"
    model = validate(parse(text, "f"), Model)
    assert (model.every, model.mode, model.ratio, model.size) == (5400.0, Mode.HARD, 1.0, 5 << 20)
    assert model.amount == Amount(10, percent=True)
    assert model.many == (Inner(max_count=2),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1d2h3m4s5ms", 93784.005),
        ("90m", 5400),
    ],
)
def test_a_duration_is_a_sum_of_units(text: str, seconds: float):
    assert Seconds()(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "5",
        5,
        5.0,
        True,
        "",
        "5 m",
        "m5",
        "-5m",
        "1m1h",
        "1.5h",
        "5M",
        "5min",
        "s",
        "1h 30m",
        "\u0665m",
        "9" * 30 + "s",
        [],
        "1e3s",
    ],
)
def test_what_is_no_duration_is_refused(value: object):
    with pytest.raises(InvalidError, match="is not a duration"):
        Seconds()(value)


def test_a_duration_keeps_its_bounds():
    for value in ("0s", "0d0h", "367d", "999999d"):
        with pytest.raises(InvalidError, match="out of bounds") as caught:
            Seconds()(value)
        assert caught.value.hint == "from 1ms to 366d"
    assert Seconds(minimum=0)("0s") == 0
    with pytest.raises(InvalidError):
        Seconds(minimum=1, maximum=60)("61s")


@given(st.integers(1, 366 * 86_400_000))
def test_a_duration_reads_back_as_it_was_written(milliseconds: int):
    assert Seconds()(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(("text", "size"), [("1Ki", 1024), ("200Mi", 200 << 20), ("5k", 5000), ("1T", 10**12)])
def test_a_size_has_a_unit(text: str, size: int):
    assert Bytes()(text) == size


@pytest.mark.parametrize("value", ["200", 200, "1.5Gi", "5 Mi", "-1Mi", "5mb", "", None])
def test_what_is_no_size_is_refused(value: object):
    with pytest.raises(InvalidError, match="is not a size"):
        Bytes()(value)


def test_a_size_keeps_its_bounds():
    for value in ("0Mi", "999999999999Ti"):
        with pytest.raises(InvalidError, match="out of bounds"):
            Bytes()(value)


@pytest.mark.parametrize("value", ["101%", "10 %", "-1", "-1%", "1.5%", "%", "", "1_000_001"])
def test_what_is_no_amount_is_refused(value: str):
    assert "neither a number nor a percentage" in problems(f"amount: '{value}'", Model)[0]


def test_a_share_is_rounded_down_and_a_number_stands_for_itself():
    assert [Amount(10, percent=True).of(n) for n in (0, 5, 9, 10, 25)] == [0, 0, 0, 1, 2]
    assert [Amount(100, percent=True).of(3), Amount(0, percent=True).of(3), Amount(2).of(1)] == [3, 0, 2]
    assert (str(Amount(10, percent=True)), str(Amount(3))) == ("10%", "3")


def test_the_schema_of_quantities_is_text():
    schema = Model.model_json_schema()["properties"]
    assert schema["every"]["type"] == "string"
    assert schema["size"]["anyOf"][0]["type"] == "string"


# --- properties ---

_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x1FFFF, exclude_categories=["C", "Zl", "Zp"]), max_size=30
)
# what the dumper leaves without quotes by YAML 1.1 and we refuse: it starts like a number or an operator
_word = _text.map(lambda text: text if text[:1].isalpha() else f"t{text}")


def _tree(texts: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=20,
    )


@given(_tree(_text))
@settings(max_examples=200)
def test_json_reads_back(value: object):
    assert parse(json.dumps({"a": value}, ensure_ascii=False), "f").data == {"a": value}


@given(_tree(_word))
@settings(max_examples=200)
def test_yaml_reads_back_in_block_and_in_flow_style(value: object):
    for flow in (False, True):
        text = yaml.dump({"a": value}, Dumper=yaml.CSafeDumper, allow_unicode=True, default_flow_style=flow, width=20)
        assert parse(text, "f").data == {"a": value}


@given(_text.filter(lambda text: text.strip()), st.sampled_from([None, "'", '"', "|", ">"]))
@settings(max_examples=300)
def test_the_place_of_a_character_of_a_value_is_its_place_in_the_file(value: str, style: str | None):
    value = value if style else f"x{value}"  # not like a number: such text would be refused without quotes
    text = yaml.dump({"a": {"b": value}}, Dumper=yaml.CSafeDumper, allow_unicode=True, default_style=style, width=15)
    document = parse(text, "f")
    path = next(path for path in document.spans if len(path) == 2)
    lines = text.split("\n")
    for offset, character in enumerate(document.value(path)):
        line, column = document.place(path, offset=offset)
        there = lines[line - 1][column - 1 : column]
        if character != " ":  # blanks are folded; quotes and what the dumper escapes stand there as escapes
            assert there in {character, "\\"}


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=300)
def test_reading_arbitrary_bytes_raises_nothing_but_document_errors(text: bytes | str):
    problems(text, Model)


_token = st.sampled_from(
    [
        *"[]{},:-?&*!|>'\"%@`#\n \t~",
        "a",
        "every",
        "1",
        ": ",
        "- ",
        "\n  ",
        "<<",
        "---\n",
        "...\n",
        "*a",
        "&a ",
        "!!x ",
        "'",
        "\\",
        "\ud800",
    ]
)


@given(st.lists(_token, max_size=60).map("".join))
@settings(max_examples=500)
def test_reading_token_soup_raises_nothing_but_document_errors(text: str):
    problems(text, Model)


@given(
    st.dictionaries(
        st.sampled_from(["every", "mode", "ratio", "inner", "many", "byName", "amount", "size", "x"]), _tree(_text)
    )
)
@settings(max_examples=300)
def test_validating_arbitrary_data_raises_nothing_but_document_errors(data: dict[str, object]):
    problems(json.dumps(data), Model)


@pytest.mark.parametrize("before", ["", "a: 1\n...\n", "a: 1\r", "# note\n"])
def test_a_megabyte_of_directives_is_refused_before_it_costs_anything(before):
    """Found by growing inputs: libyaml compares each %TAG with all before it, 13 seconds for one file."""
    text = before + "".join(f"%TAG !{number:x}! x\n" for number in range(60_000)) + "--- {}\n"
    begun = time.thread_time()
    with pytest.raises(DocumentError) as caught:
        parse(text, "f")
    assert time.thread_time() - begun < 1.0
    assert [(p.line, p.column, p.message) for p in caught.value.problems] == [
        (before.count("\n") + 1, 1 + len(before.rpartition("\n")[2]), "has a % directive")
    ]


@pytest.mark.parametrize("name", ["a\udcff.yaml", "a\x1b[2J.yaml", "a\nb.yaml", "a\u202eb.yaml"])
def test_the_name_of_a_file_can_not_speak_to_the_terminal_nor_end_the_printing(name):
    """Found by fuzzing: a name that is no UTF-8 can not even be printed."""
    with pytest.raises(DocumentError) as caught:
        parse("a: [", name)
    assert str(caught.value).isprintable()
    assert caught.value.problems[0].file == name
    with pytest.raises(DocumentError) as caught:
        parse("a: [", "\u00fcber/" + "a" * 5000)
    assert str(caught.value).startswith("\u00fcber/aaa")
    assert len(str(caught.value)) < 4500
