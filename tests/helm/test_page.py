"""The five commands of docs/kubernetes.md, typed as they stand there, in a cluster of their own."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.build import folder, missing
from tests.controlplane.cluster import Cluster, running
from tests.controlplane.workloads import path, workload
from tests.needs import need
from tests.project.docs import ROOT, blocks

from .charts import CHART, NAMESPACE
from .installed import ACCOUNT, DISK, controller, episodes, may_evict, ready, status, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # its policy waits a minute, twice
BLOCKS = [*blocks(ROOT / "docs" / "kubernetes.md")]


class Reader:
    """Who reads the page: has its policy in a file and the chart in ./helm, and types what it says."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        (folder / "helm").symlink_to(CHART)
        (policy,) = [block.text for block in BLOCKS if block.language == "yaml"]
        (folder / "sick.yaml").write_text(policy)
        (shell, *_) = [block.text for block in BLOCKS if block.language == "sh"]
        self.commands = [shlex.split(line, comments=True) for line in shell.splitlines()]

    def types(self, words: list[str]) -> str:
        """What the command says, which has to succeed."""
        binaries = [str(Path(sys.executable).parent), str(self.cluster.binaries), os.environ["PATH"]]
        environment = os.environ | {"PATH": os.pathsep.join(binaries), "KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    why = missing()
    need(not why, why)
    (tmp_path / "state").mkdir()
    with running(folder(), tmp_path / "state") as cluster:
        cluster.kubectl("create", "namespace", "shop")
        cluster.apply(workload("shop", "checkout"), DISK)
        yield Reader(cluster, tmp_path)


def sicken(cluster: Cluster) -> str:
    """One pod of two crashes from now on; says which."""
    deployment = path("Deployment", "shop", "checkout")
    until(lambda: cluster.get(deployment)["status"].get("readyReplicas") == 2, "both pods are ready")
    (first, _) = cluster.get(path("Pod", "shop") + "?labelSelector=app%3Dcheckout")["items"]
    sick: str = first["metadata"]["name"]
    cluster.kubectl("set", "image", f"pod/{sick}", "app=registry.test/checkout:crash", "-n", "shop")
    return sick


def evictions(cluster: Cluster) -> list[str]:
    """The pods that the controller evicted, by the API server's own log."""
    found = [entry["objectRef"] for entry in cluster.audit(user=ACCOUNT, verb="create/eviction")]
    return [one["name"] for one in found]


def test_the_five_commands_do_what_the_page_says(reader: Reader, tmp_path: Path) -> None:
    cluster, (install, check, apply, look, widen) = reader.cluster, reader.commands
    reader.types(install)
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/name=gyrostat"
    until(lambda: len(cluster.get(pods)["items"]) == 1, "its pod is there")
    assert "Phase:          Succeeded" in reader.types(check)
    with controller(cluster, tmp_path / "controller", interval="1"):
        reader.types(apply)
        until(lambda: ready(cluster, "sick")[1] == "in force: it writes down what it would do", "it only watches")
        sick = sicken(cluster)
        until(lambda: status(cluster, "sick").get("wouldAct") == 1, "it would act")
        until(lambda: episodes(cluster, "sick"), "an Episode")
        shown = reader.types(look)
        assert "held: Mode" in shown
        assert "Observe" in shown
        assert not may_evict(cluster, "shop")
        assert evictions(cluster) == []
        reader.types(widen)
        until(lambda: may_evict(cluster, "shop"), "now it may")
        assert not may_evict(cluster, "default")
        cluster.kubectl("patch", "rmp", "sick", "-n", "shop", "--type=merge", "-p", '{"spec": {"mode": "Enforce"}}')
        until(lambda: status(cluster, "sick").get("healed") == 1, "healed as the page says, after its minute")
    assert evictions(cluster) == [sick]
