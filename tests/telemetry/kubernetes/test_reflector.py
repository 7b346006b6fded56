"""What is here is what is there, whatever comes in between (F7, F8, F9)."""

import pytest

from telemetry.sources.kubernetes.reflector import PAST, SLACK, WATCH

from .samples import bookmark, crashing, event, page, pod
from .scripted import Rig, SaidError

A, B = pod("web-1-a", rv="101"), pod("web-1-b", rv="102")
QUIET = [bookmark("300")]


def error(code, reason="Expired"):
    return event("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "too old resource version"})


def test_it_lists_page_by_page_and_watches_from_there():
    rig = Rig(page(A, rv="200", token="more"), page(B, rv="200"), QUIET).run()
    assert rig.names == ["web-1-a", "web-1-b"]
    assert [query.get("continue") for _, query in rig.server.asked] == [None, "more", None]
    watch = rig.server.asked[2][1]
    assert (watch["resourceVersion"], watch["allowWatchBookmarks"]) == ("200", "true")
    assert int(watch["timeoutSeconds"]) == WATCH


def test_added_changed_and_deleted_pods_are_followed():
    changed = pod("web-1-a", rv="203", containers=[crashing()])
    gone = pod("web-1-b", rv="204")
    rig = Rig(page(A), [event("ADDED", pod("web-1-b", rv="202")), event("MODIFIED", changed), event("DELETED", gone)])
    rig.run()
    assert rig.names == ["web-1-a"]
    assert rig.here["p-web-1-a"].ready is False
    assert rig.standing.lists == 1


def test_a_watch_that_the_server_ends_goes_on_from_its_bookmark_without_a_list():
    rig = Rig(page(A), [bookmark("500")], [bookmark("600")], QUIET).run()
    assert rig.verbs() == ["list", "watch", "watch", "watch"]
    assert [query["resourceVersion"] for _, query in rig.server.asked[1:]] == ["200", "500", "600"]
    assert rig.server.waits == []


@pytest.mark.parametrize("gone", [SaidError(410, "Gone"), [error(410)]], ids=["on open", "in the stream"])
def test_a_version_that_is_too_old_is_listed_again(gone):
    rig = Rig(page(A, B), gone, page(B, rv="900"), QUIET).run()
    assert rig.names == ["web-1-b"]
    assert rig.verbs() == ["list", "watch", "list", "watch"]
    assert rig.news == [(2, 0), (0, 1)]


def test_a_page_that_has_expired_begins_the_list_anew():
    rig = Rig(page(A, token="more"), SaidError(410, "Expired"), page(A, token="again"), page(B), QUIET).run()
    assert rig.names == ["web-1-a", "web-1-b"]
    assert rig.server.asked[2][1].get("continue") is None


def test_a_page_that_comes_too_late_is_asked_for_in_smaller_ones():
    late = TimeoutError("the answer does not end")
    rig = Rig(late, page(A, token="more"), late, *(late for _ in range(5)), page(A, B), [error(410)], page(A, rv="300"))
    rig.run()
    limits = [int(query["limit"]) for verb, query in rig.server.asked if verb == "list"]
    assert limits == [500, 250, 250, 125, 62, 50, 50, 50, 50, 500]


def test_a_pod_created_again_under_its_name_is_another_one():
    again = pod("web-1-a", rv="303", metadata={"uid": "p-2"})
    rig = Rig(page(A), [event("DELETED", pod("web-1-a", rv="302")), event("ADDED", again)]).run()
    assert list(rig.here) == ["p-2"]


def test_an_event_that_is_said_twice_counts_once():
    new = event("ADDED", pod("web-1-b", rv="202"))
    gone = event("DELETED", pod("web-1-b", rv="203"))
    rig = Rig(page(A), [new, new, gone, gone, bookmark("204")], QUIET).run()
    assert rig.names == ["web-1-a"]
    assert rig.standing.lists == 1
    assert rig.news == [(1, 0), (1, 0), (0, 1)]


def test_events_out_of_order_are_a_reason_to_list_again():
    steps = [event("MODIFIED", pod("web-1-a", rv="205")), event("ADDED", pod("web-1-b", rv="203"))]
    rig = Rig(page(A), steps, page(A, B, rv="206"), QUIET).run()
    assert rig.verbs() == ["list", "watch", "list", "watch"]
    assert rig.names == ["web-1-a", "web-1-b"]


@pytest.mark.parametrize("line", [b"not json", b"{}", event("ADDED", {"metadata": {}}), event("MODIFIED", {"a": 1})])
def test_what_cannot_be_read_is_a_reason_to_list_again(line):
    rig = Rig(page(A), [line], page(A, rv="300"), QUIET).run()
    assert rig.verbs() == ["list", "watch", "list", "watch"]


def test_a_silent_stream_is_given_up_after_a_minute_and_everything_is_listed_again():
    rig = Rig(page(A), [bookmark("201"), WATCH + SLACK + 1, bookmark("202")], page(B, rv="300"), QUIET)
    rig.run()
    assert rig.names == ["web-1-b"]
    assert rig.verbs() == ["list", "watch", "list", "watch"]


def test_while_a_dead_stream_was_open_nothing_was_surely_current():
    rig = Rig(page(A), [WATCH + SLACK + 1, bookmark("202")])
    rig.run()
    assert (rig.standing.synced, rig.standing.following) == (False, False)
    assert rig.standing.current_at == 0.0
    assert rig.standing.why == "pods: its watch went silent, or does not keep up"


def test_a_stream_that_is_cut_goes_on_where_it_was_and_waits_longer_each_time():
    cut = [ConnectionResetError("reset")]
    rig = Rig(page(A), *(cut for _ in range(8)), QUIET).run()
    assert rig.standing.lists == 1
    assert rig.server.waits == [0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 6.0, 6.0]


def test_who_was_cut_after_a_while_does_not_wait_long():
    rig = Rig(page(A), *([30, ConnectionResetError("reset")] for _ in range(5)), QUIET).run()
    assert set(rig.server.waits) == {0.25}


def test_two_watches_without_a_word_are_a_reason_to_list_again():
    rig = Rig(page(A), [], [], page(A, rv="300"), QUIET).run()
    assert rig.verbs() == ["list", "watch", "watch", "list", "watch"]


def test_a_list_from_the_past_is_refused_and_says_why():
    rig = Rig(page(A, rv="200"), [error(410)], page(B, rv="150")).run()
    assert rig.names == ["web-1-a"]
    assert "from the past: version 150, 200 was seen" in rig.standing.why
    assert not rig.standing.synced


def test_a_cluster_that_stays_in_the_past_was_restored_from_a_backup():
    tries = [page(B, rv="150") for _ in range(int(PAST / 3))]
    rig = Rig(page(A, rv="200"), [error(410)], *tries, QUIET)
    rig.run()
    assert rig.names == ["web-1-b"]
    assert rig.server.now >= PAST


@pytest.mark.parametrize(
    "why", [SaidError(500), SaidError(429, "slow down"), SaidError(503), ConnectionRefusedError("refused")]
)
def test_a_server_that_does_not_answer_is_asked_again(why):
    rig = Rig(why, why, page(A), QUIET).run()
    assert rig.names == ["web-1-a"]
    assert rig.server.waits[:2] == [0.25, 0.5]


def test_what_is_forbidden_says_which_verbs_it_takes():
    rig = Rig(SaidError(403, "no")).run()
    assert rig.standing.why == "forbidden: needs the verbs list and watch on pods"
    assert rig.standing.forbidden


def test_somebody_who_noticed_a_difference_makes_it_list_again():
    rig = Rig(page(A), [lambda: rig.reflector.relist("2 ready, 3 said"), bookmark("201")], page(A, B, rv="300"), QUIET)
    rig.run()
    assert rig.names == ["web-1-a", "web-1-b"]
    assert rig.verbs() == ["list", "watch", "list", "watch"]
