"""Pruning under a real loop: what is open, paused or claimed was begun in records that are gone, and goes on."""

import json
from contextlib import closing

import pytest

from audit.journal import JournalError
from audit.prune import Wish, prune
from audit.stores.sqlite import SqliteStore
from audit.verify import verify
from controller.compose import STORE
from controller.trail import Trail
from tests.audit.journals import make_journal
from tests.faults.rig import Rig, restart_policy, rig

SERVICE = "cart"
NOW = ("audit", "prune", "--older-than", "0s", "--why", "room")


def pruned(made: Rig, *words: str) -> dict:
    return json.loads(made.auto("--json", *NOW, *words).stdout)["data"]


def opened(made: Rig) -> bool:
    return any(episode["target"].endswith(SERVICE) for episode in made.view("episodes")["episodes"])


def test_a_pause_and_an_open_episode_outlive_the_records_that_began_them():
    with rig({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}) as made:
        made.start_loop()
        made.view()
        made.hang(SERVICE)
        made.wait_for(lambda: len(made.accepted()) == 1 and made.well(SERVICE), "it is healed")
        made.auto("pause", "--why", "a test")
        incarnation = made.hang(SERVICE)
        made.wait_for(lambda: opened(made), "an episode is open")
        for _ in range(2):  # two clean stops: two kept states behind all of this
            assert made.stop_loop() == 0
            made.start_loop()
            made.view()
        (made.state / "paused").unlink()  # so that only the trail says so
        planned = pruned(made, "--dry-run")
        assert planned["records"] > 5
        assert verify(made.state / STORE).pruned == 0
        done = pruned(made)  # beside the running loop
        assert done["first"] >= planned["first"]
        made.kill_loop()
        report = verify(made.state / STORE)
        assert (report.ok, report.pruned) == (True, done["first"] - 1)

        made.start_loop()
        assert made.view()["remediation"]["paused"]
        assert opened(made)
        assert len(made.accepted()) == 1
        made.auto("resume", "--why", "pruned")
        made.wait_for(lambda: len(made.accepted()) == 2 and made.well(SERVICE), "it is healed, too")
        assert made.accepted()[-1]["before"] == incarnation

        said = made.auto("audit", "verify").stdout
        assert f"records 1 to {done['first'] - 1} were pruned by" in " ".join(said.split())
        refused = made.auto("audit", "show", "1", code=None)
        assert refused.returncode != 0
        assert "were pruned" in refused.stderr
        listed = json.loads(made.auto("--json", "audit", "list", "--last", "100000").stdout)["data"]["records"]
        assert listed[0]["seq"] == done["first"]


def test_a_loop_does_not_begin_with_nothing_where_the_state_of_what_was_pruned_is_not_trusted(tmp_path):
    path = make_journal(tmp_path / "state", 100, (50, 80))
    prune(path, Wish(1.8e9, "ann", "room"), 1.8e9)
    with closing(SqliteStore(path)) as store, pytest.raises(JournalError, match="records 1 to 49 of the trail were pr"):
        Trail(store, lambda _: False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--older-than", "7", "--why", "x"), "is not a duration (like 30s, 5m, 1h30m or 1d"),
        (("--older-than", "1d"), "Missing option '--why'"),
        (("--why", "x"), "Missing option '--older-than'"),
        (("--older-than", "1d", "--why", " "), "must not be empty"),
        (("--older-than", "1d", "--why", "x"), "no trail at"),
    ],
)
def test_what_is_wrong_with_a_wish_to_prune_is_said(words, said):
    with closing(Rig({}, {})) as made:
        done = made.auto("audit", "prune", *words, code=None)
        assert done.returncode != 0
        assert said in " ".join((done.stdout + done.stderr).split())
