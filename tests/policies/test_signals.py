"""Policies read signals, and what they read is part of what they are."""

import json
from pathlib import Path

import pytest

from policies.load import load_folder, together
from policies.policy import compile_policy
from telemetry.documents import DocumentError, parse
from telemetry.signals.load import builtin, load_signals

from .make import policy, text

MINE = "apiVersion: gyrostat.dev/v1alpha1\nkind: Signals\nconstants: {{degraded_from: {edge}}}\n"


def test_a_policy_holds_the_signals_that_it_reads():
    made = policy(when="health.state == 'critical' && !change.recent")
    assert json.loads(made.content)["signals"].keys() == {"health.score", "health.state"}
    again = compile_policy(made.content, "trail")
    assert again == made
    assert again.when.program == made.when.program
    assert again.content == made.content


def test_a_policy_without_signals_holds_none():
    assert "signals" not in json.loads(policy(when="cpu.ratio > 0.9").content)


def test_another_signal_makes_it_another_policy(tmp_path: Path):
    document = parse(text(when="health.state == 'critical'"), "p.yaml")
    other = parse(text(when="health.score < 0.3"), "p.yaml")
    hashes, others = set(), set()
    for edge in (0.3, 0.4):
        (tmp_path / "mine.yaml").write_text(MINE.format(edge=edge))
        signals = load_signals(tmp_path).signals
        hashes.add(compile_policy(document, signals=signals).hash)
        others.add(compile_policy(other, signals=signals).hash)
    assert (len(hashes), len(others)) == (2, 1)
    assert compile_policy(document, signals=builtin()).hash in hashes


@pytest.mark.parametrize(
    "signals", ["[]", "{health.score: {}}", '{"my.x": {"kind": "number", "unit": "1", "is": "gone.x"}}']
)
def test_content_whose_signals_mean_nothing_is_refused(signals: str):
    content = text(when="health.score < 0.5") + f"signals: {signals}\n"
    with pytest.raises(DocumentError):
        compile_policy(content, "trail")


def test_a_user_writes_no_signals_into_a_policy():
    with pytest.raises(DocumentError, match="signals: is an unknown key"):
        compile_policy(parse(text() + "signals: {}\n", "p.yaml"))


def test_until_is_known_to_be_the_opposite_of_when():
    assert not policy(when="cpu.ratio > 0.9").has_until
    assert policy(when="cpu.ratio > 0.9", until="cpu.ratio < 0.5").has_until


def test_a_set_that_costs_too_much_is_refused_whole(tmp_path: Path):
    for at in range(90):
        parts = " + ".join(f"cpu.ratio / {at * 1000 + part + 1}.0" for part in range(125))
        (tmp_path / f"p{at}.yaml").write_text(
            text(when=f"{parts} > 1").replace("name: hung", f"name: p{at}"))  # fmt: skip
    result = load_folder(tmp_path)
    assert "the policies take" in str(result.problems[0])
    assert "more than 20000" in str(result.problems[0])
    (tmp_path / "p0.yaml").unlink()
    for at in range(20, 90):
        (tmp_path / f"p{at}.yaml").unlink()
    result = load_folder(tmp_path)
    assert result.problems == ()
    assert 19 * 250 <= together(result.policies) <= 19 * 251


def test_what_policies_share_is_counted_once():
    one = policy(when="health.score < 0.5")
    two = policy(when="health.score < 0.4")
    assert together([one, two]) == together([one]) + 2  # a comparison, and its opposite
