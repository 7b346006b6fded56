import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import GENESIS, Chain, Entry, Link, Stored, broken, fields, follow

CHAIN = Chain("0123456789abcdef")
TEXT = st.text(max_size=20)
ENTRY = st.builds(Entry, st.floats(allow_nan=False, allow_infinity=False), TEXT, TEXT, TEXT, st.binary(max_size=40))
PLACE = st.tuples(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1))


def written_down(chain, seq, previous, epoch, entry):
    """The hash as docs/audit.md describes it, written a second time."""
    texts = [value.encode() for value in (entry.actor, entry.kind, entry.subject)] + [entry.body]
    start = [b"audit-record-1", chain.id.encode(), chain.algorithm.encode()]
    text = b"".join(struct.pack(">Q", len(value)) + value for value in start)
    text += struct.pack(">Q", seq) + previous + struct.pack(">d", entry.at + 0.0) + struct.pack(">Q", epoch)
    text += b"".join(struct.pack(">Q", len(value)) for value in texts) + b"".join(texts)
    return hashlib.sha256(text).digest()


@given(ENTRY, PLACE)
def test_the_hash_is_what_the_documentation_says(entry, place):
    seq, previous, epoch = place
    assert CHAIN.hash(seq, previous, epoch, entry) == written_down(CHAIN, seq, previous, epoch, entry)


def test_the_hash_never_changes_between_versions():
    entry = Entry(1_700_000_000.25, "controller", "Intent", "shop/checkout", b'{"n":1}')
    assert CHAIN.hash(1, GENESIS, 1, entry).hex() == "ac008ddb9a6edaa743ea1f7450f9fb0f02f5bcf95addaadbe7352ab3c0b40f33"


@given(ENTRY, PLACE, ENTRY, PLACE)
def test_two_different_records_never_share_a_hash(one, place, other, elsewhere):
    def digest(entry, where):
        return CHAIN.hash(where[0], where[1], where[2], entry)

    assert (digest(one, place) == digest(other, elsewhere)) == ((one, place) == (other, elsewhere))


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_no_two_tuples_give_the_same_canonical_bytes(one, other):
    assert (fields(*one) == fields(*other)) == (one == other)


def test_moving_a_byte_from_one_field_to_the_next_changes_the_hash():
    hashes = {
        CHAIN.hash(1, GENESIS, 0, Entry(0.0, *texts))
        for texts in (
            ("ab", "c", "", b""),
            ("a", "bc", "", b""),
            ("", "abc", "", b""),
            ("", "", "abc", b""),
            ("", "", "", b"abc"),
        )
    }
    assert len(hashes) == 5


def test_the_same_record_has_another_hash_in_another_chain():
    entry = Entry(0.0, "a", "k", "s", b"")
    assert CHAIN.hash(1, GENESIS, 0, entry) != Chain("another").hash(1, GENESIS, 0, entry)


@pytest.mark.parametrize("algorithm", ["md5", "none", "", "SHA256", "sha1"])
def test_a_weaker_algorithm_is_not_known(algorithm):
    with pytest.raises(ValueError, match="knows only 'sha256'"):
        Chain("c", algorithm).hash(1, GENESIS, 0, Entry(0.0, "a", "k", "s", b""))


def linked(link, seq, epoch, entry):
    digest = CHAIN.hash(seq, link.hash, epoch, entry)
    return Stored(entry.at, entry.actor, entry.kind, entry.subject, entry.body, seq, epoch, digest)


def test_a_record_follows_only_its_predecessor():
    entry = Entry(0.0, "a", "k", "s", b"")
    first = linked(Link(), 1, 1, entry)
    after = follow(Link(), first)
    assert broken(CHAIN, Link(), first) == ""
    assert broken(CHAIN, after, linked(after, 2, 0, entry)) == ""
    assert "record 2 is missing" in broken(CHAIN, after, linked(after, 3, 0, entry))
    assert "does not match" in broken(CHAIN, after, linked(Link(), 2, 0, entry))


def test_an_effect_of_an_older_epoch_does_not_follow_one_of_a_newer():
    entry = Entry(0.0, "a", "k", "s", b"")
    link = follow(Link(), linked(Link(), 1, 5, entry))
    statement = linked(link, 2, 0, entry)
    assert broken(CHAIN, link, statement) == ""
    link = follow(link, statement)
    assert "effect of epoch 4 after one of epoch 5" in broken(CHAIN, link, linked(link, 3, 4, entry))


def test_zero_has_one_hash_whatever_its_sign():
    """The database gives 0.0 back for -0.0."""
    plus, minus = (Entry(zero, "a", "b", "c", b"") for zero in (0.0, -0.0))
    assert CHAIN.hash(1, GENESIS, 0, plus) == CHAIN.hash(1, GENESIS, 0, minus)
