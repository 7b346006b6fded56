"""What is read of the API's objects, and nothing else: narrow structs, decoded from JSON as the server sends it.

A field that is not here is stepped over by the decoder. A field that is absent, or null where the API allows that, has
the default that the API gives it.
"""

from datetime import datetime
from typing import Any

import msgspec

DISABLED = "gyrostat.dev/disabled"
"""The annotation by which a workload's or namespace's owner says hands off."""
FEWEST, MOST = "gyrostat.dev/min-replicas", "gyrostat.dev/max-replicas"
"""The annotations by which they bound the number of its instances."""
RESTARTED = "gyrostat.dev/restarted-at"
"""Our annotation on a pod template: another value of it is a rolling restart."""
MANAGER = "gyrostat"
"""Our name as a writer of fields."""
SHARED = "gyrostat.dev/may-write"
"""The annotation by which an owner shares a field that its manifest declares: `replicas`."""


class _Part(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Part of an object."""


class Reference(_Part, frozen=True):
    """Who an object belongs to."""

    uid: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class ListMeta(_Part, frozen=True):
    """Where a list stands."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


# --- pods


class PodMeta(_Part, frozen=True):
    """The head of a pod; labels and annotations of tens of thousands of pods are not kept."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: tuple[Reference, ...] = ()


class Waiting(_Part, frozen=True):
    """A container that does not run yet, or not again."""

    reason: str = ""
    message: str = ""


class Running(_Part, frozen=True):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(_Part, frozen=True):
    """A container that ended."""

    reason: str = ""
    exit_code: int = 0
    finished_at: datetime | None = None


class ContainerState(_Part, frozen=True):
    """One of the three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Part, frozen=True):
    """A container of a pod, as its kubelet tells."""

    name: str
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class Condition(_Part, frozen=True):
    """A condition of anything."""

    type: str
    status: str
    reason: str = ""
    last_transition_time: datetime | None = None


class PodStatus(_Part, frozen=True):
    """What its kubelet says of a pod."""

    phase: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_Part, frozen=True):
    """A pod."""

    metadata: PodMeta
    status: PodStatus = PodStatus()


# --- workloads


class Annotations(_Part, frozen=True):
    """The annotations that mean something here."""

    disabled: str | None = msgspec.field(default=None, name=DISABLED)
    fewest: str | None = msgspec.field(default=None, name=FEWEST)
    most: str | None = msgspec.field(default=None, name=MOST)
    applied: str | None = msgspec.field(default=None, name="kubectl.kubernetes.io/last-applied-configuration")
    revision: str = msgspec.field(default="", name="deployment.kubernetes.io/revision")
    generation: str = msgspec.field(default="", name="deprecated.daemonset.template.generation")
    shared: str = msgspec.field(default="", name=SHARED)
    restarted: str | None = msgspec.field(default=None, name=RESTARTED)


class SpecFields(_Part, frozen=True):
    """Which fields of a spec a writer is known to have written."""

    replicas: Any = msgspec.field(default=msgspec.UNSET, name="f:replicas")


class Fields(_Part, frozen=True):
    """Which parts of an object a writer is known to have written."""

    spec: SpecFields | None = msgspec.field(default=None, name="f:spec")


class Managed(_Part, frozen=True):
    """A writer of an object."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: datetime | None = None
    fields_v1: Fields = msgspec.field(default=Fields(), name="fieldsV1")


class Meta(_Part, frozen=True):
    """The head of an object."""

    name: str
    uid: str
    resource_version: str
    namespace: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: Annotations = Annotations()
    owner_references: tuple[Reference, ...] = ()
    managed_fields: tuple[Managed, ...] = ()


class Resources(_Part, frozen=True):
    """What a container may use, as Kubernetes writes quantities."""

    limits: dict[str, str | int | float] = {}


class Container(_Part, frozen=True):
    """A container of a template."""

    name: str
    resources: Resources = Resources()


class PodSpec(_Part, frozen=True):
    """What a template's pods are."""

    priority_class_name: str = ""
    containers: tuple[Container, ...] = ()


class TemplateMeta(_Part, frozen=True):
    """The head of a template's pods."""

    labels: dict[str, str] | None = None
    annotations: Annotations | None = None


class Template(_Part, frozen=True):
    """What new pods are made from."""

    metadata: TemplateMeta = TemplateMeta()
    spec: PodSpec = PodSpec()


class Rolling(_Part, frozen=True):
    """How a StatefulSet rolls."""

    partition: int | None = None


class Strategy(_Part, frozen=True):
    """How a workload rolls."""

    type: str = ""
    rolling_update: Rolling | None = None


class WorkloadSpec(_Part, frozen=True):
    """What is wanted of a workload."""

    replicas: int | None = None
    paused: bool = False
    template: Template = Template()
    update_strategy: Strategy = Strategy()


class WorkloadStatus(_Part, frozen=True):
    """How far it is; a DaemonSet counts under names of its own."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[Condition, ...] = ()
    current_revision: str = ""
    update_revision: str = ""
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_ready: int = 0


class Workload(_Part, frozen=True):
    """A Deployment, StatefulSet or DaemonSet."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ReplicaSet(_Part, frozen=True):
    """What stands between a Deployment and its pods."""

    metadata: Meta


# --- what bounds them


class ScaleTarget(_Part, frozen=True):
    """What an autoscaler scales."""

    kind: str
    name: str


class AutoscalerSpec(_Part, frozen=True):
    """What is wanted of an autoscaler."""

    scale_target_ref: ScaleTarget
    max_replicas: int
    min_replicas: int | None = None


class AutoscalerStatus(_Part, frozen=True):
    """What it does."""

    desired_replicas: int = 0
    conditions: tuple[Condition, ...] | None = None


class HorizontalPodAutoscaler(_Part, frozen=True):
    """An autoscaler."""

    metadata: Meta
    spec: AutoscalerSpec
    status: AutoscalerStatus = AutoscalerStatus()


class Expression(_Part, frozen=True):
    """One demand on a label."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(_Part, frozen=True):
    """Demands on labels; none at all chooses everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Expression, ...] | None = None


class BudgetSpec(_Part, frozen=True):
    """Which pods a budget is about."""

    selector: LabelSelector | None = None
    unhealthy_pod_eviction_policy: str | None = None


class BudgetStatus(_Part, frozen=True):
    """What room it leaves."""

    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0


class PodDisruptionBudget(_Part, frozen=True):
    """A bound on evictions."""

    metadata: Meta
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()


class Namespace(_Part, frozen=True):
    """A namespace."""

    metadata: Meta


# --- what must not fail for the cluster's own sake


class ServiceReference(_Part, frozen=True):
    """A service that the API server calls."""

    namespace: str
    name: str


class ClientConfig(_Part, frozen=True):
    """How the API server calls a webhook."""

    service: ServiceReference | None = None


class Webhook(_Part, frozen=True):
    """One webhook."""

    client_config: ClientConfig = ClientConfig()


class WebhookConfiguration(_Part, frozen=True):
    """Webhooks that the API server asks before it admits anything."""

    metadata: Meta
    webhooks: tuple[Webhook, ...] | None = None


class ServiceSpec(_Part, frozen=True):
    """Which pods stand behind a service."""

    selector: dict[str, str] | None = None


class Service(_Part, frozen=True):
    """A service."""

    metadata: Meta
    spec: ServiceSpec = ServiceSpec()
