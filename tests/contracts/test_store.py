"""What every store of the journal must do; a new store adds one line to `STORES`."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import chain as chains
from audit.chain import GENESIS, MAX_BODY, Link
from audit.checkpoint import Signer, sign
from audit.journal import (
    Claim,
    Claimed,
    Entry,
    Fenced,
    JournalError,
    OverBudget,
    Spend,
    Store,
    Unavailable,
    Unstorable,
)
from audit.stores.sqlite import SqliteStore

from ..audit.journals import entries, entry  # noqa: TID252  importlib mode has no package named tests

STORES: dict[str, Callable[[Path], Store]] = {"sqlite": lambda directory: SqliteStore(directory / "trail.db")}


@pytest.fixture(params=sorted(STORES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same journal each time it is called."""
    return lambda: STORES[request.param](tmp_path)


@pytest.fixture
def store(opener: Callable[[], Store]) -> Iterator[Store]:
    with closing(opener()) as opened:
        yield opened


def test_an_empty_journal_has_no_head_no_epoch_no_claims_and_no_checkpoint(store):
    assert (store.head(), store.epoch(), dict(store.claims()), store.checkpoint()) == ((0, GENESIS), 0, {}, None)
    assert list(store.after(0)) == []
    assert store.read(1) is None


def test_what_is_appended_is_read_back_in_order_by_this_and_by_the_next_process(store, opener):
    wanted = entries(300)
    assert store.append(wanted[:1], epoch=None) == 1
    assert store.append(wanted[1:], epoch=store.lead("a")) == 2
    with closing(opener()) as other:
        for reader in (store, other):
            found = list(reader.after(0))
            assert [Entry(s.at, s.actor, s.kind, s.subject, s.body) for s in found] == wanted
            assert [(s.seq, s.epoch) for s in found] == [(1, 0), *((n, 1) for n in range(2, 301))]
            assert list(reader.after(297)) == found[297:]
            assert reader.read(150) == found[149]
            assert reader.head() == (300, found[-1].hash)


def test_every_record_follows_the_one_before(store):
    store.append(entries(20), epoch=None)
    link = Link()
    for record in store.after(0):
        assert chains.broken(store.chain, link, record) == ""
        link = chains.follow(link, record)
    assert link.seq == 20


def test_a_reader_sees_what_is_appended_while_it_reads(store):
    store.append(entries(2), epoch=None)
    reading = store.after(0)
    assert next(reading).seq == 1
    store.append(entries(400, 3), epoch=None)
    assert [record.seq for record in reading] == list(range(2, 403))


def test_two_journals_are_two_chains(store, tmp_path_factory):
    with closing(STORES["sqlite"](tmp_path_factory.mktemp("other"))) as other:
        assert store.chain.id != other.chain.id


# Fencing


def test_each_leadership_has_the_next_epoch(store, opener):
    assert [store.lead("a"), store.lead("b")] == [1, 2]
    with closing(opener()) as other:
        assert (other.epoch(), other.lead("c"), store.epoch()) == (2, 3, 3)


def test_an_older_epoch_appends_nothing(store, opener):
    old = store.lead("old")
    with closing(opener()) as new:
        new.lead("new")
    with pytest.raises(Fenced, match=r"leads epoch 1, but the journal is at epoch 2") as refusal:
        store.append(entries(3), epoch=old, claims=[Claim("o", "h")], spends=[Spend("b", 1.0, 1, 9, 9.0)])
    assert (refusal.value.epoch, refusal.value.current) == (1, 2)
    assert (store.head(), dict(store.claims())) == ((0, GENESIS), {})


def test_a_future_epoch_appends_nothing(store):
    with pytest.raises(Fenced):
        store.append(entries(1), epoch=store.lead("a") + 1)


def test_statements_need_no_leadership_and_are_marked_so(store):
    store.lead("a")
    store.append(entries(1), epoch=None)
    assert [record.epoch for record in store.after(0)] == [0]


@pytest.mark.parametrize(
    "extra", [{"claims": [Claim("o", "h")]}, {"releases": ["h"]}, {"spends": [Spend("b", 1.0, 1, 9, 9.0)]}]
)
def test_a_statement_claims_releases_and_spends_nothing(store, extra):
    with pytest.raises(ValueError, match="needs the epoch of a leadership"):
        store.append(entries(1), epoch=None, **extra)
    assert store.head()[0] == 0


def test_epoch_zero_is_no_leadership(store):
    with pytest.raises(ValueError, match="effects need a leadership"):
        store.append(entries(1), epoch=0)


def test_an_append_without_an_entry_is_a_mistake(store):
    with pytest.raises(ValueError, match="at least one entry"):
        store.append([], epoch=store.lead("a"), claims=[Claim("o", "h")])
    assert dict(store.claims()) == {}


# Claims


