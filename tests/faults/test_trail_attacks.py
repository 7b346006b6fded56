"""F26: what somebody does to a trail, and what `auto audit verify` says to a person about it. P16."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.checkpoint import EXPORT, Signer, export, sign
from audit.keys import KEY, PUBLIC
from audit.stores.sqlite import SqliteStore, open_read_only
from controller.settings import STORE
from tests.audit.journals import copy, entries, entry, make_journal, tamper
from tests.faults.rig import AUTO, ROOT

RECORDS, SIGNED = 120, (30, 60, 90)


def edit(path: Path) -> None:
    tamper(path, ("UPDATE entries SET body = CAST('{\"n\":0}' AS BLOB) WHERE seq = 47", ()))


def flip(path: Path) -> None:
    """One bit of the file, in the middle of record 47."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"shop/checkout-47")] ^= 1
    path.write_bytes(raw)


def delete(path: Path) -> None:
    tamper(path, ("DELETE FROM entries WHERE seq = 47", ()))


def swap(path: Path) -> None:
    tamper(
        path,
        ("UPDATE entries SET seq = -1 WHERE seq = 47", ()),
        ("UPDATE entries SET seq = 47 WHERE seq = 48", ()),
        ("UPDATE entries SET seq = 48 WHERE seq = -1", ()),
    )


def insert(path: Path) -> None:
    """A record between two, all behind it moved on by one."""
    tamper(
        path,
        ("UPDATE entries SET seq = -seq WHERE seq >= 47", ()),
        ("INSERT INTO entries SELECT 47, at, epoch, actor, kind, subject, body, hash FROM entries WHERE seq = 46", ()),
        ("UPDATE entries SET seq = 1 - seq WHERE seq < 0", ()),
    )


def cut_tail(path: Path) -> None:
    """With the checkpoints that the database itself keeps."""
    tamper(path, ("DELETE FROM entries WHERE seq > 80", ()), ("DELETE FROM checkpoints WHERE seq > 80", ()))


def cut_head(path: Path) -> None:
    tamper(path, ("DELETE FROM entries WHERE seq <= 20", ()))


