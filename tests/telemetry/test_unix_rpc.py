import json
import os
import socket
import stat
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.sources.unix_rpc import Limits, MaybeDelivered, NotDelivered, Server, call


@contextmanager
def serving(folder, handler=lambda request, peer: {"echo": request}, **options):
    server = Server(folder / "s.sock", handler, **options)
    try:
        yield server
    finally:
        server.close()


def raw(path, data, wait=True):
    """What the server says to these bytes until it closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        with suppress(BrokenPipeError):  # it may hang up before it has read all
            client.sendall(data)
            if wait:
                client.shutdown(socket.SHUT_WR)
        said = b""
        while chunk := client.recv(65536):
            said += chunk
        return said


def test_a_request_gets_its_reply_and_the_handler_learns_who_asks(tmp_path):
    with serving(tmp_path, lambda request, peer: {"got": request, "pid": peer.pid, "uid": peer.uid}) as server:
        reply = call(server.path, {"op": "ping", "n": [1, {"a": None}]})
    assert reply == {"got": {"op": "ping", "n": [1, {"a": None}]}, "pid": os.getpid(), "uid": os.geteuid()}


def test_several_requests_share_a_connection(tmp_path):
    with serving(tmp_path) as server:
        assert raw(server.path, b'{"a":1}\n{"a":2}\n') == b'{"echo":{"a":1}}\n{"echo":{"a":2}}\n'


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_the_owner_may_open_the_socket_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with serving(tmp_path) as server:
            assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_another_user_is_turned_away(tmp_path):
    other = frozenset({os.geteuid() + 1})
    refused = pytest.raises(NotDelivered, match=f"user {os.geteuid()} may not use")
    with serving(tmp_path, uids=other) as server, refused:
        call(server.path, {})


def test_nobody_there_is_surely_not_delivered(tmp_path):
    with pytest.raises(NotDelivered, match="nobody answers"):
        call(tmp_path / "none.sock", {})


def test_a_deep_directory_is_no_obstacle(tmp_path):
    folder = tmp_path / ("d" * 120)
    with serving(folder) as server:
        assert call(server.path, {"a": 1}) == {"echo": {"a": 1}}
    assert not server.path.exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense", "one line of JSON"),
        (b'{"a":NaN}', "one line of JSON"),
        (b'"\xff"', "one line of JSON"),
        (b"[1]", "is a JSON object"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "at most 32 deep"),
        (b'{"a":"' + b"[" * 40 + b'"}', ""),  # brackets in a string nest nothing
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "at most 1048576 bytes"),
        (b'"\\' * 500_000, "one line of JSON"),
    ],
)
def test_what_is_no_proper_request_never_reaches_the_handler(tmp_path, line, why):
    seen = []

    def handler(request, peer):
        seen.append(request)
        return {}

    with serving(tmp_path, handler) as server:
        said = raw(server.path, line + b"\n")
    if why:
        assert why.encode() in said
        assert b'"handled":false' in said
    assert bool(seen) == (not why)


def test_the_client_knows_that_a_refused_request_was_not_handled(tmp_path):
    refused = []
    with serving(tmp_path, refused=refused.append) as server:
        with pytest.raises(NotDelivered, match="at most 1048576 bytes"):
            call(server.path, {"a": "x" * (4 << 20)})
        assert refused == ["request"]


def test_a_client_that_sends_nothing_or_drips_is_cut(tmp_path):
    refused = []
    with serving(tmp_path, limits=Limits(seconds=0.2), refused=refused.append) as server:
        assert b"at most 0.2 s to arrive" in raw(server.path, b"", wait=False)
        assert b"at most 0.2 s to arrive" in raw(server.path, b'{"a"', wait=False)
    assert refused == ["slow", "slow"]


def test_a_client_that_never_reads_is_cut_and_gives_its_place_back(tmp_path):
    limits = Limits(seconds=0.3, connections=1)
    big, refused = {"big": "x" * (4 << 20)}, []
    serve = serving(tmp_path, lambda request, peer: big, limits=limits, refused=refused.append)
    with serve as server, socket.socket(socket.AF_UNIX) as greedy:
        greedy.connect(str(server.path))
        greedy.sendall(b"{}\n")
        deadline = time.monotonic() + 8
        reply = {}
        while not reply and time.monotonic() < deadline:
            with suppress(NotDelivered):
                reply = call(server.path, {})
            time.sleep(0.05)
        assert reply == big
        assert refused.count("slow") == 1
        assert set(refused) <= {"slow", "connections"}


def test_one_connection_too_many_is_told_to_come_back_at_once(tmp_path):
    entered, go = threading.Event(), threading.Event()

    def handler(request, peer):
        entered.set()
        go.wait(10)
        return {"done": True}

    with serving(tmp_path, handler, limits=Limits(connections=1)) as server:
        replies = []
        first = threading.Thread(target=lambda: replies.append(call(server.path, {}, timeout=10)))
        first.start()
        entered.wait(10)
        with pytest.raises(NotDelivered, match="try again"):
            call(server.path, {})
        go.set()
        first.join()
    assert replies == [{"done": True}]


def test_a_reply_that_does_not_come_leaves_the_doubt(tmp_path):
    handled, go = threading.Event(), threading.Event()

    def handler(request, peer):
        handled.set()
        go.wait(10)
        return {}

    with serving(tmp_path, handler) as server:
        with pytest.raises(MaybeDelivered, match="no reply"):
            call(server.path, {}, timeout=0.2)
        assert handled.wait(5)
        go.set()


def test_a_server_that_dies_with_the_request_leaves_the_doubt(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.sock"))
    listener.listen()

    def swallow():
        connection, _ = listener.accept()
        connection.recv(100)
        connection.close()

    thread = threading.Thread(target=swallow)
    thread.start()
    with pytest.raises(MaybeDelivered, match="no reply"):
        call(tmp_path / "s.sock", {"op": "apply"})
    thread.join()
    listener.close()


def test_a_failing_handler_is_reported_and_may_have_done_something(tmp_path):
    def handler(request, peer):
        raise KeyError("oops")

    with serving(tmp_path, handler) as server:
        with pytest.raises(MaybeDelivered, match="KeyError: 'oops'"):
            call(server.path, {})
        with pytest.raises(MaybeDelivered):
            call(server.path, {})  # and the server lives on


def test_a_stale_socket_is_replaced_a_living_one_and_a_file_are_not(tmp_path):
    path = tmp_path / "s.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with serving(tmp_path):
        with pytest.raises(FileExistsError, match="another process answers"):
            Server(path, lambda request, peer: {})
        assert call(path, {}) == {"echo": {}}
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="is no socket"):
        Server(path, lambda request, peer: {})
    assert path.read_text() == "precious"


def test_closing_leaves_no_thread_and_no_file(tmp_path):
    before = threading.active_count()
    with serving(tmp_path) as server:
        idle = socket.socket(socket.AF_UNIX)
        idle.connect(str(server.path))
        call(server.path, {})
    idle.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before  # those of an earlier server may have ended meanwhile
    assert list(Path(tmp_path).iterdir()) == []


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]":,\\\n x1', max_size=200).map(str.encode))))
def test_no_bytes_reach_the_handler_as_anything_but_an_object_or_end_the_server(tmp_path, lines):
    seen = []

    def handler(request, peer):
        seen.append(request)
        return {"ok": True}

    with serving(tmp_path, handler) as server:
        said = raw(server.path, b"\n".join(lines) + b"\n")
        assert call(server.path, {"still": "there"}) == {"ok": True}
    assert all(isinstance(request, dict) for request in seen)
    replies = [json.loads(line) for line in said.splitlines()]
    assert len(replies) == (b"\n".join(lines) + b"\n").count(b"\n")


@pytest.mark.parametrize(
    "reply", [b'{"a":"\xff"}\n', b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n", b"[]\n", b"no\n"]
)
def test_a_reply_that_is_no_object_is_maybe_delivered_whatever_its_bytes(tmp_path, reply):
    """Found by fuzzing: bytes that are no UTF-8, or nest too deep, came out as errors that no caller expects."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.sock"))
        listener.listen()

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reply)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(MaybeDelivered, match="no JSON"):
            call(tmp_path / "s.sock", {})
        answering.join()
