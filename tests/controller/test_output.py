import io
import json

import pytest
import yaml

from controller.cli.errors import CliError, bad_input
from controller.cli.output import Answer, Field, Format, asked_for, emit, emit_error, printable, to_json

ROWS = (
    {"name": "shop/checkout", "health": "sick", "cpu": 0.25},
    {"name": "shop/cart", "health": "ok", "cpu": None},
)
ANSWER = Answer(
    data={"targets": ROWS},
    rows=ROWS,
    fields=(
        Field("TARGET", lambda r: r["name"]),
        Field("HEALTH", lambda r: r["health"]),
        Field("CPU", lambda r: r["cpu"], right=True),
        Field("MORE", lambda _: "x" * 60, wide=True),
    ),
    name="name",
    notes=("1 ok, 1 sick",),
    empty="no targets",
)


LONG = Answer(data={}, rows=ROWS, fields=(*ANSWER.fields[:2], Field("MORE", lambda _: "x" * 100)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(form: Format, answer: Answer = ANSWER, **given: bool) -> str:
    stream = io.StringIO()
    emit(answer, form, stream=stream, **given)
    return stream.getvalue()


def test_a_table_is_plain_in_a_pipe():
    assert written(Format.TABLE) == (
        "TARGET          HEALTH    CPU\nshop/checkout   sick     0.25\nshop/cart       ok          -\n\n1 ok, 1 sick\n"
    )


def test_headings_can_be_left_out():
    assert written(Format.TABLE, headers=False).splitlines()[0] == "shop/checkout   sick   0.25"


def test_wide_shows_every_column_and_folds_none_in_a_pipe():
    assert "x" * 60 in written(Format.WIDE)
    assert "x" not in written(Format.TABLE)


def test_json_has_an_envelope():
    assert json.loads(written(Format.JSON)) == {"data": {"targets": list(ROWS)}}


def test_yaml_is_the_same_as_json():
    assert yaml.safe_load(written(Format.YAML)) == json.loads(written(Format.JSON))


def test_jsonl_is_one_row_a_line():
    assert [json.loads(line) for line in written(Format.JSONL).splitlines()] == list(ROWS)


def test_jsonl_of_what_is_no_list_is_one_line():
    assert json.loads(written(Format.JSONL, Answer(data={"a": 1}))) == {"a": 1}


def test_jsonl_of_an_empty_list_is_nothing():
    assert written(Format.JSONL, Answer(data={"a": []}, name="a")) == ""


def test_name_is_one_name_a_line():
    assert written(Format.NAME) == "shop/checkout\nshop/cart\n"


def test_name_is_refused_where_there_are_none():
    with pytest.raises(CliError) as caught:
        written(Format.NAME, Answer(data={"a": 1}))
    assert caught.value.exit_code == 2


def test_an_empty_table_says_so():
    assert written(Format.TABLE, Answer(data={}, fields=ANSWER.fields, empty="no targets")) == "no targets\n"


def test_a_terminal_gets_color_and_is_not_overflown(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    emit(LONG, Format.TABLE, stream=stream)
    assert "\x1b[1;31msick" in stream.getvalue()
    import re

    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, plain.splitlines())) <= 60
    assert plain.count("x") == 200


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_is_respected(monkeypatch, name, value):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    stream = Terminal()
    emit(ANSWER, Format.TABLE, stream=stream)
    assert "\x1b[1;31m" not in stream.getvalue()
    assert "31" not in stream.getvalue()


def test_a_name_from_outside_moves_no_cursor_and_breaks_no_line():
    assert printable("a\x1b[2Jb\nc\u202ed") == "a\\x1b[2Jb\\nc\\u202ed"
    row = {"name": "x\x1b[2J\ny", "health": "[red]ok[/red]", "cpu": 1}
    table = written(Format.TABLE, Answer(data={}, rows=(row,), fields=ANSWER.fields))
    assert "x\\x1b[2J\\ny" in table
    assert "[red]ok[/red]" in table
    assert len(table.splitlines()) == 2


def test_what_is_not_finite_is_null_in_json():
    assert to_json({"a": [float("nan"), float("inf"), 1.5]}) == '{"a": [null, null, 1.5]}'


ERROR = bad_input("the settings are not used:", "a.yaml:1:1: no", hint="look")


def test_an_error_for_people_goes_to_stderr(capsys):
    emit_error(ERROR, Format.TABLE)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: the settings are not used:\n  a.yaml:1:1: no\nhint: look\n"


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL, Format.YAML])
def test_an_error_for_scripts_is_in_their_form(capsys, form):
    emit_error(ERROR, form)
    out, _ = capsys.readouterr()
    assert yaml.safe_load(out) == {
        "error": {
            "code": "BadInput",
            "message": "the settings are not used:",
            "details": {"problems": ["a.yaml:1:1: no"], "hint": "look"},
        }
    }


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("status", Format.TABLE),
        ("--json status", Format.JSON),
        ("status --json", Format.JSON),
        ("status -o yaml", Format.YAML),
        ("status --output=jsonl", Format.JSONL),
        ("--format json status", Format.JSON),
        ("status -o bad", Format.TABLE),
        ("status -o", Format.TABLE),
    ],
)
def test_the_form_is_known_before_the_command_line_is_right(words, form):
    assert asked_for(words.split()) is form