def rewrite(path: Path, first: int = 47) -> None:
    """Another story from a record on, with hashes that are right."""
    with closing(open_read_only(path)) as store:
        chain, previous, statements = store.chain, store.read(first - 1).hash, []
        for record in store.after(first - 1):
            body = b'{"n":0}' if record.seq == first else record.body
            previous = chain.hash(record.seq, previous, record.epoch, entry(record.seq, body))
            statements.append(("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (body, previous, record.seq)))
    tamper(path, ("DELETE FROM checkpoints WHERE seq >= ?", (first,)), *statements)


def downgrade(path: Path) -> None:
    tamper(path, ("UPDATE chain SET algorithm = 'md5'", ()))


def foreign_rows(path: Path) -> None:
    other = make_journal(path.parent / "other", RECORDS)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ATTACH ? AS other", (str(other),))
        database.execute("DELETE FROM entries WHERE seq >= 47")
        database.execute("INSERT INTO entries SELECT * FROM other.entries WHERE seq >= 47")
        database.commit()


def replace_whole(path: Path) -> None:
    shutil.copy(make_journal(path.parent / "other", RECORDS), path)


def fork(path: Path) -> None:
    """Of two ways on from record 60, the one that was not signed."""
    tamper(path, ("DELETE FROM entries WHERE seq > 60", ()), ("DELETE FROM checkpoints WHERE seq > 60", ()))
    with closing(SqliteStore(path)) as store:
        store.append([entry(n, b"{}") for n in range(61, 121)], epoch=1)


def forge_checkpoint(path: Path) -> None:
    """A rewritten chain, and an export that somebody without the key made to fit."""
    rewrite(path)
    (path.parent / "attacker").mkdir()
    forger = Signer.open(path.parent / "attacker")
    (path.parent / EXPORT).unlink()
    tamper(path, ("DELETE FROM checkpoints", ()))
    with closing(open_read_only(path)) as store:
        export(path.parent / EXPORT, sign(forger, store.chain, (90, store.read(90).hash), b"", 5.0))


def change_checkpoint(path: Path) -> None:
    lines = path.with_name(EXPORT).read_text().splitlines(keepends=True)
    path.with_name(EXPORT).write_text(lines[0] + lines[1].replace('"seq":60', '"seq":59') + lines[2])


def swap_keys(path: Path) -> None:
    """Another pair in the place of ours, so that new checkpoints will be signed with it."""
    for name in (KEY, PUBLIC):
        (path.parent / name).unlink()
    Signer.open(path.parent)


def change_state(path: Path) -> None:
    """What a restart would believe."""
    tamper(path, ("UPDATE checkpoints SET state = x'00' WHERE seq = 90", ()))


def set_epoch_back(path: Path) -> None:
    tamper(path, ("UPDATE chain SET epoch = 0", ()))


def pretend_pruning(path: Path) -> None:
    """The beginning taken away, and a statement that somebody without the key made up."""
    with closing(open_read_only(path)) as store:
        row = (29, store.read(29).hash, 1, 5.0, "ann", "old", Signer.open(path.parent).public, bytes(64))
    tamper(
        path,
        ("DELETE FROM entries WHERE seq <= 29", ()),
        ("INSERT INTO pruned VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", row),
    )


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done, and what must be said: the record (None: none can be named), and these words."""

    do: Callable[[Path], None]
    record: int | None
    words: str


ATTACKS = [
    Attack(edit, 47, "record 47 was changed"),
    Attack(flip, 47, "record 47 was changed"),
    Attack(delete, 47, "record 47 is missing: record 48 follows record 46"),
    Attack(swap, 47, "record 47 was changed, or does not belong here"),
    Attack(insert, 47, "record 47 was changed, or does not belong here"),
    Attack(cut_tail, 81, "records 81 to 90 are missing"),
    Attack(cut_head, 1, "record 1 is missing: record 21 follows record 0"),
    Attack(rewrite, 60, "what stands from record 31 or later up to 60 is not what was signed"),
    Attack(downgrade, 1, "names the algorithm 'md5'"),
    Attack(foreign_rows, 47, "record 47 was changed, or does not belong here"),
    Attack(replace_whole, 1, "this journal is chain"),
    Attack(fork, 90, "another fork of the chain"),
    Attack(forge_checkpoint, None, "checkpoints.jsonl:1: the checkpoint of record 90: its signature does not hold"),
    Attack(change_checkpoint, None, "checkpoints.jsonl:2: the checkpoint of record 59: its signature does not hold"),
    Attack(swap_keys, None, "checkpoints.jsonl:1: the checkpoint of record 30: its signature does not hold"),
    Attack(change_state, None, "the state that checkpoint 90 keeps is not the one that was signed"),
    Attack(set_epoch_back, 1, "record 1 is of epoch 1, which the journal never reached"),
    Attack(pretend_pruning, 1, "records 1 to 29 are missing: that they were pruned was not signed"),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("honest") / "state"
    make_journal(directory, RECORDS, SIGNED).rename(directory / STORE)
    assert verify(directory, "--json").returncode == 0, "it must be right before"
    return directory


def verify(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*AUTO, *words[:1], "audit", "verify", *words[1:]] if words[:1] == ("--json",) else [*AUTO, *words]
    env = os.environ | {"GYROSTAT_STATE": str(state)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.do.__name__)
def test_verification_says_what_was_done_and_where(attack, honest, tmp_path):
    path = copy(honest, tmp_path / "state").with_name(STORE)
    attack.do(path)
    done = verify(path.parent, "--json")
    found = json.loads(done.stdout)["data"]
    assert (done.returncode, found["ok"], found["first_bad"]) == (3, False, attack.record), found
    assert attack.words in found["problem"]


def test_a_person_is_told_file_record_and_reason_and_the_exit_code_is_3(honest, tmp_path):
    path = copy(honest, tmp_path / "state").with_name(STORE)
    edit(path)
    done = verify(path.parent, "audit", "verify")
    assert done.returncode == 3
    said = " ".join(done.stdout.split())
    assert f"{path} is not what was written: record 47 was changed, or does not belong here" in said


def test_who_holds_the_key_can_forge_here_but_not_what_left_the_machine(honest, tmp_path):
    path = copy(honest, tmp_path / "state").with_name(STORE)
    away = tmp_path / "away"
    away.mkdir()
    for name in (EXPORT, PUBLIC):
        shutil.copy(path.with_name(name), away)
    rewrite(path)
    path.with_name(EXPORT).unlink()
    signer = Signer.open(path.parent)
    with closing(open_read_only(path)) as store:
        for seq in SIGNED:
            export(path.with_name(EXPORT), sign(signer, store.chain, (seq, store.read(seq).hash), b"", 5.0))
    assert verify(path.parent, "--json").returncode == 0
    copies = ("--checkpoints", str(away / EXPORT), "--key", str(away / PUBLIC))
    done = verify(path.parent, "--json", *copies)
    assert (done.returncode, json.loads(done.stdout)["data"]["first_bad"]) == (3, 60)


def test_appending_goes_on_behind_what_is_right(honest, tmp_path):
    """The attacks are found because they are attacks."""
    path = copy(honest, tmp_path / "state").with_name(STORE)
    with closing(SqliteStore(path)) as store:
        store.append(entries(5, RECORDS + 1), epoch=1)
    found = json.loads(verify(path.parent, "--json").stdout)["data"]
    assert (found["ok"], found["records"], found["vouched"]) == (True, RECORDS + 5, 90)
