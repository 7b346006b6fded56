import errno
import math
import os
import re
import stat
import subprocess
import sys
from contextlib import closing

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import Chain
from audit.checkpoint import (
    EXPORT,
    Rewound,
    Signer,
    due,
    export,
    genuine,
    last_exported,
    line,
    parse,
    require_exported,
    save,
    sign,
)
from audit.journal import Full, JournalError, Unavailable
from audit.keys import KEY, PUBLIC, public_key
from audit.stores.sqlite import SqliteStore

from .journals import NAME, copy, entries, make_journal, tamper

CHAIN = Chain("c")


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return Signer.open(tmp_path_factory.mktemp("key"))


def signed(signer, seq=7, state=b"state"):
    return sign(signer, CHAIN, (seq, bytes(range(32))), state, 1_700_000_000.5)


# When


@pytest.mark.parametrize(
    ("records", "seconds", "stopping", "wanted"),
    [
        (0, math.inf, True, False),
        (1, 299.9, False, False),
        (1, 300.0, False, True),
        (9_999, 0.0, False, False),
        (10_000, 0.0, False, True),
        (1, 0.0, True, True),
    ],
)
def test_a_checkpoint_is_due_by_count_by_age_with_news_and_at_a_stop_with_news(records, seconds, stopping, wanted):
    assert due(records, seconds, stopping=stopping) is wanted


# The key


def test_the_key_is_made_once_for_its_owner_only(tmp_path):
    before = os.umask(0)
    try:
        one = Signer.open(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    assert Signer.open(tmp_path).public == one.public == public_key(tmp_path / PUBLIC)
    assert sorted(file.name for file in tmp_path.iterdir()) == [KEY, PUBLIC]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    Signer.open(tmp_path)
    (tmp_path / KEY).chmod(mode)
    with pytest.raises(JournalError, match=f"mode {mode:04o}: others can read the signing key. chmod 600"):
        Signer.open(tmp_path)


def test_a_lost_key_is_not_silently_replaced(tmp_path):
    Signer.open(tmp_path)
    (tmp_path / KEY).unlink()
    with pytest.raises(JournalError, match=r"signing.key is gone, but signing.pub is there"):
        Signer.open(tmp_path)
    assert not (tmp_path / KEY).exists()


def test_a_key_and_a_public_key_of_different_pairs_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Signer.open(tmp_path / name)
    (tmp_path / "a" / PUBLIC).write_bytes((tmp_path / "b" / PUBLIC).read_bytes())
    with pytest.raises(JournalError, match="does not belong to"):
        Signer.open(tmp_path / "a")


def test_what_is_no_key_is_refused_without_being_quoted(tmp_path):
    (tmp_path / KEY).write_text("-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n")
    (tmp_path / KEY).chmod(0o600)
    with pytest.raises(JournalError, match="is no private key in PEM form") as refusal:
        Signer.open(tmp_path)
    assert "SECRET" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    foreign = generate_private_key(SECP256R1())
    (tmp_path / KEY).write_bytes(
        foreign.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(JournalError, match="not an Ed25519 key"):
        Signer.open(tmp_path)


def test_the_private_key_is_in_no_output(tmp_path, capfd):
    path = make_journal(tmp_path, 5, (5,))
    pem = (tmp_path / KEY).read_text()
    secret = "".join(pem.splitlines()[1:-1])
    raw = Signer.open(tmp_path)._private.private_bytes_raw()
    outputs = [repr(Signer.open(tmp_path)), str(vars(Signer.open(tmp_path))), (tmp_path / EXPORT).read_text()]
    outputs.append(path.read_bytes().decode("latin-1"))
    printed = capfd.readouterr()
    for output in (*outputs, printed.out, printed.err):
        assert secret not in output
        assert raw.hex() not in output
        assert raw.decode("latin-1") not in output


def test_no_import_of_the_journal_loads_the_cryptography(tmp_path):
    script = (
        "import sys, audit.checkpoint, audit.verify, audit.export, audit.stores.sqlite; "
        "print([name for name in sys.modules if name.startswith('cryptography')])"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"


# The statement


@given(
    st.builds(Chain, st.text(max_size=8)),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_checkpoint_survives_its_line_and_stays_genuine(signer, chain, seq, digest, state, at):
    made = sign(signer, chain, (seq, digest), state, at)
    text = line(made)
    assert text.count(b"\n") == 1
    assert text.endswith(b"}\n")
    assert parse(text) == made
    assert genuine(parse(text), signer.public)


@pytest.mark.parametrize(
    "change",
    [
        {"chain": "d"},
        {"algorithm": "md5"},
        {"seq": 8},
        {"seq": -1},
        {"hash": bytes(32)},
        {"state": bytes(32)},
        {"at": 1.0},
        {"signature": bytes(64)},
        {"signature": b""},
        {"key": bytes(32)},
        {"key": b"short"},
    ],
)
def test_a_changed_checkpoint_is_not_genuine(signer, change):
    import msgspec

    made = signed(signer)
    assert genuine(made, signer.public)
    assert not genuine(msgspec.structs.replace(made, **change))


def test_another_key_is_not_this_key(signer, tmp_path):
    made = signed(Signer.open(tmp_path))
    assert genuine(made)
    assert not genuine(made, signer.public)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b'{"chain":1}', b"\xff", b"[" * 10_000])
def test_what_is_no_checkpoint_is_no_checkpoint(text):
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def test_a_line_with_an_unknown_field_is_no_checkpoint(signer):
    with pytest.raises(ValueError, match="unknown field"):
        parse(line(signed(signer)).replace(b"{", b'{"more":1,'))


# The export


def test_exported_lines_are_appended_for_the_owner_only(signer, tmp_path):
    path = tmp_path / EXPORT
    for seq in (1, 2, 3):
        export(path, signed(signer, seq))
    assert [parse(text).seq for text in path.read_bytes().splitlines()] == [1, 2, 3]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert last_exported(path, signer.public).seq == 3


def test_the_last_exported_line_is_the_last_that_this_key_signed(signer, tmp_path):
    path = tmp_path / EXPORT
    assert last_exported(path, signer.public) is None
    export(path, signed(signer, 5))
    (tmp_path / "other").mkdir()
    export(path, signed(Signer.open(tmp_path / "other"), 900))
    with path.open("ab") as file:
        file.write(b'junk\n{"chain":"to')
    assert last_exported(path, signer.public).seq == 5
    export(path, signed(signer, 6))
    assert last_exported(path, signer.public).seq == 6


def test_an_export_that_can_not_be_written_is_a_journal_error(signer, tmp_path):
    (tmp_path / EXPORT).mkdir()
    with pytest.raises(Unavailable, match=re.escape(str(tmp_path / EXPORT))):
        export(tmp_path / EXPORT, signed(signer))


@pytest.mark.parametrize("taken", [0, 10])
def test_a_line_that_can_not_be_made_durable_leaves_no_part_of_it(signer, tmp_path, monkeypatch, taken):
    """A sync that fails, and a disk that takes ten bytes of it."""
    path = tmp_path / EXPORT
    export(path, signed(signer, 1))
    before = path.read_bytes()

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        if taken:
            write = os.write
            patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:taken]))
        else:
            patch.setattr(os, "fsync", failing)
        with pytest.raises(Full if taken else Unavailable, match=re.escape(str(path))):
            export(path, signed(signer, 2))
    assert path.read_bytes() == before


