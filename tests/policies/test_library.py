"""Each policy of the library fires in the story that it is for, and not in the one that looks like it."""

from functools import cache
from pathlib import Path

import pytest

from policies.library import FOLDER, load_library
from policies.policy import Mode, Policy

from .simulation import MIB, Moment, Story, tell
from .test_library_kubernetes import NAMES

KUBERNETES = {*NAMES}
CALM = Moment()
MINUTE = 60.0


@cache
def _library() -> dict[str, Policy]:
    result = load_library()
    assert result.problems == ()
    return {policy.name: policy for policy in result.policies}


def _from(minute: float, then: Moment, before: Moment = CALM) -> Story:
    """One moment until a minute, another one after it."""
    return lambda seconds: then if seconds >= minute * MINUTE else before


def _leaking(per_minute: float) -> Story:
    return lambda seconds: Moment(memory=min(600 + per_minute * seconds / MINUTE, 990) * MIB)


IDLE = Moment(rate=8.0, cpu=0.1)
FIRES: dict[str, tuple[Story, float, tuple[float, float], str]] = {
    # name: story, minutes, seconds between which it acts, what it writes first
    "hang": (_from(2, Moment(sick=1)), 5, (150, 170), "slots/0/incarnation"),
    "slow": (_from(15, Moment(took=0.4, cpu=0.8)), 25, (1020, 1140), "desired"),
    "over-provisioned": (lambda _: IDLE, 50, (1800, 2000), "desired"),
    "leak": (_leaking(12.0), 40, (790, 900), "slots/0/incarnation"),
    "silence": (_from(15, Moment(rate=0.0)), 25, (1080, 1200), ""),
    "saturation": (_from(15, Moment(cpu=0.97)), 25, (1080, 1140), "desired"),
}
QUIET: dict[str, tuple[Story, float]] = {
    # the same symptom with another cause, or too little of it
    "hang": (lambda seconds: Moment(sick=int(seconds % 60 < 20)), 10),  # it recovers by itself, again and again
    "slow": (_from(15, Moment(took=0.4, cpu=0.1)), 25),  # slow, and idle: the time is spent elsewhere
    "over-provisioned": (lambda _: Moment(rate=8.0, cpu=0.1, failed=0.5), 50),  # idle, because half of it fails
    "leak": (lambda seconds: Moment(memory=(600 + seconds % 300) * MIB), 40),  # it grows fast, and is collected
    "silence": (_from(15, Moment(rate=0.05), Moment(rate=0.05)), 25),  # never more than three requests a minute
    "saturation": (_from(15, Moment(cpu=0.97, changed=True)), 25),  # somebody changed it just now
}


def test_the_library_is_what_the_issue_names():
    assert _library().keys() - KUBERNETES == FIRES.keys() == QUIET.keys()


@pytest.mark.parametrize("name", FIRES)
def test_it_fires(name: str):
    story, minutes, (earliest, latest), path = FIRES[name]
    told = tell(_library()[name], story, minutes)
    assert told.intent is not None, told.held
    assert earliest <= told.after <= latest
    assert (told.intent.changes[0].path if told.intent.changes else "") == path


@pytest.mark.parametrize("name", QUIET)
def test_it_must_not_fire(name: str):
    story, minutes = QUIET[name]
    told = tell(_library()[name], story, minutes)
    assert told.intent is None
    calm = tell(_library()[name], lambda _: CALM, 12)
    assert calm.intent is None


@pytest.mark.parametrize("name", [*FIRES, *NAMES])
def test_it_only_watches_until_a_person_says_otherwise(name: str):
    assert _library()[name].mode is Mode.OBSERVE


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_it_reads_in_one_breath(path: Path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# yaml-language-server: $schema=")
    comment = [line for line in lines if line.startswith("#")]
    assert any(line.startswith("# Not ") or " Not " in line for line in comment)
    assert len(lines) - len(comment) <= 14
    assert f"name: {path.stem}" in path.read_text()