def test_an_object_has_one_holder(store):
    epoch = store.lead("a")
    store.append(entries(1), epoch=epoch, claims=[Claim("deployment", "e1"), Claim("hpa", "e1")])
    store.append(entries(1), epoch=epoch, claims=[Claim("deployment", "e1")])  # its own again
    with pytest.raises(Claimed, match="hpa is claimed by e1") as refusal:
        store.append(entries(1), epoch=epoch, claims=[Claim("free", "e2"), Claim("hpa", "e2")])
    assert (refusal.value.object, refusal.value.holder) == ("hpa", "e1")
    assert dict(store.claims()) == {"deployment": "e1", "hpa": "e1"}
    assert store.head()[0] == 2


def test_one_append_can_not_claim_an_object_for_two(store):
    with pytest.raises(Claimed):
        store.append(entries(1), epoch=store.lead("a"), claims=[Claim("o", "e1"), Claim("o", "e2")])
    assert dict(store.claims()) == {}


def test_claims_go_by_holder_or_one_by_one_and_before_new_ones_are_taken(store):
    epoch = store.lead("a")
    store.append(
        entries(1), epoch=epoch, claims=[Claim("o1", "e1"), Claim("o2", "e1"), Claim("o3", "e2"), Claim("o4", "e3")]
    )
    store.append(entries(1), epoch=epoch, releases=["e1", Claim("o4", "e9")], claims=[Claim("o1", "e5")])
    assert dict(store.claims()) == {"o1": "e5", "o3": "e2", "o4": "e3"}
    store.append(entries(1), epoch=epoch, releases=[Claim("o4", "e3"), "nobody"])
    assert dict(store.claims()) == {"o1": "e5", "o3": "e2"}


def test_claims_outlive_leaderships_and_processes(store, opener):
    store.append(entries(1), epoch=store.lead("a"), claims=[Claim("o", "e1")])
    store.close()
    with closing(opener()) as other:
        with pytest.raises(Claimed):
            other.append(entries(1), epoch=other.lead("b"), claims=[Claim("o", "e2")])
        assert dict(other.claims()) == {"o": "e1"}


# Budgets


def spend(store, at, amount=1, limit=3, window=60.0, bucket="policy/x"):
    store.append(entries(1), epoch=store.epoch(), spends=[Spend(bucket, at, amount, limit, window)])


def test_a_budget_gives_its_limit_within_its_window_and_no_more(store):
    store.lead("a")
    for at in (0.0, 10.0, 20.0):
        spend(store, at)
    with pytest.raises(OverBudget, match=r"policy/x: 3 of 3 are spent in the last 60 s, 1 more") as refusal:
        spend(store, 59.9)
    assert (refusal.value.bucket, refusal.value.used) == ("policy/x", 3)
    spend(store, 59.9, bucket="another")
    spend(store, 60.0)
    assert store.head()[0] == 5


def test_a_refused_spend_takes_nothing_with_it(store):
    epoch = store.lead("a")
    with pytest.raises(OverBudget):
        store.append(
            entries(2),
            epoch=epoch,
            claims=[Claim("o", "e1")],
            spends=[Spend("a", 1.0, 2, 2, 9.0), Spend("b", 1.0, 2, 1, 9.0)],
        )
    assert (store.head()[0], dict(store.claims())) == (0, {})
    spend(store, 1.0, 2, 2, 9.0, "a")  # the first spend is not left over


def test_spends_of_one_append_see_each_other(store):
    with pytest.raises(OverBudget):
        store.append(entries(1), epoch=store.lead("a"), spends=[Spend("a", 1.0, 1, 2, 9.0)] * 3)


def test_an_empty_budget_gives_nothing(store):
    store.lead("a")
    with pytest.raises(OverBudget):
        spend(store, 1.0, limit=0)


@pytest.mark.parametrize(
    "wrong", [{"at": math.nan}, {"at": math.inf}, {"window": 0.0}, {"window": math.inf}, {"amount": 0}, {"amount": -1}]
)
def test_a_spend_that_could_free_budget_is_no_spend(wrong):
    with pytest.raises(ValueError, match="a spend needs"):
        Spend(**{"bucket": "b", "at": 1.0, "amount": 1, "limit": 1, "window": 1.0} | wrong)


def test_a_jump_of_the_clock_and_back_frees_no_budget(store):
    store.lead("a")
    spend(store, 1_000.0, limit=2)
    spend(store, 1_000.0 + 30 * 86_400.0, limit=2)  # the clock is a month ahead: the first looks old
    with pytest.raises(OverBudget, match="2 of 2"):
        spend(store, 1_000.0, limit=2)
    with pytest.raises(OverBudget, match="2 of 1"):
        spend(store, 1_000.0, limit=1)


def test_a_clock_that_goes_back_frees_no_budget_when_it_is_right_again(store):
    store.lead("a")
    spend(store, 10_000.0, limit=2)
    spend(store, 5.0, limit=2)  # spent now, whatever the clock says
    with pytest.raises(OverBudget):
        spend(store, 10_001.0, limit=2)
    spend(store, 10_060.1, limit=2)


