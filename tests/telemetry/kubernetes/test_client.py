"""The client: what a failure says about the request, and that nothing is ever sent twice."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time

import msgspec
import pytest

from telemetry.sources.kubernetes.access import Access, AccessError, by_kubeconfig, find, in_cluster
from telemetry.sources.kubernetes.client import MERGE, Client, Refused, Write
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WRITES = [("DELETE", {"a": 1}), ("PUT", {"a": 1}), ("POST", {"a": 1}), ("PATCH", {"a": 1})]


class Named(msgspec.Struct):
    name: str


class Server:
    """Answers each request with the next of some bytes, and remembers what was asked; None closes without a word."""

    def __init__(self, *answers, hold=0.0):
        self.answers, self.hold, self.requests = list(answers), hold, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                if not (chunk := connection.recv(65536)):
                    return
                request += chunk
            head, _, body = request.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            while len(body) < int(headers.get("content-length", 0)):
                body += connection.recv(65536)
            self.requests.append((lines[0], headers, body))
            answer = self.answers.pop(0) if self.answers else None
            for part in [answer] if isinstance(answer, bytes) else answer or []:
                connection.sendall(part)
                self.stopped.wait(self.hold)

    def close(self):
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(*answers, timeout=5.0, **given):
            server = Server(*answers, **given)
            stack.callback(server.close)
            client = Client(Access(server.url, lambda: "Bearer t"), timeout)
            stack.callback(client.close)
            return server, client

        yield start


def whole(body, status=b"200 OK", *headers):
    data = json.dumps(body).encode()
    head = b"".join(b"%s\r\n" % header for header in (*headers, b"Connection: close"))
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(data), head, data)


def test_an_object_is_read_as_who_we_are(serve):
    server, client = serve(whole({"name": "web", "more": [1]}))
    assert client.read("/api/v1/pods", Named, {"limit": "500", "fieldSelector": "a=b"}) == Named("web")
    ((line, headers, _),) = server.requests
    assert line == "GET /api/v1/pods?limit=500&fieldSelector=a%3Db HTTP/1.1"
    assert (headers["authorization"], headers["user-agent"]) == ("Bearer t", "gyrostat")


def test_a_no_says_which_and_when_to_come_back(serve):
    status = {"reason": "TooManyRequests", "message": "budget", "details": {"causes": [{"reason": "DisruptionBudget"}]}}
    _, client = serve(whole(status, b"429 Too Many", b"Retry-After: 10"))
    with pytest.raises(Refused, match="429 TooManyRequests: budget") as caught:
        client.read("/", Named)
    refused = caught.value
    assert (refused.status, refused.causes, refused.retry_after) == (429, ("DisruptionBudget",), 10.0)


def test_a_no_of_something_that_is_no_api_server_is_still_a_no(serve):
    _, client = serve(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>")
    with pytest.raises(Refused, match="502 : <html>"):
        client.read("/", Named)


@pytest.mark.parametrize(("method", "body"), WRITES)
def test_a_write_whose_answer_is_lost_is_in_doubt_and_not_sent_again(serve, method, body):
    server, client = serve(None, whole({}), whole({}), whole({}))
    with pytest.raises(MaybeDelivered):
        client.write(Write(method, "/x", body), "i7")
    assert [line.split()[0] for line, _, _ in server.requests] == [method]


@pytest.mark.parametrize(("method", "body"), WRITES)
@pytest.mark.parametrize("status", [b"429 Slow", b"503 Gone", b"500 Oops", b"307 There"])
def test_whatever_the_answer_is_a_write_is_sent_once(serve, method, body, status):
    server, client = serve(whole({}, status, b"Retry-After: 1", b"Location: /y"), whole({}), whole({}))
    answer = client.write(Write(method, "/x", body), "i7")
    assert answer.status == int(status[:3])
    assert not answer.ok
    assert len(server.requests) == 1


def test_a_write_carries_its_id_its_writer_and_its_kind(serve):
    server, client = serve(whole({}))
    assert client.write(Write("PATCH", "/x", {"a": 1}, MERGE), "i7").ok
    ((line, headers, body),) = server.requests
    assert line == "PATCH /x?fieldManager=gyrostat HTTP/1.1"
    assert (headers["audit-id"], headers["content-type"], body) == ("i7", MERGE, b'{"a":1}')


def test_a_dry_deletion_says_so_in_its_body_and_every_other_dry_write_in_its_address(serve):
    server, client = serve(whole({}), whole({}))
    client.write(Write("DELETE", "/x", {"gracePeriodSeconds": 1}, dry_run=True))
    client.write(Write("PATCH", "/x", {}, MERGE, dry_run=True))
    assert [line for line, _, _ in server.requests] == [
        "DELETE /x HTTP/1.1",
        "PATCH /x?fieldManager=gyrostat&dryRun=All HTTP/1.1",
    ]
    assert json.loads(server.requests[0][2]) == {"gracePeriodSeconds": 1, "dryRun": ["All"]}


def test_nobody_there_was_surely_not_told():
    client = Client(Access("http://127.0.0.1:1"), 2.0)
    with pytest.raises(NotDelivered):
        client.write(Write("PATCH", "/x", {}))


def test_credentials_that_cannot_be_had_send_nothing(serve, tmp_path):
    server, _ = serve()
    missing = Client(Access(server.url, (tmp_path / "token").read_text), 2.0)
    with pytest.raises(NotDelivered, match="no credentials"):
        missing.write(Write("PATCH", "/x", {}))
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "hold"),
    [
        ([OK + b"Content-Length: 99\r\n\r\n", b"{"], 0.0),  # breaks off
        ([OK + b"Content-Length: 2\r\n\r\n{", b"}"], 9.0),  # hangs
        ([OK + b"Content-Length: 99\r\n\r\n", *[b" "] * 98], 0.1),  # drips
        (whole(["no object"]), 0.0),
        (whole({"name": 7}), 0.0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff", 0.0),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0.0),
    ],
    ids=["half", "hangs", "drips", "list", "type", "bytes", "other protocol"],
)
def test_half_an_answer_is_none_and_comes_to_an_end(serve, answer, hold):
    _, client = serve(answer, hold=hold, timeout=1.0)
    began = time.monotonic()
    with pytest.raises(MaybeDelivered):
        client.read("/", Named)
    assert time.monotonic() - began < 5.0


def test_an_answer_beyond_all_measure_is_cut(serve, monkeypatch):
    monkeypatch.setattr("telemetry.sources.kubernetes.client._MOST", 1000)
    _, client = serve(whole({"name": "x" * 2000}))
    with pytest.raises(MaybeDelivered, match="over 1000 bytes"):
        client.read("/", Named)


def test_a_peer_that_dies_while_nothing_is_asked_is_noticed(serve):
    _, client = serve(whole({"name": "web"}).replace(b"Connection: close\r\n", b""))
    client.read("/", Named)
    kept = client._pool.connection_from_url(client.access.server).pool.get(block=False).sock
    assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
    kept.close()


def test_who_only_asks_a_server_pays_nothing_for_the_official_client():
    code = (
        "import sys, actions.platforms.kubernetes.platform, telemetry.sources.kubernetes.client as c\n"
        "from telemetry.sources.kubernetes.access import Access\n"
        "c.Client(Access('https://127.0.0.1:1'))\n"
        "print(sorted(set(sys.modules) & {'kubernetes', 'yaml', 'pydantic_settings', 'requests', 'aiohttp'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# --- watches


def test_a_watch_gives_whole_lines_until_the_server_ends_it(serve):
    server, client = serve([OK + b"Connection: close\r\n\r\n", b'{"a":1}\n{"b"', b":2}\n\n", b'{"c":3}\n'])
    with client.watch("/api/v1/pods", {"watch": "1"}, idle=5.0) as lines:
        assert list(lines) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert server.requests[0][0] == "GET /api/v1/pods?watch=1 HTTP/1.1"


def test_chunks_of_a_watch_are_given_as_they_come(serve):
    chunks = [b'7\r\n{"a":1}\r\n', b"1\r\n\n\r\n", b'8\r\n{"b":2}\n\r\n']
    _, client = serve([OK + b"Transfer-Encoding: chunked\r\n\r\n", *chunks], hold=0.5)
    began = time.monotonic()
    with client.watch("/", {}, idle=5.0) as stream:
        lines = iter(stream)
        assert next(lines) == b'{"a":1}'
        assert next(lines) == b'{"b":2}'
        assert time.monotonic() - began > 0.9


def test_a_silent_watch_is_given_up(serve):
    _, client = serve([OK + b'Connection: close\r\n\r\n{"a":1}\n'], hold=20.0)
    with client.watch("/", {}, idle=0.3) as stream:
        lines = iter(stream)
        assert next(lines) == b'{"a":1}'
        with pytest.raises(OSError, match="broke"):
            next(lines)


def test_a_watch_is_ended_by_another_thread(serve):
    _, client = serve([OK + b'Connection: close\r\n\r\n{"a":1}\n'], hold=20.0)
    stream = client.watch("/", {}, idle=20.0)
    lines = iter(stream)
    assert next(lines) == b'{"a":1}'
    timer = threading.Timer(0.2, stream.close)
    timer.start()
    began = time.monotonic()
    with contextlib.suppress(OSError):
        assert next(lines, None) is None
    assert time.monotonic() - began < 10.0
    timer.join()


def test_a_refused_watch_says_why(serve):
    _, client = serve(whole({"reason": "Expired", "message": "too old"}, b"410 Gone"))
    with pytest.raises(Refused, match="410 Expired: too old"):
        client.watch("/", {}, idle=5.0)


# --- who we are


@pytest.fixture
def account(tmp_path):
    for name, text in {"token": "one\n", "ca.crt": "", "namespace": "gyrostat\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_in_a_pod_the_kubelet_s_token_is_read_for_every_request(account):
    access = in_cluster(POD, account)
    assert (access.server, access.namespace) == ("https://10.96.0.1:443", "gyrostat")
    assert access.authorization() == "Bearer one"
    (account / "token").write_text("two")
    assert access.authorization() == "Bearer two"


def test_in_a_pod_of_an_ipv6_cluster_the_address_is_a_url(account):
    assert in_cluster(POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, account).server == "https://[fd00::1]:443"


def test_a_pod_without_an_account_and_no_pod_at_all_are_said(account):
    (account / "token").unlink()
    with pytest.raises(AccessError, match=r"no service account .*token"):
        in_cluster(POD, account)
    with pytest.raises(AccessError, match="no pod"):
        in_cluster({}, account)


def test_a_kubeconfig_that_is_not_there_or_names_no_such_context_is_said(tmp_path):
    with pytest.raises(AccessError, match=r"nowhere.*--kubeconfig"):
        by_kubeconfig(tmp_path / "nowhere")
    file = tmp_path / "config"
    file.write_text(json.dumps(kubeconfig("https://127.0.0.1:6443", {"token": "t"})))
    with pytest.raises(AccessError, match="other"):
        by_kubeconfig(file, "other")


def kubeconfig(server, user, **cluster):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server} | cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    }


def test_a_login_plugin_is_asked_and_asked_again_when_its_token_expires(tmp_path):
    counter, plugin, file = tmp_path / "count", tmp_path / "login", tmp_path / "config"
    plugin.write_text(
        f"""#!/bin/sh
