import base64
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import Stored
from audit.export import COLUMNS, export_csv, export_jsonl, instant

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def stored(seq=1, body=b'{"n":1}', **texts):
    values = {"actor": "controller", "kind": "Intent", "subject": "shop/checkout"} | texts
    return Stored(1_700_000_000.25, **values, body=body, seq=seq, epoch=3, hash=bytes(32))


def jsonl(*records):
    out = io.StringIO()
    assert export_jsonl(iter(records), out) == len(records)
    return out.getvalue()


def rows(*records):
    out = io.StringIO(newline="")
    assert export_csv(iter(records), out) == len(records)
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def test_a_record_is_one_object_a_line_with_the_time_in_utc():
    assert jsonl(stored(), stored(2)) == (
        '{"seq":1,"at":"2023-11-14T22:13:20.250000Z","epoch":3,"actor":"controller","kind":"Intent",'
        f'"subject":"shop/checkout","body":{{"n":1}},"hash":"{"0" * 64}"}}\n'
        '{"seq":2,"at":"2023-11-14T22:13:20.250000Z","epoch":3,"actor":"controller","kind":"Intent",'
        f'"subject":"shop/checkout","body":{{"n":1}},"hash":"{"0" * 64}"}}\n'
    )


@given(JSON, st.sampled_from([None, 2]), TEXT, TEXT)
def test_a_body_that_is_json_stands_as_it_is_on_one_line(value, indent, actor, subject):
    text = jsonl(stored(body=json.dumps(value, indent=indent).encode(), actor=actor, subject=subject))
    assert text.count("\n") == 1
    found = json.loads(text)
    assert (found["body"], found["actor"], found["subject"]) == (value, actor, subject)
    assert "body_base64" not in found


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"{", b'{"a":1} x', b"NaN", b"[" * 10_000])
def test_any_other_body_is_base64(body):
    import base64

    found = json.loads(jsonl(stored(body=body)))
    assert base64.b64decode(found["body_base64"]) == body
    assert "body" not in found
    row = rows(stored(body=body))[0]
    assert (base64.b64decode(row["body_base64"]), row["body"]) == (body, "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "|", "%"])
@pytest.mark.parametrize("column", ["actor", "kind", "subject"])
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(start, column):
    formula = f"{start}cmd|' /C calc'!A0"
    assert rows(stored(**{column: formula}))[0][column] == f"'{formula}"


def test_a_body_that_a_spreadsheet_would_run_begins_with_an_apostrophe():
    assert rows(stored(body=b"-1"))[0]["body"] == "'-1"


@given(TEXT, TEXT, TEXT)
def test_no_cell_of_text_begins_with_what_a_spreadsheet_would_run(actor, kind, subject):
    row = rows(stored(actor=actor, kind=kind, subject=subject))[0]
    assert tuple(row) == COLUMNS
    for name, value in (("actor", actor), ("kind", kind), ("subject", subject)):
        assert row[name].removeprefix("'") == value.removeprefix("'")
        assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_carriage_return_in_a_cell_begins_no_row():
    out = io.StringIO(newline="")
    export_csv([stored(subject="x\r=cmd()")], out)
    assert '"x\r=cmd()"' in out.getvalue()


def test_no_record_gives_a_header_and_no_line():
    assert jsonl() == ""
    out = io.StringIO()
    assert export_csv([], out) == 0
    assert out.getvalue() == ",".join(f'"{name}"' for name in COLUMNS) + "\n"


def test_records_are_written_as_they_come():
    out = io.StringIO()

    def one_by_one():
        for seq in (1, 2, 3):
            assert out.getvalue().count("\n") == seq - 1
            yield stored(seq)

    assert export_jsonl(one_by_one(), out) == 3


@pytest.mark.parametrize("at", [1e300, -1e300, 1e15])
def test_a_time_outside_the_calendar_is_plain_seconds(at):
    assert instant(at) == repr(at)


def test_a_time_has_microseconds_even_when_there_are_none():
    assert instant(0.0) == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("body", [b'"\xff"', b'{"a": 1e999}'])
def test_a_body_that_is_json_to_nobody_else_is_base64(body):
    """A formatter passes it on, a reader can not read it."""
    (row,) = jsonl(stored(body=body)).splitlines()
    assert base64.b64decode(json.loads(row)["body_base64"]) == body
