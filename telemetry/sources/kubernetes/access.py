"""Where an API server is, and who we are there: inside a pod, or by a kubeconfig file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token, its certificate authority and its namespace."""


class AccessError(Exception):
    """There is no way to an API server; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server.

    Attributes:
        server: `https://host:port`, perhaps with a path.
        authorization: value of the Authorization header, asked before each request: tokens are replaced while we run.
        ca_file: certificate authorities that may vouch for the server; empty: those of the system.
        cert_file, key_file: our client certificate; empty: none.
        verify: False only where a kubeconfig file says so.
        server_name: name that the certificate has to have; empty: the host's.
        proxy: URL of an HTTP proxy; empty: none.
        namespace: where we are, or where the person works.
    """

    server: str
    authorization: Callable[[], str] = str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    namespace: str = "default"


def find(environment: Mapping[str, str], kubeconfig: Path | None = None, context: str = "") -> Access:
    """The way that is named, else the pod's, else that of the kubeconfig file at its usual place.

    Args:
        environment: of this process.
        kubeconfig: file; None where nobody named one.
        context: in that file; empty: its current one.

    Raises:
        AccessError: there is none.
    """
    if kubeconfig is None and not context and "KUBERNETES_SERVICE_HOST" in environment:
        return in_cluster(environment)
    return by_kubeconfig(kubeconfig, context)


def in_cluster(environment: Mapping[str, str], account: Path = ACCOUNT) -> Access:
    """The way of a pod, with the account that the kubelet gave it.

    Without the official client, which costs 40 MiB: there is nothing to it but three files. The token is read for each
    request, because the kubelet replaces it, and a bound one dies with its pod.

    Raises:
        AccessError: this is no pod, or it has no account.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise AccessError("this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    token, ca = account / "token", account / "ca.crt"
    try:
        namespace = (account / "namespace").read_text().strip()
        for needed in (token, ca):
            needed.stat()
    except OSError as error:
        raise AccessError(f"this pod has no service account ({error.strerror}: {error.filename})") from error

    def bearer() -> str:
        return f"Bearer {token.read_text().strip()}"

    literal = f"[{host}]" if ":" in host else host
    return Access(f"https://{literal}:{port}", bearer, ca_file=str(ca), namespace=namespace)


def by_kubeconfig(path: Path | None = None, context: str = "") -> Access:
    """The way of a person, by the official client: it knows every way to log in that a kubeconfig file can name.

    Args:
        path: file; None: that of KUBECONFIG, else ~/.kube/config.
        context: empty: the file's current one.

    Raises:
        AccessError: there is no such file or context, or the login failed.
    """
    from kubernetes.client import Configuration  # noqa: PLC0415  half a second and 40 MiB, only for people
    from kubernetes.config import kube_config  # noqa: PLC0415
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    found, name = Configuration(), None if path is None else str(path)
    try:
        contexts, current = kube_config.list_kube_config_contexts(name)  # type: ignore[no-untyped-call]
        # nobody's file is changed
        kube_config.load_kube_config(name, context or None, found, persist_config=False)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        where = name or "KUBECONFIG or ~/.kube/config"
        raise AccessError(f"{where}: {error} (--kubeconfig and --context name others)") from error
    named = next((each for each in contexts if each["name"] == context), current)

    def authorization() -> str:
        bearer = found.auth_settings().get("BearerToken")  # asks the login plugin where its token has expired
        basic = found.get_basic_auth_token() if found.username else ""
        return str(bearer["value"] or "") if bearer else basic or ""

    return Access(
        server=found.host,
        authorization=authorization,
        ca_file=found.ssl_ca_cert or "",
        cert_file=found.cert_file or "",
        key_file=found.key_file or "",
        verify=found.verify_ssl,
        server_name=found.tls_server_name or "",
        proxy=found.proxy or "",
        namespace=named["context"].get("namespace", "default"),
    )
