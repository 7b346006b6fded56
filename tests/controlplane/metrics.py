"""What stands for metrics-server: each pod uses what a test says, so that autoscalers and sources see real load."""

import contextlib
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .cluster import Cluster

_GROUP = "/apis/metrics.k8s.io/v1beta1"
_API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
_SERVICE = "/api/v1/namespaces/kube-system/services/metrics"


class Metrics:
    """The use of every pod.

    Attributes:
        cpu: millicores of each container, by namespace and `app` label; a pod that is not named uses nothing.
        memory: MiB of each container, the same way.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.cpu: dict[tuple[str, str], int] = {}
        self.memory: dict[tuple[str, str], int] = {}

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """What the API group says at a path."""
        where, _, query = path.removeprefix(_GROUP).partition("?")
        parts = where.strip("/").split("/")
        if parts == [""]:
            resource = {"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
            head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1"}
            return 200, head | {"resources": [resource]}
        if parts[-1] != "pods":
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        selector = urllib.parse.parse_qs(query).get("labelSelector", [""])[0]
        asked = urllib.parse.urlencode({"labelSelector": selector}) if selector else ""
        pods = self.cluster.get(f"/api/v1/{'/'.join(parts)}?{asked}")["items"]
        running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
        head = {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}}
        return 200, head | {"items": [self._of(pod) for pod in running]}

    def _of(self, pod: dict[str, Any]) -> dict[str, Any]:
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata.get("labels", {}).get("app", ""))
        usage = {"cpu": f"{self.cpu.get(key, 0)}m", "memory": f"{self.memory.get(key, 0)}Mi"}
        return {
            "metadata": {name: metadata[name] for name in ("name", "namespace")},
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "window": "1s",
            "containers": [{"name": each["name"], "usage": usage} for each in pod["spec"]["containers"]],
        }


@contextlib.contextmanager
def measured(cluster: Cluster, folder: Path) -> Iterator[Metrics]:
    """Serve it as `metrics.k8s.io` of a cluster; one at a time. `folder` is for its key."""
    metrics = Metrics(cluster)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = metrics.answer(self.path)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = _context(folder).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        _register(cluster, server.server_address[1])
        yield metrics
    finally:
        cluster.call("DELETE", _API_SERVICE)  # before its server goes: else no namespace can be deleted any more
        cluster.call("DELETE", _SERVICE)
        server.shutdown()
        server.server_close()
        thread.join()


def _context(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "metrics.key", folder / "metrics.crt"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=metrics"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _register(cluster: Cluster, port: int) -> None:
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics", "namespace": "kube-system"},
            "spec": spec,
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"name": "metrics", "namespace": "kube-system", "port": port},
            },
        },
    )
    cluster.until(lambda: cluster.call("GET", f"{_GROUP}/pods")[0] == 200, "metrics.k8s.io")
