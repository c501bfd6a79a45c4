"""Values of k8s.io.api.core.v1.

Generated from knarr_proto/k8s/core_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.numbers import Int32, Int64, Number
from knarr_api.quantity import Quantity
from knarr_api.time import keep_micros, keep_seconds
from knarr_api.types import meta_v1


class AWSElasticBlockStoreVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.AWSElasticBlockStoreVolumeSource"""

    volume_id: str = msgspec.field(default="", name="volumeID")
    fs_type: str = ""
    partition: Int32 | None = None
    read_only: bool | None = None


class Affinity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.Affinity"""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class AppArmorProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.AppArmorProfile"""

    type: str = ""
    localhost_profile: str = ""


class AttachedVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.AttachedVolume"""

    name: str = ""
    device_path: str = ""


class AvoidPods(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.AvoidPods"""

    prefer_avoid_pods: tuple[PreferAvoidPodsEntry, ...] = ()


class AzureDiskVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.AzureDiskVolumeSource"""

    disk_name: str = ""
    disk_uri: str = msgspec.field(default="", name="diskURI")
    caching_mode: str = ""
    fs_type: str = ""
    read_only: bool | None = None
    kind: str = ""


class AzureFilePersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.AzureFilePersistentVolumeSource"""

    secret_name: str = ""
    share_name: str = ""
    read_only: bool | None = None
    secret_namespace: str = ""


class AzureFileVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.AzureFileVolumeSource"""

    secret_name: str = ""
    share_name: str = ""
    read_only: bool | None = None


class Binding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Puts a pod on a node; written once, by the scheduler."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Binding")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    target: ObjectReference | None = None


class CSIPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.CSIPersistentVolumeSource"""

    driver: str = ""
    volume_handle: str = ""
    read_only: bool | None = None
    fs_type: str = ""
    volume_attributes: dict[str, str] = msgspec.field(default_factory=dict)
    controller_publish_secret_ref: SecretReference | None = None
    node_stage_secret_ref: SecretReference | None = None
    node_publish_secret_ref: SecretReference | None = None
    controller_expand_secret_ref: SecretReference | None = None
    node_expand_secret_ref: SecretReference | None = None


class CSIVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.CSIVolumeSource"""

    driver: str = ""
    read_only: bool | None = None
    fs_type: str = ""
    volume_attributes: dict[str, str] = msgspec.field(default_factory=dict)
    node_publish_secret_ref: LocalObjectReference | None = None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.Capabilities"""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class CephFSPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.CephFSPersistentVolumeSource"""

    monitors: tuple[str, ...] = ()
    path: str = ""
    user: str = ""
    secret_file: str = ""
    secret_ref: SecretReference | None = None
    read_only: bool | None = None


class CephFSVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.CephFSVolumeSource"""

    monitors: tuple[str, ...] = ()
    path: str = ""
    user: str = ""
    secret_file: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None


class CinderPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.CinderPersistentVolumeSource"""

    volume_id: str = msgspec.field(default="", name="volumeID")
    fs_type: str = ""
    read_only: bool | None = None
    secret_ref: SecretReference | None = None


class CinderVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.CinderVolumeSource"""

    volume_id: str = msgspec.field(default="", name="volumeID")
    fs_type: str = ""
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None


class ClientIPConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ClientIPConfig"""

    timeout_seconds: Int32 | None = None


class ClusterTrustBundleProjection(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ClusterTrustBundleProjection"""

    name: str = ""
    signer_name: str = ""
    label_selector: meta_v1.LabelSelector | None = None
    path: str = ""
    optional: bool | None = None
    user: Int64 | None = None


class ComponentCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ComponentCondition"""

    type: str = ""
    status: str = ""
    message: str = ""
    error: str = ""


class ComponentStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ComponentStatus"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ComponentStatus")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    conditions: tuple[ComponentCondition, ...] = ()


class ComponentStatusList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ComponentStatusList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ComponentStatusList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ComponentStatus, ...] = ()


class ConfigMap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Settings for pods: text in data, bytes in binaryData."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ConfigMap")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    data: dict[str, str] = msgspec.field(default_factory=dict)
    binary_data: dict[str, bytes] = msgspec.field(default_factory=dict)
    immutable: bool | None = None
    """When true nothing of it but metadata can change."""


class ConfigMapEnvSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ConfigMapEnvSource"""

    name: str = ""
    optional: bool | None = None


class ConfigMapKeySelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ConfigMapKeySelector"""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class ConfigMapList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ConfigMapList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ConfigMapList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ConfigMap, ...] = ()


class ConfigMapNodeConfigSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ConfigMapNodeConfigSource"""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    kubelet_config_key: str = ""


class ConfigMapProjection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ConfigMapProjection"""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class ConfigMapVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ConfigMapVolumeSource"""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: Int32 | None = None
    optional: bool | None = None
    default_user: Int64 | None = None


class ResourceRequirements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a container needs (requests, default: its limits) and may use at most (limits)."""

    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)
    claims: tuple[ResourceClaim, ...] = ()


class Container(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """One program of a pod with its own file system."""

    name: str = ""
    """Unique in the pod; a DNS label."""
    image: str = ""
    """Reference: [registry/]repository[:tag][@digest]."""
    command: tuple[str, ...] = ()
    """Replaces the image's entry point. $(NAME) is replaced from env."""
    args: tuple[str, ...] = ()
    """Replaces the image's arguments."""
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    """Requests are what the scheduler reserves, limits what the kernel enforces."""
    volume_mounts: tuple[VolumeMount, ...] = ()
    liveness_probe: Probe | None = None
    """Failing it restarts the container."""
    readiness_probe: Probe | None = None
    """Failing it takes the pod out of its services."""
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    """File that a container may leave its last words in; absent means /dev/termination-log."""
    image_pull_policy: str = ""
    """Always, IfNotPresent or Never; absent: Always for the tag latest, else IfNotPresent."""
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    env_from: tuple[EnvFromSource, ...] = ()
    """All keys of a ConfigMap or Secret; env has precedence."""
    termination_message_policy: str = ""
    volume_devices: tuple[VolumeDevice, ...] = ()
    startup_probe: Probe | None = None
    """The other probes wait until it has succeeded once."""
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    restart_policy: str = ""
    """Of init containers, Always makes a sidecar: it starts in turn and keeps running."""
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()


class ContainerExtendedResourceRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ContainerExtendedResourceRequest"""

    container_name: str = ""
    resource_name: str = ""
    request_name: str = ""


class ContainerImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerImage"""

    names: tuple[str, ...] = ()
    size_bytes: Int64 | None = None


class ContainerPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerPort"""

    name: str = ""
    host_port: Int32 | None = None
    container_port: Int32 | None = None
    protocol: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")


class ContainerResizePolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerResizePolicy"""

    resource_name: str = ""
    restart_policy: str = ""


class ContainerRestartRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerRestartRule"""

    action: str = ""
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class ContainerRestartRuleOnExitCodes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ContainerRestartRuleOnExitCodes"""

    operator: str = ""
    values: tuple[Int32, ...] = ()


class ContainerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Exactly one is set; none means waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStateRunning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerStateRunning"""

    started_at: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.started_at is not None:
            keep_seconds(self, "started_at", self.started_at)


class ContainerStateTerminated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerStateTerminated"""

    exit_code: Int32 | None = None
    """128 + n when killed by signal n."""
    signal: Int32 | None = None
    reason: str = ""
    message: str = ""
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    container_id: str = msgspec.field(default="", name="containerID")

    def __post_init__(self) -> None:
        if self.started_at is not None:
            keep_seconds(self, "started_at", self.started_at)
        if self.finished_at is not None:
            keep_seconds(self, "finished_at", self.finished_at)


class ContainerStateWaiting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ContainerStateWaiting"""

    reason: str = ""
    message: str = ""


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ContainerStatus"""

    name: str = ""
    state: ContainerState | None = None
    """What it does now."""
    last_state: ContainerState | None = None
    """How the previous run ended."""
    ready: bool | None = None
    restart_count: Int32 | None = None
    """Runs before this one."""
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")
    """runtime://id"""
    started: bool | None = None
    """Its startup probe has succeeded, or it has none and runs."""
    allocated_resources: dict[str, Quantity] = msgspec.field(default_factory=dict)
    resources: ResourceRequirements = ResourceRequirements()
    volume_mounts: tuple[VolumeMountStatus, ...] = ()
    user: ContainerUser | None = None
    allocated_resources_status: tuple[ResourceStatus, ...] = ()
    stop_signal: str = ""


class ContainerUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ContainerUser"""

    linux: LinuxContainerUser | None = None


class DaemonEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.DaemonEndpoint"""

    port: Int32 | None = msgspec.field(default=None, name="Port")


class DownwardAPIProjection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.DownwardAPIProjection"""

    items: tuple[DownwardAPIVolumeFile, ...] = ()


class DownwardAPIVolumeFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.DownwardAPIVolumeFile"""

    path: str = ""
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: Int32 | None = None
    user: Int64 | None = None


class DownwardAPIVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.DownwardAPIVolumeSource"""

    items: tuple[DownwardAPIVolumeFile, ...] = ()
    default_mode: Int32 | None = None
    default_user: Int64 | None = None


class EmptyDirVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A directory that lives as long as the pod."""

    medium: str = ""
    """Empty: the node's disk. Memory: tmpfs, counted against the containers' memory."""
    size_limit: Quantity | None = None
    mode: Int32 | None = None


class EndpointAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EndpointAddress"""

    ip: str = ""
    target_ref: ObjectReference | None = None
    hostname: str = ""
    node_name: str = ""


class EndpointPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EndpointPort"""

    name: str = ""
    port: Int32 | None = None
    protocol: str = ""
    app_protocol: str = ""


class EndpointSubset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EndpointSubset"""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.Endpoints"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Endpoints")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    subsets: tuple[EndpointSubset, ...] = ()


class EndpointsList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.EndpointsList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "EndpointsList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Endpoints, ...] = ()


class EnvFromSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EnvFromSource"""

    prefix: str = ""
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None


class EnvVar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EnvVar"""

    name: str = ""
    value: str = ""
    """$(NAME) is replaced from variables above it, $$ is a dollar sign."""
    value_from: EnvVarSource | None = None


class EnvVarSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EnvVarSource"""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class EphemeralContainer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EphemeralContainer"""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    volume_mounts: tuple[VolumeMount, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    image_pull_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    env_from: tuple[EnvFromSource, ...] = ()
    termination_message_policy: str = ""
    volume_devices: tuple[VolumeDevice, ...] = ()
    startup_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    restart_policy: str = ""
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    target_container_name: str = ""


class EphemeralContainerCommon(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EphemeralContainerCommon"""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    volume_mounts: tuple[VolumeMount, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    image_pull_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    env_from: tuple[EnvFromSource, ...] = ()
    termination_message_policy: str = ""
    volume_devices: tuple[VolumeDevice, ...] = ()
    startup_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    restart_policy: str = ""
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()


class EphemeralVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EphemeralVolumeSource"""

    volume_claim_template: PersistentVolumeClaimTemplate | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Something that happened to an object; kept for a while."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Event")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    involved_object: ObjectReference | None = None
    reason: str = ""
    message: str = ""
    source: EventSource | None = None
    first_timestamp: datetime.datetime | None = None
    last_timestamp: datetime.datetime | None = None
    count: Int32 | None = None
    """How often, between firstTimestamp and lastTimestamp."""
    type: str = ""
    event_time: datetime.datetime | None = None
    series: EventSeries | None = None
    action: str = ""
    related: ObjectReference | None = None
    reporting_component: str = ""
    reporting_instance: str = ""

    def __post_init__(self) -> None:
        if self.first_timestamp is not None:
            keep_seconds(self, "first_timestamp", self.first_timestamp)
        if self.last_timestamp is not None:
            keep_seconds(self, "last_timestamp", self.last_timestamp)
        if self.event_time is not None:
            keep_micros(self, "event_time", self.event_time)


class EventList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.EventList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "EventList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Event, ...] = ()


class EventSeries(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.EventSeries"""

    count: Int32 | None = None
    last_observed_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_observed_time is not None:
            keep_micros(self, "last_observed_time", self.last_observed_time)


class EventSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.EventSource"""

    component: str = ""
    host: str = ""


class EvictionResponder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.EvictionResponder"""

    name: str = ""
    priority: Int32 | None = None


class ExecAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ExecAction"""

    command: tuple[str, ...] = ()


class FCVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.FCVolumeSource"""

    target_wwns: tuple[str, ...] = msgspec.field(default=(), name="targetWWNs")
    lun: Int32 | None = None
    fs_type: str = ""
    read_only: bool | None = None
    wwids: tuple[str, ...] = ()


class FileKeySelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.FileKeySelector"""

    volume_name: str = ""
    path: str = ""
    key: str = ""
    optional: bool | None = None


class FlexPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.FlexPersistentVolumeSource"""

    driver: str = ""
    fs_type: str = ""
    secret_ref: SecretReference | None = None
    read_only: bool | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)


class FlexVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.FlexVolumeSource"""

    driver: str = ""
    fs_type: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)


class FlockerVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.FlockerVolumeSource"""

    dataset_name: str = ""
    dataset_uuid: str = msgspec.field(default="", name="datasetUUID")


class GCEPersistentDiskVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.GCEPersistentDiskVolumeSource"""

    pd_name: str = ""
    fs_type: str = ""
    partition: Int32 | None = None
    read_only: bool | None = None


class GRPCAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.GRPCAction"""

    port: Int32 | None = None
    service: str = ""
    mode: str = ""


class GitRepoVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.GitRepoVolumeSource"""

    repository: str = ""
    revision: str = ""
    directory: str = ""


class GlusterfsPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.GlusterfsPersistentVolumeSource"""

    endpoints: str = ""
    path: str = ""
    read_only: bool | None = None
    endpoints_namespace: str = ""


class GlusterfsVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.GlusterfsVolumeSource"""

    endpoints: str = ""
    path: str = ""
    read_only: bool | None = None


class HTTPGetAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.HTTPGetAction"""

    path: str = ""
    port: Int32 | str | None = None
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()
    protocol: str = ""


class HTTPHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.HTTPHeader"""

    name: str = ""
    value: str = ""


class HostAlias(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.HostAlias"""

    ip: str = ""
    hostnames: tuple[str, ...] = ()


