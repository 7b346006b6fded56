"""A cluster as part of a loop: what is read of it, what is written to it, its policies, and what it is told."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actions.platforms import Platform
from actions.platforms.kubernetes.platform import KubernetesPlatform
from controller.cluster.herald import Herald, Parts
from controller.cluster.policies import Followed, PolicyObjects, resource
from controller.settings import Settings
from telemetry.sources import Reading
from telemetry.sources.kubernetes.access import Access, by_kubeconfig, in_cluster
from telemetry.sources.kubernetes.client import Client
from telemetry.sources.kubernetes.rights import Rights
from telemetry.sources.kubernetes.source import KubernetesSource

IN_CLUSTER = "in-cluster"
PATIENCE = 30.0
"""Seconds that a look without a loop waits for a cluster."""
PROTECTED = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces of the cluster itself."""


def access(kubernetes: str) -> Access:
    """The way that the setting names.

    Raises:
        AccessError: there is none.
    """
    return in_cluster(os.environ) if kubernetes == IN_CLUSTER else by_kubeconfig(Path(kubernetes))


def spaces(namespaces: str) -> list[str]:
    """The names in the setting; none for every namespace."""
    return [name for name in namespaces.split(",") if name]


@dataclass(frozen=True, slots=True)
class Joined:
    """A cluster that is followed until the stack ends.

    Attributes:
        source: its workloads.
        platform: the hands.
        rehearsal: hands whose writes the API server keeps nothing of; None where nobody asked for that.
        policies: its policy objects.
        herald: tells it what was done; not started.
    """

    source: KubernetesSource
    platform: Platform
    rehearsal: Platform | None
    policies: PolicyObjects
    herald: Herald


def join(
    settings: Settings, trail: str, now: Callable[[], float], count: Callable[[str, str], None], stack: ExitStack
) -> Joined:
    """Follow a cluster.

    Args:
        settings: in force.
        trail: which one: it stands before the id of each intent in the API server's audit log.
        now: epoch seconds.
        count: is told of each write that only says something.
        stack: what ends it.

    Raises:
        AccessError: there is no way to it.
    """
    way = access(settings.kubernetes)
    client = stack.enter_context(contextlib.closing(Client(way, settings.call_timeout)))
    chosen = spaces(settings.namespaces)
    own = frozenset({way.namespace}) if settings.kubernetes == IN_CLUSTER else frozenset[str]()
    rights = Rights(client)
    source = KubernetesSource(client, chosen, own, rights=rights)
    policies = PolicyObjects(client, chosen)
    episodes = Followed(client, [resource("Episode", name) for name in chosen or [""]])
    for part in (source, policies, episodes):
        stack.callback(part.close)
        part.start()
    hands = partial(KubernetesPlatform, client, now, trail=f"{trail}-", forbidden=PROTECTED | own, rights=rights)
    rehearsal = hands(dry_run=True) if settings.dry_run_server else None
    herald = Herald(Parts(client, rights, policies, episodes, now, count, socket.gethostname()))
    return Joined(source, hands(), rehearsal, policies, herald)


@contextlib.contextmanager
def glance(settings: Settings, now: float) -> Iterator[tuple[Reading, PolicyObjects]]:
    """One look at a cluster, for who has no loop: its workloads and its policies, as soon as they are known.

    What is not known within `PATIENCE` seconds is told as the reading's error.

    Raises:
        AccessError: there is no way to it.
    """
    chosen = spaces(settings.namespaces)
    with ExitStack() as stack:
        client = stack.enter_context(contextlib.closing(Client(access(settings.kubernetes), settings.call_timeout)))
        source, policies = KubernetesSource(client, chosen), PolicyObjects(client, chosen)
        for part in (source, policies):
            stack.callback(part.close)
            part.start()
        until = time.monotonic() + PATIENCE
        while (reading := source.read(now)).error or not policies.known:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        yield reading, policies
