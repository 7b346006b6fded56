"""The short run: every kept input, small changes of them, and a few seconds of a fuzzer that follows coverage."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS, fuzz
from tests.fuzz.drive import Findings
from tests.fuzz.rules import MOST, BrokenRuleError, grown, plain
from tests.fuzz.targets import NAMES
from tests.needs import need

SECONDS = 3
TARGETS = pytest.mark.parametrize("name", NAMES)


def seeds(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def check(name: str, data: bytes) -> None:
    importlib.import_module(f"tests.fuzz.targets.{name}").check(data)


def test_the_corpus_is_small_and_has_something_for_every_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(NAMES)
    assert min(len(seeds(name)) for name in NAMES) >= 5
    assert sum(len(seed) for name in NAMES for seed in seeds(name)) < 100_000


@TARGETS
def test_every_kept_input_keeps_the_rules(name: str) -> None:
    for seed in seeds(name):
        check(name, seed)


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A kept input of which pieces are others, repeated, moved or gone."""
    known = seeds(name)
    words = [word.encode() for word in importlib.import_module(f"tests.fuzz.targets.{name}").WORDS]
    data = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 20)))
        other = draw(st.sampled_from(known))
        at = draw(st.integers(0, len(other)))
        pieces = [
            st.binary(max_size=8),
            st.sampled_from(words),
            st.just(other[at : at + 30]),
            st.just(data[start:end] * 2),
        ]
        data = data[:start] + draw(st.one_of(pieces)) + data[end:]
    return data


@TARGETS
@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_small_changes_of_what_is_right_keep_the_rules(name: str, data: st.DataObject) -> None:
    check(name, data.draw(changed(name)))


@TARGETS
def test_a_few_seconds_of_fuzzing_find_nothing(name: str, tmp_path: Path) -> None:
    need(importlib.util.find_spec("atheris"), "needs atheris (in the dev group)")
    run = fuzz(name, SECONDS, tmp_path, seed=1)
    assert run.findings == (), run.output[-5000:]
    assert run.executions > 20
    assert run.coverage > 100


def test_a_broken_rule_is_kept_once_and_does_not_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(data: bytes) -> None:
        if data.startswith(b"a"):
            plain("two\nlines")

    findings = Findings(fails, tmp_path)
    for data in (b"", b"ab", b"ac", b"b"):
        findings(data)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"ab"]
    assert len(re.findall("FINDING", capsys.readouterr().err)) == 1


@pytest.mark.parametrize("text", ["", " ", "a\nb", "\x1b[2J", "a\u202eb", "x" * 9000])
def test_a_message_that_says_nothing_or_more_than_it_shows_breaks_a_rule(text: str) -> None:
    with pytest.raises(BrokenRuleError):
        plain(text)


def test_an_input_grows_to_the_limit_and_not_beyond() -> None:
    assert grown(b"as it is") == b"as it is"
    assert grown(b"(\x00ab\x00)", 10) == b"(abababab)"
    assert len(grown(b"a\x00bc\x00d")) == MOST
