"""A running control plane: its processes, its administrator's hands, and its audit log."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests.needs import need

from .stages import stages

WITHIN = 120.0  # seconds that anything real may take on a busy machine
NODES = 3
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "serviceaccounts/token"]}]},
        {"level": "None", "userGroups": ["system:nodes-of-kwok"]},
        {"level": "RequestResponse"},
    ],
}
_USERS = {  # who the processes are; the administrator is in no audit rule, kwok only with what it does to pods
    "admin": "system:masters",
    "kwok": "system:masters,system:nodes-of-kwok",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}


class ClusterError(AssertionError):
    """The cluster did not do what was asked of it."""


@dataclass
class Cluster:
    """A cluster that tests may destroy.

    Attributes:
        kubeconfig: of its administrator.
        server: `https://host:port`.
        ca: file with the certificate authority.
        token: the administrator's.
        binaries: folder with kubectl and helm; empty: those of the PATH.
        audit_log: written by the API server; None for a cluster that somebody else runs.
        processes: by component; empty for a cluster that somebody else runs.
    """

    kubeconfig: Path
    server: str
    ca: Path
    token: str
    binaries: Path | None = None
    audit_log: Path | None = None
    commands: dict[str, list[str]] = field(default_factory=dict, repr=False)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict, repr=False)
    _pool: urllib3.PoolManager | None = field(default=None, repr=False)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        kind: str = "application/json",
        token: str | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """One request with the administrator's hands (or another token's); status and decoded answer."""
        if self._pool is None:
            self._pool = urllib3.PoolManager(ca_certs=str(self.ca), retries=False, timeout=WITHIN, maxsize=8)
        sent = {"Authorization": f"Bearer {token or self.token}", "Accept": "application/json", "Content-Type": kind}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self.server + path, body=data, headers=sent)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(answer.data) if is_json else answer.data.decode()

    def get(self, path: str) -> Any:
        """The object or list at a path.

        Raises:
            ClusterError: it is not there.
        """
        status, found = self.call("GET", path)
        if status != 200:
            raise ClusterError(f"GET {path}: {status} {found}")
        return found

    def do(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """The same for a write that has to succeed."""
        status, answer = self.call(method, path, body, kind)
        if status >= 300:
            raise ClusterError(f"{method} {path}: {status} {answer}")
        return answer

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Output of a command that has to succeed."""
        return self._run("kubectl", words, stdin)

    def helm(self, *words: str) -> str:
        """Output of a command that has to succeed."""
        return self._run("helm", words, "")

    def _run(self, program: str, words: tuple[str, ...], stdin: str) -> str:
        command = [str(self.binaries / program) if self.binaries else program, *words]
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=WITHIN
        )
        if done.returncode:
            raise ClusterError(f"{program} {' '.join(words)}: exit {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or update objects as a person does, with `kubectl apply`."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until it is true; returns what it returned."""
        deadline = time.monotonic() + WITHIN
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise ClusterError(f"{what}: not within {WITHIN:g} s")
            time.sleep(0.1)
        return found

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test", **annotations: str) -> Iterator[str]:
        """A namespace of its own, deleted afterwards with all that is in it."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.do("POST", "/api/v1/namespaces", {"metadata": {"name": name, "annotations": annotations}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.until(lambda: self.call("GET", account)[0] == 200, f"service account of {name}")
        try:
            yield name
        finally:
            self.call("DELETE", f"/api/v1/namespaces/{name}")

    def bound_token(self, namespace: str, account: str, pod: str = "", seconds: int = 3600) -> str:
        """A service account's token as the kubelet would project it into a pod."""
        spec: dict[str, Any] = {"expirationSeconds": seconds}
        if pod:
            uid = self.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        token: str = self.do("POST", path, {"spec": spec})["status"]["token"]
        return token

    def audit(self, **where: str) -> list[dict[str, Any]]:
        """Entries of the API server's audit log whose fields (`user`, `verb`, `namespace`, `id`) are as given."""
        need(self.audit_log, "needs a cluster of the tests' own: another one's audit log is not at hand")
        assert self.audit_log is not None
        words = [word.encode() for key, word in where.items() if key != "verb"]  # sought first: the log is long
        lines = self.audit_log.read_bytes().split(b"\n")[:-1]
        entries = [json.loads(line) for line in lines if all(word in line for word in words)]
        return [entry for entry in entries if all(_audited(entry)[key] == value for key, value in where.items())]

    def start(self, name: str) -> None:
        """Start a component; `until_ready` waits for the API server."""
        log = self.kubeconfig.with_name(f"{name}.log").open("ab")
        with log:  # a component dies with the process that started it, whatever that one dies of, and by no Ctrl-C
            command = ["setpriv", "--pdeathsig", "KILL", "--", *self.commands[name]]
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """End a component at once: what it keeps is in etcd, or thrown away with the cluster."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def until_ready(self) -> None:
        """Wait for the API server.

        Raises:
            ClusterError: a component ended, or it took too long.
        """

        def ready() -> bool:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    log = self.kubeconfig.with_name(f"{name}.log").read_text(errors="replace")
                    raise ClusterError(f"{name} ended with {process.returncode}: {log[-2000:]}")
            with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
                return self.call("GET", "/readyz")[0] == 200
            return False

        self.until(ready, "API server")


def _audited(entry: dict[str, Any]) -> dict[str, str]:
    found = entry.get("objectRef", {})
    verb = "/".join(filter(None, (entry["verb"], found.get("subresource"))))
    named = {"namespace": found.get("namespace", ""), "name": found.get("name", "")}
    return {"user": entry["user"]["username"], "verb": verb, "id": entry["auditID"], **named}


@contextlib.contextmanager
def running(binaries: Path, state: Path) -> Iterator[Cluster]:
    """A new cluster with ready nodes, whose files are in `state`; all its processes end with the block."""
    cluster = _prepare(binaries, state)
    try:
        for name in ("etcd", "kube-apiserver"):
            cluster.start(name)
        cluster.until_ready()
        for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
            cluster.start(name)
        for number in range(NODES):
            cluster.do("POST", "/api/v1/nodes", _node(f"node-{number}"))
        cluster.until(lambda: _settled(cluster), "nodes and controllers")
        yield cluster
    finally:
        for name in reversed(list(cluster.processes)):
            cluster.kill(name)


def _settled(cluster: Cluster) -> bool:
    """Whether pods can be scheduled, and controllers run: a namespace has its service account."""
    nodes = cluster.get("/api/v1/nodes")["items"]
    status, _ = cluster.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")
    return status == 200 and all(not node["spec"].get("taints") for node in nodes)


def _node(name: str) -> dict[str, Any]:
    resources = {"cpu": "64", "memory": "256Gi", "pods": "5000", "ephemeral-storage": "100Gi"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {"capacity": resources, "allocatable": resources},
    }


def _prepare(binaries: Path, state: Path) -> Cluster:
    """Keys, tokens, configuration files and commands of every component; nothing runs yet."""
    etcd, peer, api = _free_ports(3)
    tokens = {user: secrets.token_hex(16) for user in _USERS}
    lines = [f'{tokens[user]},{user},{user},"{groups}"' for user, groups in _USERS.items()]
    (state / "tokens.csv").write_text("\n".join(lines) + "\n")
    (state / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
    (state / "stages.yaml").write_text(stages())
    key = state / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True, timeout=WITHIN)
    ca = state / "apiserver.crt"  # made by the API server; it signs itself
    server = f"https://127.0.0.1:{api}"
    for user, token in tokens.items():
        (state / f"{user}.kubeconfig").write_text(kubeconfig(server, ca, token))
    commands = {
        "etcd": [
            f"--data-dir={state / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--watch-progress-notify-interval=5s",  # as kubeadm has it; without, bookmarks are rare
            "--log-level=error",
        ],
        "kube-apiserver": [
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--secure-port={api}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={state}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            f"--token-auth-file={state / 'tokens.csv'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={state / 'audit-policy.json'}",
            f"--audit-log-path={state / 'audit.log'}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=100000",
        ],
        "kube-controller-manager": [
            f"--kubeconfig={state / 'system:kube-controller-manager.kubeconfig'}",
            "--leader-elect=false",
            "--secure-port=0",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={ca}",
            "--use-service-account-credentials",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=1s",  # else load counts after minutes
            "--node-monitor-grace-period=3600s",  # a node whose kwok had no CPU for a minute is not lost
        ],
        "kube-scheduler": [
            f"--kubeconfig={state / 'system:kube-scheduler.kubeconfig'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ],
        "kwok": [
            f"--kubeconfig={state / 'kwok.kubeconfig'}",
            f"--config={state / 'stages.yaml'}",
            "--manage-all-nodes=true",
        ],
    }
    return Cluster(
        kubeconfig=state / "admin.kubeconfig",
        server=server,
        ca=ca,
        token=tokens["admin"],
        binaries=binaries,
        audit_log=state / "audit.log",
        commands={name: [str(binaries / name), *flags] for name, flags in commands.items()},
    )


def kubeconfig(server: str, ca: Path, token: str) -> str:
    """A file for one user, as JSON, which is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