def test_saving_keeps_signs_and_exports(tmp_path):
    with closing(SqliteStore(tmp_path / NAME)) as store:
        store.append(entries(9), epoch=None)
        signer = Signer.open(tmp_path)
        made = save(store, signer, tmp_path, b"the state", (6, 99.0))
        assert (made.seq, made.hash, made.at) == (6, store.read(6).hash, 99.0)
        assert last_exported(tmp_path / EXPORT, signer.public) == store.checkpoint().signed == made
        assert store.checkpoint().state == b"the state"
        with pytest.raises(JournalError, match="there is no record 10"):
            save(store, signer, tmp_path, b"", (10, 99.0))


# A journal that went back


def opened(path):
    return closing(SqliteStore(path))


def test_the_right_journal_is_taken(tmp_path):
    path = make_journal(tmp_path, 30, (10, 20))
    with opened(path) as store:
        require_exported(store, tmp_path, Signer.open(tmp_path).public)


def test_a_journal_without_checkpoints_is_taken(tmp_path):
    with opened(make_journal(tmp_path, 3)) as store:
        require_exported(store, tmp_path, Signer.open(tmp_path).public)


def test_a_journal_that_was_restored_from_an_older_copy_is_refused(tmp_path):
    path = make_journal(tmp_path / "state", 30, (20,))
    tamper(path, ("DELETE FROM entries WHERE seq > 15", ()))
    with (
        opened(path) as store,
        pytest.raises(Rewound, match=r"checkpoint of record 20, but the journal ends at record 15"),
    ):
        require_exported(store, tmp_path / "state", Signer.open(tmp_path / "state").public)


def test_a_journal_that_is_new_beside_old_checkpoints_is_refused(tmp_path):
    path = make_journal(tmp_path / "state", 30, (20,))
    path.unlink()
    with opened(path) as store, pytest.raises(Rewound, match="of another journal"):
        require_exported(store, tmp_path / "state", Signer.open(tmp_path / "state").public)


def test_a_fork_is_refused(tmp_path):
    path = make_journal(tmp_path / "state", 10)
    fork = copy(path.parent, tmp_path / "fork")
    with opened(path) as store, opened(fork) as other:
        store.append(entries(10, 11), epoch=1)
        other.append(entries(10, 12), epoch=1)
        signer = Signer.open(path.parent)
        save(store, signer, path.parent, b"", (15, 1.0))
        with pytest.raises(Rewound, match="has another hash there"):
            require_exported(other, path.parent, signer.public)