echo x >> {counter}
n=$(wc -l < {counter})
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
echo '"status": {{"token": "t'$n'", "expirationTimestamp": "2020-01-01T00:00:00Z"}}}}'
"""
    )
    plugin.chmod(0o755)
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    file.write_text(json.dumps(kubeconfig("https://127.0.0.1:6443", {"exec": exec_})))
    access = find({}, file)
    assert access.namespace == "shop"
    first, second = access.authorization(), access.authorization()
    assert first.startswith("Bearer t")
    assert second.startswith("Bearer t")
    assert first != second


def test_a_named_kubeconfig_comes_before_the_pod_s_account(account, tmp_path):
    file = tmp_path / "config"
    file.write_text(json.dumps(kubeconfig("https://127.0.0.1:6443", {"token": "mine"})))
    assert find(POD, file).authorization() == "Bearer mine"
    with pytest.raises(AccessError, match="service account"):
        find(POD)


# --- against a real API server


def test_a_person_and_a_pod_reach_a_real_api_server(cluster, namespace, tmp_path):
    person = Client(by_kubeconfig(cluster.kubeconfig))
    assert person.read(f"/api/v1/namespaces/{namespace}", dict)["kind"] == "Namespace"
    for name, text in {"token": "wrong", "ca.crt": cluster.ca.read_text(), "namespace": namespace}.items():
        (tmp_path / name).write_text(text)
    host, port = cluster.server.removeprefix("https://").split(":")
    pod = Client(in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}, tmp_path))
    with pytest.raises(Refused, match="401"):
        pod.read("/api/v1/namespaces", dict)
    (tmp_path / "token").write_text(cluster.bound_token(namespace, "default"))
    with pytest.raises(Refused, match=f"system:serviceaccount:{namespace}:default") as caught:
        pod.read("/api/v1/namespaces", dict)
    assert caught.value.status == 403


def test_a_server_that_another_authority_vouches_for_is_told_nothing(cluster, tmp_path):
    key, crt = tmp_path / "key", tmp_path / "crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=other",
        "-keyout",
        key,
        "-out",
        crt,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    client = Client(Access(cluster.server, ca_file=str(crt)))
    with pytest.raises(NotDelivered):
        client.write(Write("PATCH", "/api/v1/namespaces/default", {}, MERGE), "never-sent")
    assert cluster.audit(id="never-sent") == []


def test_a_real_watch_tells_what_happens(cluster, namespace):
    client = Client(by_kubeconfig(cluster.kubeconfig))
    of = f"/api/v1/namespaces/{namespace}/configmaps"
    with client.watch(of, {"watch": "1", "timeoutSeconds": "30"}, idle=60.0) as stream:
        cluster.do("POST", of, {"metadata": {"name": "news"}})
        names = (json.loads(line)["object"]["metadata"]["name"] for line in stream)
        assert "news" in names