def test_what_was_spent_a_day_ago_still_counts_in_a_wider_window(store):
    store.lead("a")
    for at in range(0, 80_000, 1_000):
        spend(store, float(at), limit=1, window=60.0)
    with pytest.raises(OverBudget, match="80 of 80 are spent in the last 86400 s"):
        spend(store, 80_000.0, limit=80, window=86_400.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.one_of(
            st.floats(-100, 100), st.sampled_from([0.0, 86_400.0 * 3, -86_400.0 * 3, 3600.0, -3600.0])
        ),  # clock moves by
        st.integers(1, 4),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limit=st.integers(1, 6), window=st.sampled_from([1.0, 60.0, 3600.0]))
def test_budgets_follow_the_plain_list_under_every_jump_of_the_clock(tmp_path_factory, steps, limit, window):
    """Model: a list from which nothing is ever pruned, where no spend is dated before an earlier one."""
    with closing(STORES["sqlite"](tmp_path_factory.mktemp("budget"))) as store:
        store.lead("a")
        model: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
        now = 1_000_000.0
        for bucket, move, amount in steps:
            now += move
            rows = model[bucket]
            used = sum(taken for at, taken in rows if at > now - window)
            if used + amount > limit:
                with pytest.raises(OverBudget):
                    spend(store, now, amount, limit, window, bucket)
            else:
                spend(store, now, amount, limit, window, bucket)
                rows.append((max([now, *(at for at, _ in rows)]), amount))


# Refusals leave nothing


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (
            Entry(math.nan, "a", "k", "s", b""),
            "finite",
        ),
        (Entry(math.inf, "a", "k", "s", b""), "finite"),
        (Entry(1.0, "\udc80", "k", "s", b""), "actor is not valid text"),
        (Entry(1.0, "a", "k", "s" * 5000, b""), "subject has 5,000 bytes; allowed are 4,096"),
        (Entry(1.0, "a", "k", "s", bytes(MAX_BODY + 1)), "body has 1,048,577 bytes"),
    ],
)
def test_an_entry_that_can_not_be_stored_is_refused_with_the_reason(store, bad, why):
    with pytest.raises(Unstorable, match=why):
        store.append([entry(1), bad], epoch=None)
    assert store.head()[0] == 0


def test_the_largest_entry_fits(store):
    largest = Entry(1.0, "a" * 4096, "k" * 4096, "s" * 4096, bytes(MAX_BODY))
    store.append([largest], epoch=None)
    assert store.read(1).body == largest.body


ANY_ENTRY = st.builds(
    Entry,
    at=st.floats(allow_nan=False, allow_infinity=False),
    actor=st.text(max_size=50),
    kind=st.text(max_size=50),
    subject=st.text(max_size=50),
    body=st.binary(max_size=200),
)


@settings(max_examples=40, deadline=None)
@given(written=st.lists(ANY_ENTRY, min_size=1, max_size=5))
def test_every_storable_entry_comes_back_as_it_went_in(tmp_path_factory, written):
    with closing(STORES["sqlite"](tmp_path_factory.mktemp("any"))) as store:
        store.append(written, epoch=None)
        found = list(store.after(0))
        assert [Entry(s.at, s.actor, s.kind, s.subject, s.body) for s in found] == written
        link = Link()
        for record in found:
            assert chains.broken(store.chain, link, record) == ""
            link = chains.follow(link, record)


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.head()


# Checkpoints


def checkpoint(store, signer, seq, state):
    signed = sign(signer, store.chain, (seq, store.read(seq).hash), state, 5.0)
    store.save_checkpoint(signed, state)
    return signed


def test_the_newest_checkpoint_comes_back_with_its_state(store, opener, tmp_path):
    (tmp_path / "keys").mkdir()
    signer = Signer.open(tmp_path / "keys")
    store.append(entries(30), epoch=None)
    for seq in (10, 20, 30):
        signed = checkpoint(store, signer, seq, b"state %d" % seq)
    store.close()
    with closing(opener()) as other:
        saved = other.checkpoint()
        assert (saved.seq, saved.hash, saved.state, saved.signed) == (30, signed.hash, b"state 30", signed)


def test_a_checkpoint_of_another_chain_or_record_is_refused(store, tmp_path):
    (tmp_path / "keys").mkdir()
    signer = Signer.open(tmp_path / "keys")
    store.append(entries(2), epoch=None)
    for seq, digest in ((1, store.read(2).hash), (3, store.read(2).hash), (1, bytes(32))):
        with pytest.raises(JournalError, match="not of this journal"):
            store.save_checkpoint(sign(signer, store.chain, (seq, digest), b"", 1.0), b"")
    assert store.checkpoint() is None
