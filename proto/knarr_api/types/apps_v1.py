"""Values of k8s.io.api.apps.v1.

Generated from knarr_proto/k8s/apps_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.numbers import Int32, Int64, Number
from knarr_api.time import keep_seconds
from knarr_api.types import core_v1, meta_v1


class ControllerRevision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An immutable snapshot of what a StatefulSet or DaemonSet looked like."""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ControllerRevision")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    data: Any = None
    revision: Int64 | None = None


class ControllerRevisionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.ControllerRevisionList"""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ControllerRevisionList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ControllerRevision, ...] = ()


class DaemonSetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DaemonSetSpec"""

    selector: meta_v1.LabelSelector | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    update_strategy: DaemonSetUpdateStrategy | None = None
    min_ready_seconds: Int32 | None = None
    revision_history_limit: Int32 | None = None


class DaemonSetStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DaemonSetStatus"""

    current_number_scheduled: Int32 | None = None
    number_misscheduled: Int32 | None = None
    desired_number_scheduled: Int32 | None = None
    number_ready: Int32 | None = None
    observed_generation: Int64 | None = None
    updated_number_scheduled: Int32 | None = None
    number_available: Int32 | None = None
    number_unavailable: Int32 | None = None
    collision_count: Int32 | None = None
    conditions: tuple[DaemonSetCondition, ...] = ()


class DaemonSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One pod on every node that fits."""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "DaemonSet")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class DaemonSetCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DaemonSetCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class DaemonSetList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.DaemonSetList"""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "DaemonSetList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[DaemonSet, ...] = ()


class DaemonSetUpdateStrategy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DaemonSetUpdateStrategy"""

    type: str = ""
    rolling_update: RollingUpdateDaemonSet | None = None


class DeploymentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DeploymentSpec"""

    replicas: Int32 | None = None
    """Absent means 1."""
    selector: meta_v1.LabelSelector | None = None
    """Pods that belong to it; must match the template's labels and never changes."""
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    """What the pods look like. A change of it, and nothing else, starts a rollout."""
    strategy: DeploymentStrategy | None = None
    min_ready_seconds: Int32 | None = None
    """How long a new pod must be ready before it counts as available."""
    revision_history_limit: Int32 | None = None
    """Old ReplicaSets to keep for rolling back; absent means 10."""
    paused: bool | None = None
    """No rollout starts or goes on; scaling still works."""
    progress_deadline_seconds: Int32 | None = None
    """Without progress for this long the condition Progressing becomes False; absent means 600."""


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DeploymentStatus"""

    observed_generation: Int64 | None = None
    """While behind metadata.generation, the other numbers are about an older spec."""
    replicas: Int32 | None = None
    updated_replicas: Int32 | None = None
    """Pods of the newest template."""
    available_replicas: Int32 | None = None
    """Pods ready for at least minReadySeconds."""
    unavailable_replicas: Int32 | None = None
    conditions: tuple[DeploymentCondition, ...] = ()
    ready_replicas: Int32 | None = None
    collision_count: Int32 | None = None
    """Part of the hash in ReplicaSet names, raised when a name was taken."""
    terminating_replicas: Int32 | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Keeps replicas of a pod running and replaces them gradually when the template changes, by way of ReplicaSets."""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Deployment")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class DeploymentCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DeploymentCondition"""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_update_time is not None:
            keep_seconds(self, "last_update_time", self.last_update_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class DeploymentList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.DeploymentList"""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "DeploymentList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Deployment, ...] = ()


class DeploymentStrategy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.DeploymentStrategy"""

    type: str = ""
    """RollingUpdate or Recreate (all old pods go before any new one comes)."""
    rolling_update: RollingUpdateDeployment | None = None


class ReplicaSetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.ReplicaSetSpec"""

    replicas: Int32 | None = None
    """Absent means 1."""
    selector: meta_v1.LabelSelector | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    min_ready_seconds: Int32 | None = None


class ReplicaSetStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.ReplicaSetStatus"""

    replicas: Int32 | None = None
    fully_labeled_replicas: Int32 | None = None
    """Pods that have all labels of the template."""
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    available_replicas: Int32 | None = None
    conditions: tuple[ReplicaSetCondition, ...] = ()
    terminating_replicas: Int32 | None = None


class ReplicaSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Keeps a number of equal pods running."""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ReplicaSet")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class ReplicaSetCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.ReplicaSetCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class ReplicaSetList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.ReplicaSetList"""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ReplicaSetList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ReplicaSet, ...] = ()


class RollingUpdateDaemonSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.RollingUpdateDaemonSet"""

    max_unavailable: Int32 | str | None = None
    max_surge: Int32 | str | None = None


class RollingUpdateDeployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.RollingUpdateDeployment"""

    max_unavailable: Int32 | str | None = None
    """Number or share of replicas that may be missing, rounded down; absent means 25%."""
    max_surge: Int32 | str | None = None
    """Number or share of replicas that may be too many, rounded up; absent means 25%. Not both may be zero."""


class RollingUpdateStatefulSetStrategy(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.apps.v1.RollingUpdateStatefulSetStrategy"""

    partition: Int32 | None = None
    max_unavailable: Int32 | str | None = None


class StatefulSetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.StatefulSetSpec"""

    replicas: Int32 | None = None
    selector: meta_v1.LabelSelector | None = None
    template: core_v1.PodTemplateSpec = core_v1.PodTemplateSpec()
    volume_claim_templates: tuple[core_v1.PersistentVolumeClaim, ...] = ()
    """A claim of each is made per pod and stays when the pod goes."""
    service_name: str = ""
    pod_management_policy: str = ""
    update_strategy: StatefulSetUpdateStrategy | None = None
    revision_history_limit: Int32 | None = None
    min_ready_seconds: Int32 | None = None
    persistent_volume_claim_retention_policy: StatefulSetPersistentVolumeClaimRetentionPolicy | None = None
    ordinals: StatefulSetOrdinals | None = None


class StatefulSetStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.StatefulSetStatus"""

    observed_generation: Int64 | None = None
    replicas: Int32 | None = None
    ready_replicas: Int32 | None = None
    current_replicas: Int32 | None = None
    updated_replicas: Int32 | None = None
    current_revision: str = ""
    update_revision: str = ""
    collision_count: Int32 | None = None
    conditions: tuple[StatefulSetCondition, ...] = ()
    available_replicas: Int32 | None = None


class StatefulSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Pods with lasting names, storage and order."""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "StatefulSet")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class StatefulSetCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apps.v1.StatefulSetCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class StatefulSetList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.StatefulSetList"""

    api_version: str = msgspec.field(default_factory=lambda: "apps/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "StatefulSetList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[StatefulSet, ...] = ()


class StatefulSetOrdinals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apps.v1.StatefulSetOrdinals"""

    start: Int32 | None = None


class StatefulSetPersistentVolumeClaimRetentionPolicy(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy"""

    when_deleted: str = ""
    when_scaled: str = ""


class StatefulSetUpdateStrategy(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.apps.v1.StatefulSetUpdateStrategy"""

    type: str = ""
    rolling_update: RollingUpdateStatefulSetStrategy | None = None