class HostIP(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.HostIP"""

    ip: str = ""


class HostPathVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A file or directory of the node."""

    path: str = ""
    type: str = ""


class ISCSIPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ISCSIPersistentVolumeSource"""

    target_portal: str = ""
    iqn: str = ""
    lun: Int32 | None = None
    iscsi_interface: str = ""
    fs_type: str = ""
    read_only: bool | None = None
    portals: tuple[str, ...] = ()
    chap_auth_discovery: bool | None = None
    secret_ref: SecretReference | None = None
    chap_auth_session: bool | None = None
    initiator_name: str = ""


class ISCSIVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ISCSIVolumeSource"""

    target_portal: str = ""
    iqn: str = ""
    lun: Int32 | None = None
    iscsi_interface: str = ""
    fs_type: str = ""
    read_only: bool | None = None
    portals: tuple[str, ...] = ()
    chap_auth_discovery: bool | None = None
    secret_ref: LocalObjectReference | None = None
    chap_auth_session: bool | None = None
    initiator_name: str = ""


class ImageVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ImageVolumeSource"""

    reference: str = ""
    pull_policy: str = ""


class ImageVolumeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ImageVolumeStatus"""

    image_ref: str = ""


class KeyToPath(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.KeyToPath"""

    key: str = ""
    path: str = ""
    mode: Int32 | None = None
    user: Int64 | None = None


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Hooks: postStart right after the start, preStop before SIGTERM."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str = ""


class LifecycleHandler(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.LifecycleHandler"""

    exec_: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class LimitRangeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.LimitRangeSpec"""

    limits: tuple[LimitRangeItem, ...] = ()


class LimitRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.LimitRange"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "LimitRange")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: LimitRangeSpec = LimitRangeSpec()


class LimitRangeItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.LimitRangeItem"""

    type: str = ""
    max: dict[str, Quantity] = msgspec.field(default_factory=dict)
    min: dict[str, Quantity] = msgspec.field(default_factory=dict)
    default: dict[str, Quantity] = msgspec.field(default_factory=dict)
    default_request: dict[str, Quantity] = msgspec.field(default_factory=dict)
    max_limit_request_ratio: dict[str, Quantity] = msgspec.field(default_factory=dict)


class LimitRangeList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.LimitRangeList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "LimitRangeList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[LimitRange, ...] = ()


class LinuxContainerUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.LinuxContainerUser"""

    uid: Int64 | None = None
    gid: Int64 | None = None
    supplemental_groups: tuple[Int64, ...] = ()


class List(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.List"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "List")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Any, ...] = ()


class LoadBalancerIngress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.LoadBalancerIngress"""

    ip: str = ""
    hostname: str = ""
    ip_mode: str = ""
    ports: tuple[PortStatus, ...] = ()


class LoadBalancerStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.LoadBalancerStatus"""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class LocalObjectReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An object of the same namespace."""

    name: str = ""


class LocalVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.LocalVolumeSource"""

    path: str = ""
    fs_type: str = ""


class ModifyVolumeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ModifyVolumeStatus"""

    target_volume_attributes_class_name: str = ""
    status: str = ""


class NFSVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NFSVolumeSource"""

    server: str = ""
    path: str = ""
    read_only: bool | None = None


class NamespaceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NamespaceSpec"""

    finalizers: tuple[str, ...] = ()
    """The namespace stays while there are any."""


class NamespaceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NamespaceStatus"""

    phase: str = ""
    conditions: tuple[NamespaceCondition, ...] = ()


class Namespace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A scope for names. Deleting it deletes what is in it."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Namespace")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class NamespaceCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NamespaceCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class NamespaceList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NamespaceList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NamespaceList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Namespace, ...] = ()


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeSpec"""

    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    """Addresses of the node's pods."""
    external_id: str = msgspec.field(default="", name="externalID")
    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool | None = None
    """No new pods (cordoned)."""
    taints: tuple[Taint, ...] = ()
    config_source: NodeConfigSource | None = None
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")
    pod_preemption_policy: NodePodPreemptionPolicy | None = None


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeStatus"""

    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    """What the machine has."""
    allocatable: dict[str, Quantity] = msgspec.field(default_factory=dict)
    """What pods may request in sum."""
    phase: str = ""
    conditions: tuple[NodeCondition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    daemon_endpoints: NodeDaemonEndpoints | None = None
    node_info: NodeSystemInfo | None = None
    images: tuple[ContainerImage, ...] = ()
    volumes_in_use: tuple[str, ...] = ()
    volumes_attached: tuple[AttachedVolume, ...] = ()
    config: NodeConfigStatus | None = None
    runtime_handlers: tuple[NodeRuntimeHandler, ...] = ()
    features: NodeFeatures | None = None
    declared_features: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A machine that runs pods."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Node")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NodeAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeAddress"""

    type: str = ""
    address: str = ""


class NodeAffinity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeAffinity"""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()


class NodeAllocatableMappedResources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeAllocatableMappedResources"""

    name: str = ""
    quantity: Quantity | None = None


class NodeAllocatableOverheadResources(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.NodeAllocatableOverheadResources"""

    name: str = ""
    per_pod: Quantity | None = None
    per_container: Quantity | None = None


class NodeAllocatableResourceClaimStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.NodeAllocatableResourceClaimStatus"""

    resource_claim_name: str = ""
    containers: tuple[str, ...] = ()
    mapping: tuple[NodeAllocatableMappedResources, ...] = ()
    overhead: tuple[NodeAllocatableOverheadResources, ...] = ()


class NodeCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeCondition"""

    type: str = ""
    status: str = ""
    last_heartbeat_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_heartbeat_time is not None:
            keep_seconds(self, "last_heartbeat_time", self.last_heartbeat_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class NodeConfigSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeConfigSource"""

    config_map: ConfigMapNodeConfigSource | None = None


class NodeConfigStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeConfigStatus"""

    assigned: NodeConfigSource | None = None
    active: NodeConfigSource | None = None
    last_known_good: NodeConfigSource | None = None
    error: str = ""


class NodeDaemonEndpoints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeDaemonEndpoints"""

    kubelet_endpoint: DaemonEndpoint | None = None


class NodeFeatures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeFeatures"""

    supplemental_groups_policy: bool | None = None


class NodeList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "NodeList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Node, ...] = ()


class NodePodPreemptionPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodePodPreemptionPolicy"""

    disable_resize_preemption: tuple[str, ...] = ()


class NodeProxyOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeProxyOptions"""

    path: str = ""


class NodeRuntimeHandler(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeRuntimeHandler"""

    name: str = ""
    features: NodeRuntimeHandlerFeatures | None = None


class NodeRuntimeHandlerFeatures(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.NodeRuntimeHandlerFeatures"""

    recursive_read_only_mounts: bool | None = None
    user_namespaces: bool | None = None


class NodeSelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Any of the terms must match."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeSelectorRequirement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeSelectorRequirement"""

    key: str = ""
    operator: str = ""
    """In, NotIn, Exists, DoesNotExist, Gt or Lt (these two compare integers)."""
    values: tuple[str, ...] = ()


class NodeSelectorTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """All expressions must match; an empty term matches nothing."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSwapStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.NodeSwapStatus"""

    capacity: Int64 | None = None


class NodeSystemInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.NodeSystemInfo"""

    machine_id: str = msgspec.field(default="", name="machineID")
    system_uuid: str = msgspec.field(default="", name="systemUUID")
    boot_id: str = msgspec.field(default="", name="bootID")
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""
    operating_system: str = ""
    architecture: str = ""
    swap: NodeSwapStatus | None = None


class ObjectFieldSelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ObjectFieldSelector"""

    api_version: str = ""
    field_path: str = ""


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A pointer to any object."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class PersistentVolumeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PersistentVolumeSpec"""

    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    glusterfs: GlusterfsPersistentVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    rbd: RBDPersistentVolumeSource | None = None
    iscsi: ISCSIPersistentVolumeSource | None = None
    cinder: CinderPersistentVolumeSource | None = None
    cephfs: CephFSPersistentVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    flex_volume: FlexPersistentVolumeSource | None = None
    azure_file: AzureFilePersistentVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    scale_io: ScaleIOPersistentVolumeSource | None = msgspec.field(default=None, name="scaleIO")
    local: LocalVolumeSource | None = None
    storageos: StorageOSPersistentVolumeSource | None = None
    csi: CSIPersistentVolumeSource | None = None
    access_modes: tuple[str, ...] = ()
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""
    storage_class_name: str = ""
    mount_options: tuple[str, ...] = ()
    volume_mode: str = ""
    node_affinity: VolumeNodeAffinity | None = None
    volume_attributes_class_name: str | None = None


class PersistentVolumeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PersistentVolumeStatus"""

    phase: str = ""
    message: str = ""
    reason: str = ""
    last_phase_transition_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_phase_transition_time is not None:
            keep_seconds(self, "last_phase_transition_time", self.last_phase_transition_time)


class PersistentVolume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PersistentVolume"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PersistentVolume")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class PersistentVolumeClaimSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PersistentVolumeClaimSpec"""

    access_modes: tuple[str, ...] = ()
    resources: VolumeResourceRequirements | None = None
    volume_name: str = ""
    selector: meta_v1.LabelSelector | None = None
    storage_class_name: str | None = None
    """Empty means no class at all, absent the default class."""
    volume_mode: str = ""
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    volume_attributes_class_name: str | None = None


class PersistentVolumeClaimStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PersistentVolumeClaimStatus"""

    phase: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    conditions: tuple[PersistentVolumeClaimCondition, ...] = ()
    allocated_resources: dict[str, Quantity] = msgspec.field(default_factory=dict)
    allocated_resource_statuses: dict[str, str] = msgspec.field(default_factory=dict)
    current_volume_attributes_class_name: str = ""
    modify_volume_status: ModifyVolumeStatus | None = None
    health_status: VolumeHealthStatus | None = None


class PersistentVolumeClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PersistentVolumeClaim"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PersistentVolumeClaim")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class PersistentVolumeClaimCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PersistentVolumeClaimCondition"""

    type: str = ""
    status: str = ""
    last_probe_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_probe_time is not None:
            keep_seconds(self, "last_probe_time", self.last_probe_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class PersistentVolumeClaimList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PersistentVolumeClaimList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PersistentVolumeClaimList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PersistentVolumeClaim, ...] = ()


class PersistentVolumeClaimTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PersistentVolumeClaimTemplate"""

    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()


class PersistentVolumeClaimVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PersistentVolumeClaimVolumeSource"""

    claim_name: str = ""
    read_only: bool | None = None


class PersistentVolumeList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PersistentVolumeList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PersistentVolumeList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PersistentVolume, ...] = ()


class PersistentVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PersistentVolumeSource"""

    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    glusterfs: GlusterfsPersistentVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    rbd: RBDPersistentVolumeSource | None = None
    iscsi: ISCSIPersistentVolumeSource | None = None
    cinder: CinderPersistentVolumeSource | None = None
    cephfs: CephFSPersistentVolumeSource | None = None
    fc: FCVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    flex_volume: FlexPersistentVolumeSource | None = None
    azure_file: AzureFilePersistentVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    scale_io: ScaleIOPersistentVolumeSource | None = msgspec.field(default=None, name="scaleIO")
    local: LocalVolumeSource | None = None
    storageos: StorageOSPersistentVolumeSource | None = None
    csi: CSIPersistentVolumeSource | None = None


class PhotonPersistentDiskVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PhotonPersistentDiskVolumeSource"""

    pd_id: str = msgspec.field(default="", name="pdID")
    fs_type: str = ""


class PodSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodSpec"""

    volumes: tuple[Volume, ...] = ()
    containers: tuple[Container, ...] = ()
    """At least one; most of the rest of the spec never changes."""
    restart_policy: str = ""
    """Always (absent), OnFailure or Never."""
    termination_grace_period_seconds: Int64 | None = None
    """From SIGTERM to SIGKILL; absent means 30."""
    active_deadline_seconds: Int64 | None = None
    """After this the pod has failed."""
    dns_policy: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels that the node must have."""
    service_account_name: str = ""
    """Identity of its programs."""
    service_account: str = ""
    node_name: str = ""
    """The node it runs on; set by the scheduler, or by hand to pass it by."""
    host_network: bool | None = None
    """Use the node's network instead of one of its own."""
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    security_context: PodSecurityContext | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    affinity: Affinity | None = None
    scheduler_name: str = ""
    init_containers: tuple[Container, ...] = ()
    """Run one after the other, each to success, before the containers start."""
    automount_service_account_token: bool | None = None
    tolerations: tuple[Toleration, ...] = ()
    """Taints that don't keep it away."""
    host_aliases: tuple[HostAlias, ...] = ()
    priority_class_name: str = ""
    priority: Int32 | None = None
    """Higher ones are scheduled first; comes from priorityClassName."""
    dns_config: PodDNSConfig | None = None
    share_process_namespace: bool | None = None
    """Containers see each other's processes."""
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    runtime_class_name: str = ""
    enable_service_links: bool | None = None
    preemption_policy: str = ""
    overhead: dict[str, Quantity] = msgspec.field(default_factory=dict)
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    """How evenly equal pods are spread over zones, nodes and the like."""
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    set_hostname_as_fqdn: bool | None = msgspec.field(default=None, name="setHostnameAsFQDN")
    os: PodOS | None = None
    host_users: bool | None = None
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    """Not scheduled while there are any."""
    resource_claims: tuple[PodResourceClaim, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    hostname_override: str = ""
    scheduling_group: PodSchedulingGroup | None = None
    eviction_responders: tuple[EvictionResponder, ...] = ()


class PodStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Written by the node agent, but for the condition PodScheduled."""

    phase: str = ""
    """Pending, Running, Succeeded, Failed or Unknown."""
    conditions: tuple[PodCondition, ...] = ()
    message: str = ""
    reason: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")
    pod_ip: str = msgspec.field(default="", name="podIP")
    start_time: datetime.datetime | None = None
    container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: str = ""
    """Guaranteed, Burstable or BestEffort: who goes first when memory runs short."""
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    nominated_node_name: str = ""
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    resize: str = ""
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] = ()
    host_ips: tuple[HostIP, ...] = msgspec.field(default=(), name="hostIPs")
    observed_generation: Int64 | None = None
    extended_resource_claim_status: PodExtendedResourceClaimStatus | None = None
    allocated_resources: dict[str, Quantity] = msgspec.field(default_factory=dict)
    resources: ResourceRequirements = ResourceRequirements()
    node_allocatable_resource_claim_statuses: tuple[NodeAllocatableResourceClaimStatus, ...] = ()
    volume_health: tuple[PodVolumeHealth, ...] = ()

    def __post_init__(self) -> None:
        if self.start_time is not None:
            keep_seconds(self, "start_time", self.start_time)


class Pod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Containers that share network, volumes and fate on one node."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Pod")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodAffinity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodAffinity"""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class PodAffinityTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodAffinityTerm"""

    label_selector: meta_v1.LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: str = ""
    namespace_selector: meta_v1.LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class PodAntiAffinity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodAntiAffinity"""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()


class PodAttachOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodAttachOptions"""

    stdin: bool | None = None
    stdout: bool | None = None
    stderr: bool | None = None
    tty: bool | None = None
    container: str = ""


class PodCertificateProjection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodCertificateProjection"""

    signer_name: str = ""
    key_type: str = ""
    max_expiration_seconds: Int32 | None = None
    credential_bundle_path: str = ""
    key_path: str = ""
    certificate_chain_path: str = ""
    user_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    user: Int64 | None = None


class PodCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """PodScheduled, Initialized, ContainersReady, Ready and others."""

    type: str = ""
    status: str = ""
    last_probe_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""
    observed_generation: Int64 | None = None

    def __post_init__(self) -> None:
        if self.last_probe_time is not None:
            keep_seconds(self, "last_probe_time", self.last_probe_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class PodDNSConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodDNSConfig"""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()


class PodDNSConfigOption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodDNSConfigOption"""

    name: str = ""
    value: str = ""


class PodExecOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodExecOptions"""

    stdin: bool | None = None
    stdout: bool | None = None
    stderr: bool | None = None
    tty: bool | None = None
    container: str = ""
    command: tuple[str, ...] = ()


class PodExtendedResourceClaimStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.PodExtendedResourceClaimStatus"""

    request_mappings: tuple[ContainerExtendedResourceRequest, ...] = ()
    resource_claim_name: str = ""


class PodIP(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodIP"""

    ip: str = ""


class PodList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Pod, ...] = ()


class PodLogOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodLogOptions"""

    container: str = ""
    follow: bool | None = None
    previous: bool | None = None
    since_seconds: Int64 | None = None
    since_time: datetime.datetime | None = None
    timestamps: bool | None = None
    tail_lines: Int64 | None = None
    limit_bytes: Int64 | None = None
    insecure_skip_tls_verify_backend: bool | None = msgspec.field(default=None, name="insecureSkipTLSVerifyBackend")
    stream: str = ""

    def __post_init__(self) -> None:
        if self.since_time is not None:
            keep_seconds(self, "since_time", self.since_time)


class PodOS(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodOS"""

    name: str = ""


class PodPortForwardOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodPortForwardOptions"""

    ports: tuple[Int32, ...] = ()


class PodProxyOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodProxyOptions"""

    path: str = ""


class PodReadinessGate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodReadinessGate"""

    condition_type: str = ""


class PodResourceClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodResourceClaim"""

    name: str = ""
    resource_claim_name: str = ""
    resource_claim_template_name: str = ""


class PodResourceClaimStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodResourceClaimStatus"""

    name: str = ""
    resource_claim_name: str = ""


class PodSchedulingGate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodSchedulingGate"""

    name: str = ""


class PodSchedulingGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodSchedulingGroup"""

    pod_group_name: str = ""


class PodSecurityContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodSecurityContext"""

    se_linux_options: SELinuxOptions | None = None
    run_as_user: Int64 | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[Int64, ...] = ()
    fs_group: Int64 | None = None
    run_as_group: Int64 | None = None
    sysctls: tuple[Sysctl, ...] = ()
    windows_options: WindowsSecurityContextOptions | None = None
    fs_group_change_policy: str = ""
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    supplemental_groups_policy: str = ""
    se_linux_change_policy: str = ""


class PodSignature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodSignature"""

    pod_controller: meta_v1.OwnerReference | None = None


class PodTemplateSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What pods made from it look like."""

    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodSpec = PodSpec()


class PodTemplate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodTemplate"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodTemplate")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    template: PodTemplateSpec = PodTemplateSpec()


class PodTemplateList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PodTemplateList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodTemplateList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PodTemplate, ...] = ()


class PodVolumeHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PodVolumeHealth"""

    name: str = ""
    health_conditions: tuple[VolumeHealthCondition, ...] = ()
    last_transition_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class PortStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PortStatus"""

    port: Int32 | None = None
    protocol: str = ""
    error: str = ""


class PortworxVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PortworxVolumeSource"""

    volume_id: str = msgspec.field(default="", name="volumeID")
    fs_type: str = ""
    read_only: bool | None = None


class Preconditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.Preconditions"""

    uid: str = ""


class PreferAvoidPodsEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.PreferAvoidPodsEntry"""

    pod_signature: PodSignature | None = None
    eviction_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.eviction_time is not None:
            keep_seconds(self, "eviction_time", self.eviction_time)


class PreferredSchedulingTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.PreferredSchedulingTerm"""

    weight: Int32 | None = None
    preference: NodeSelectorTerm | None = None


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A check that is repeated. Exactly one of exec, httpGet, tcpSocket and grpc."""

    exec_: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: Int32 | None = None
    """Absent means 0."""
    timeout_seconds: Int32 | None = None
    """Absent means 1."""
    period_seconds: Int32 | None = None
    """Absent means 10."""
    success_threshold: Int32 | None = None
    """Successes in a row after a failure; absent means 1, and must be 1 but for readiness."""
    failure_threshold: Int32 | None = None
    """Failures in a row; absent means 3."""
    termination_grace_period_seconds: Int64 | None = None


class ProbeHandler(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ProbeHandler"""

    exec_: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None


class ProjectedVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ProjectedVolumeSource"""

    sources: tuple[VolumeProjection, ...] = ()
    default_mode: Int32 | None = None
    default_user: Int64 | None = None


class QuobyteVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.QuobyteVolumeSource"""

    registry: str = ""
    volume: str = ""
    read_only: bool | None = None
    user: str = ""
    group: str = ""
    tenant: str = ""


class RBDPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.RBDPersistentVolumeSource"""

    monitors: tuple[str, ...] = ()
    image: str = ""
    fs_type: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secret_ref: SecretReference | None = None
    read_only: bool | None = None


class RBDVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.RBDVolumeSource"""

    monitors: tuple[str, ...] = ()
    image: str = ""
    fs_type: str = ""
    pool: str = ""
    user: str = ""
    keyring: str = ""
    secret_ref: LocalObjectReference | None = None
    read_only: bool | None = None


class RangeAllocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.RangeAllocation"""

    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    range: str = ""
    data: bytes = b""


class ReplicationControllerSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ReplicationControllerSpec"""

    replicas: Int32 | None = None
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    template: PodTemplateSpec = PodTemplateSpec()
    min_ready_seconds: Int32 | None = None


class ReplicationControllerStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ReplicationControllerStatus"""

    replicas: Int32 | None = None
    fully_labeled_replicas: Int32 | None = None
    observed_generation: Int64 | None = None
    ready_replicas: Int32 | None = None
    available_replicas: Int32 | None = None
    conditions: tuple[ReplicationControllerCondition, ...] = ()


class ReplicationController(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ReplicationController"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ReplicationController")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()


class ReplicationControllerCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ReplicationControllerCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class ReplicationControllerList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ReplicationControllerList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ReplicationControllerList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ReplicationController, ...] = ()


class ResourceClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceClaim"""

    name: str = ""
    request: str = ""


class ResourceFieldSelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ResourceFieldSelector"""

    container_name: str = ""
    resource: str = ""
    divisor: Quantity | None = None


class ResourceHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceHealth"""

    resource_id: str = msgspec.field(default="", name="resourceID")
    health: str = ""
    message: str = ""


class ResourceQuotaSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ResourceQuotaSpec"""

    hard: dict[str, Quantity] = msgspec.field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    scope_selector: ScopeSelector | None = None


class ResourceQuotaStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceQuotaStatus"""

    hard: dict[str, Quantity] = msgspec.field(default_factory=dict)
    used: dict[str, Quantity] = msgspec.field(default_factory=dict)


class ResourceQuota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceQuota"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ResourceQuota")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class ResourceQuotaList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceQuotaList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ResourceQuotaList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ResourceQuota, ...] = ()


class ResourceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ResourceStatus"""

    name: str = ""
    resources: tuple[ResourceHealth, ...] = ()


class SELinuxOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SELinuxOptions"""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class ScaleIOPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ScaleIOPersistentVolumeSource"""

    gateway: str = ""
    system: str = ""
    secret_ref: SecretReference | None = None
    ssl_enabled: bool | None = None
    protection_domain: str = ""
    storage_pool: str = ""
    storage_mode: str = ""
    volume_name: str = ""
    fs_type: str = ""
    read_only: bool | None = None


class ScaleIOVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ScaleIOVolumeSource"""

    gateway: str = ""
    system: str = ""
    secret_ref: LocalObjectReference | None = None
    ssl_enabled: bool | None = None
    protection_domain: str = ""
    storage_pool: str = ""
    storage_mode: str = ""
    volume_name: str = ""
    fs_type: str = ""
    read_only: bool | None = None


class ScopeSelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ScopeSelector"""

    match_expressions: tuple[ScopedResourceSelectorRequirement, ...] = ()


class ScopedResourceSelectorRequirement(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ScopedResourceSelectorRequirement"""

    scope_name: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class SeccompProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.SeccompProfile"""

    type: str = ""
    localhost_profile: str = ""


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Like a ConfigMap, for what must not be seen; encrypted in the store."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Secret")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    data: dict[str, bytes] = msgspec.field(default_factory=dict)
    """Bytes, base64 in JSON."""
    type: str = ""
    string_data: dict[str, str] = msgspec.field(default_factory=dict)
    """Convenience on writing: moved into data, never read back."""
    immutable: bool | None = None


class SecretEnvSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SecretEnvSource"""

    name: str = ""
    optional: bool | None = None


class SecretKeySelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SecretKeySelector"""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class SecretList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SecretList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "SecretList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Secret, ...] = ()


class SecretProjection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SecretProjection"""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class SecretReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SecretReference"""

    name: str = ""
    namespace: str = ""


class SecretVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.SecretVolumeSource"""

    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: Int32 | None = None
    optional: bool | None = None
    default_user: Int64 | None = None


class SecurityContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What a container's processes may do; goes before the pod's."""

    capabilities: Capabilities | None = None
    privileged: bool | None = None
    se_linux_options: SELinuxOptions | None = None
    run_as_user: Int64 | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    run_as_group: Int64 | None = None
    proc_mount: str = ""
    windows_options: WindowsSecurityContextOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None


class SerializedReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SerializedReference"""

    reference: ObjectReference | None = None


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ServiceSpec"""

    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    """None makes it headless: the name resolves to the pods themselves."""
    type: str = ""
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    session_affinity: str = ""
    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")
    load_balancer_source_ranges: tuple[str, ...] = ()
    external_name: str = ""
    external_traffic_policy: str = ""
    health_check_node_port: Int32 | None = None
    publish_not_ready_addresses: bool | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    ip_family_policy: str = ""
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    ip_families: tuple[str, ...] = ()
    allocate_load_balancer_node_ports: bool | None = None
    load_balancer_class: str | None = None
    internal_traffic_policy: str = ""
    traffic_distribution: str = ""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ServiceStatus"""

    load_balancer: LoadBalancerStatus | None = None
    conditions: tuple[meta_v1.Condition, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A stable address for pods that a selector names."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Service")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ServiceAccount"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ServiceAccount")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    secrets: tuple[ObjectReference, ...] = ()
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    automount_service_account_token: bool | None = None


class ServiceAccountList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ServiceAccountList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ServiceAccountList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ServiceAccount, ...] = ()


class ServiceAccountTokenProjection(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.ServiceAccountTokenProjection"""

    audience: str = ""
    expiration_seconds: Int64 | None = None
    path: str = ""
    user: Int64 | None = None


class ServiceList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ServiceList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ServiceList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Service, ...] = ()


class ServicePort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.ServicePort"""

    name: str = ""
    protocol: str = ""
    port: Int32 | None = None
    target_port: Int32 | str | None = None
    """Number, or name of a container port; absent means port."""
    node_port: Int32 | None = None
    app_protocol: str = ""


class ServiceProxyOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.ServiceProxyOptions"""

    path: str = ""


class SessionAffinityConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SessionAffinityConfig"""

    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class SleepAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.SleepAction"""

    seconds: Int64 | None = None


class StorageOSPersistentVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.StorageOSPersistentVolumeSource"""

    volume_name: str = ""
    volume_namespace: str = ""
    fs_type: str = ""
    read_only: bool | None = None
    secret_ref: ObjectReference | None = None


class StorageOSVolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.StorageOSVolumeSource"""

    volume_name: str = ""
    volume_namespace: str = ""
    fs_type: str = ""
    read_only: bool | None = None
    secret_ref: LocalObjectReference | None = None


class Sysctl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.Sysctl"""

    name: str = ""
    value: str = ""


class TCPSocketAction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.TCPSocketAction"""

    port: Int32 | str | None = None
    host: str = ""


class Taint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Keeps pods away that don't tolerate it."""

    key: str = ""
    value: str = ""
    effect: str = ""
    """NoSchedule, PreferNoSchedule or NoExecute (also drives running pods out)."""
    time_added: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.time_added is not None:
            keep_seconds(self, "time_added", self.time_added)


class Toleration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Matches taints by key, value and effect; what is empty matches all."""

    key: str = ""
    operator: str = ""
    """Equal (absent), Exists, or Lt and Gt on integers."""
    value: str = ""
    effect: str = ""
    toleration_seconds: Int64 | None = None
    """How long a NoExecute taint is borne; absent means for ever."""


class TopologySelectorLabelRequirement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.TopologySelectorLabelRequirement"""

    key: str = ""
    values: tuple[str, ...] = ()


class TopologySelectorTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.TopologySelectorTerm"""

    match_label_expressions: tuple[TopologySelectorLabelRequirement, ...] = ()


class TopologySpreadConstraint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.TopologySpreadConstraint"""

    max_skew: Int32 | None = None
    """How many more matching pods one domain may have than the emptiest."""
    topology_key: str = ""
    when_unsatisfiable: str = ""
    """DoNotSchedule or ScheduleAnyway."""
    label_selector: meta_v1.LabelSelector | None = None
    min_domains: Int32 | None = None
    node_affinity_policy: str = ""
    node_taints_policy: str = ""
    match_label_keys: tuple[str, ...] = ()


class TypedLocalObjectReference(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.TypedLocalObjectReference"""

    api_group: str = ""
    kind: str = ""
    name: str = ""


class TypedObjectReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.TypedObjectReference"""

    api_group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""


class Volume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Exactly one source is set."""

    name: str = ""
    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    git_repo: GitRepoVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    flex_volume: FlexVolumeSource | None = None
    cinder: CinderVolumeSource | None = None
    cephfs: CephFSVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = msgspec.field(default=None, name="downwardAPI")
    fc: FCVolumeSource | None = None
    azure_file: AzureFileVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    scale_io: ScaleIOVolumeSource | None = msgspec.field(default=None, name="scaleIO")
    projected: ProjectedVolumeSource | None = None
    storageos: StorageOSVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    image: ImageVolumeSource | None = None


class VolumeDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeDevice"""

    name: str = ""
    device_path: str = ""


class VolumeHealthCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.VolumeHealthCondition"""

    status: str = ""
    reason: str = ""
    message: str = ""


class VolumeHealthStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeHealthStatus"""

    health_conditions: tuple[VolumeHealthCondition, ...] = ()
    last_transition_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class VolumeMount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeMount"""

    name: str = ""
    read_only: bool | None = None
    mount_path: str = ""
    sub_path: str = ""
    """Path within the volume; must not lead out of it."""
    mount_propagation: str = ""
    sub_path_expr: str = ""
    recursive_read_only: str = ""
    bind_mount_options: tuple[str, ...] = ()


class VolumeMountStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeMountStatus"""

    name: str = ""
    mount_path: str = ""
    read_only: bool | None = None
    recursive_read_only: str = ""
    volume_status: VolumeStatus | None = None


class VolumeNodeAffinity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.VolumeNodeAffinity"""

    required: NodeSelector | None = None


class VolumeProjection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeProjection"""

    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = msgspec.field(default=None, name="downwardAPI")
    config_map: ConfigMapProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: ClusterTrustBundleProjection | None = None
    pod_certificate: PodCertificateProjection | None = None


class VolumeResourceRequirements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.VolumeResourceRequirements"""

    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)


class VolumeSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.VolumeSource"""

    host_path: HostPathVolumeSource | None = None
    empty_dir: EmptyDirVolumeSource | None = None
    gce_persistent_disk: GCEPersistentDiskVolumeSource | None = None
    aws_elastic_block_store: AWSElasticBlockStoreVolumeSource | None = None
    git_repo: GitRepoVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    nfs: NFSVolumeSource | None = None
    iscsi: ISCSIVolumeSource | None = None
    glusterfs: GlusterfsVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    rbd: RBDVolumeSource | None = None
    flex_volume: FlexVolumeSource | None = None
    cinder: CinderVolumeSource | None = None
    cephfs: CephFSVolumeSource | None = None
    flocker: FlockerVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = msgspec.field(default=None, name="downwardAPI")
    fc: FCVolumeSource | None = None
    azure_file: AzureFileVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    vsphere_volume: VsphereVirtualDiskVolumeSource | None = None
    quobyte: QuobyteVolumeSource | None = None
    azure_disk: AzureDiskVolumeSource | None = None
    photon_persistent_disk: PhotonPersistentDiskVolumeSource | None = None
    portworx_volume: PortworxVolumeSource | None = None
    scale_io: ScaleIOVolumeSource | None = msgspec.field(default=None, name="scaleIO")
    projected: ProjectedVolumeSource | None = None
    storageos: StorageOSVolumeSource | None = None
    csi: CSIVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
    image: ImageVolumeSource | None = None


class VolumeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.core.v1.VolumeStatus"""

    image: ImageVolumeStatus | None = None


class VsphereVirtualDiskVolumeSource(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.VsphereVirtualDiskVolumeSource"""

    volume_path: str = ""
    fs_type: str = ""
    storage_policy_name: str = ""
    storage_policy_id: str = msgspec.field(default="", name="storagePolicyID")


class WeightedPodAffinityTerm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.core.v1.WeightedPodAffinityTerm"""

    weight: Int32 | None = None
    pod_affinity_term: PodAffinityTerm | None = None


class WindowsSecurityContextOptions(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.core.v1.WindowsSecurityContextOptions"""

    gmsa_credential_spec_name: str = ""
    gmsa_credential_spec: str = ""
    run_as_user_name: str = ""
    host_process: bool | None = None
