"""The supervisor's two files: whole lines only, and either the old content or the new."""

import json
import resource
from contextlib import contextmanager

import pytest

from actions.platforms.local.effects import EffectLog
from actions.platforms.local.memory_file import DamagedError, MemoryFile, Remembered


@contextmanager
def largest_file(size):
    """The system refuses to write beyond, in the middle of a write if need be: as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("room", [0, 1, 7, 14])
def test_a_line_that_does_not_fit_is_taken_back_whole(tmp_path, room):
    path = tmp_path / "effects.jsonl"
    log = EffectLog(path)
    log.append({"number": 1})
    with largest_file(path.stat().st_size + room), pytest.raises(OSError, match=r"File too large|no space"):
        log.append({"number": 2, "long": "x" * 20})
    assert lines(path) == [{"number": 1}]
    log.append({"number": 3})
    assert lines(path) == [{"number": 1}, {"number": 3}]
    log.close()


def test_what_happened_waits_and_keeps_its_order(tmp_path):
    path = tmp_path / "effects.jsonl"
    log = EffectLog(path)
    log.append({"number": 1})
    with largest_file(path.stat().st_size):
        log.note({"number": 2})
        log.note({"number": 3})
        with pytest.raises(OSError, match=r"File too large|no space"):
            log.flush()
    log.append({"number": 4})
    assert [line["number"] for line in lines(path)] == [1, 2, 3, 4]
    log.close()


def test_it_appends_to_what_is_there(tmp_path):
    path = tmp_path / "effects.jsonl"
    for number in (1, 2):
        log = EffectLog(path)
        log.append({"number": number})
        log.close()
    assert [line["number"] for line in lines(path)] == [1, 2]


REMEMBERED = {"shop/web": Remembered("u1", 3, 2, "f", 5.0, 8080)}


def test_what_was_remembered_comes_back(tmp_path):
    memory = MemoryFile(tmp_path / "supervisor.json")
    assert memory.load() == {}
    memory.save(REMEMBERED)
    assert memory.load() == REMEMBERED
    assert memory.path.stat().st_mode & 0o777 == 0o600


def test_a_save_that_fails_leaves_the_old_content(tmp_path):
    memory = MemoryFile(tmp_path / "supervisor.json")
    memory.save(REMEMBERED)
    many = {f"shop/web{n}": REMEMBERED["shop/web"] for n in range(100)}
    with largest_file(1000), pytest.raises(OSError, match="File too large"):
        memory.save(many)
    assert memory.load() == REMEMBERED
    memory.save(many)
    assert memory.load() == many


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"services":{"a":{}}}', b"\xff", b'{"services":{},"x":1}'])
def test_what_is_not_ours_is_named(tmp_path, content):
    memory = MemoryFile(tmp_path / "supervisor.json")
    memory.path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"supervisor\.json is damaged"):
        memory.load()
