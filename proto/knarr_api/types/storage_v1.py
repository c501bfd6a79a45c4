"""Values of k8s.io.api.storage.v1.

Generated from knarr_proto/k8s/storage_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.quantity import Quantity
from knarr_api.time import keep_seconds
from knarr_api.types import core_v1, meta_v1


class CSIDriverSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.CSIDriverSpec"""

    attach_required: bool | None = None
    pod_info_on_mount: bool | None = None
    volume_lifecycle_modes: tuple[str, ...] = ()
    storage_capacity: bool | None = None
    fs_group_policy: str = ""
    token_requests: tuple[TokenRequest, ...] = ()
    requires_republish: bool | None = None
    se_linux_mount: bool | None = None
    node_allocatable_update_period_seconds: Int64 | None = None
    service_account_token_in_secrets: bool | None = None
    prevent_pod_scheduling_if_missing: bool | None = None


class CSIDriver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSIDriver"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSIDriver")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CSIDriverSpec = CSIDriverSpec()


class CSIDriverList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSIDriverList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSIDriverList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CSIDriver, ...] = ()


class CSINodeSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSINodeSpec"""

    drivers: tuple[CSINodeDriver, ...] = ()


class CSINodeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.CSINodeStatus"""

    storage_health: tuple[StorageHealth, ...] = ()


class CSINode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSINode"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSINode")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CSINodeSpec = CSINodeSpec()
    status: CSINodeStatus = CSINodeStatus()


class CSINodeDriver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.CSINodeDriver"""

    name: str = ""
    node_id: str = msgspec.field(default="", name="nodeID")
    topology_keys: tuple[str, ...] = ()
    allocatable: VolumeNodeResources | None = None


class CSINodeList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSINodeList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSINodeList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CSINode, ...] = ()


class CSIStorageCapacity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.CSIStorageCapacity"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSIStorageCapacity")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    node_topology: meta_v1.LabelSelector | None = None
    storage_class_name: str = ""
    capacity: Quantity | None = None
    maximum_volume_size: Quantity | None = None


class CSIStorageCapacityList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.CSIStorageCapacityList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CSIStorageCapacityList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CSIStorageCapacity, ...] = ()


class StorageClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.StorageClass"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "StorageClass")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    provisioner: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    reclaim_policy: str = ""
    mount_options: tuple[str, ...] = ()
    allow_volume_expansion: bool | None = None
    volume_binding_mode: str = ""
    allowed_topologies: tuple[core_v1.TopologySelectorTerm, ...] = ()


class StorageClassList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.StorageClassList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "StorageClassList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[StorageClass, ...] = ()


class StorageHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.StorageHealth"""

    name: str = ""
    health_conditions: tuple[StorageHealthCondition, ...] = ()


class StorageHealthCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.StorageHealthCondition"""

    status: str = ""
    reason: str = ""
    message: str = ""
    access_mode: str = ""
    volume_mode: str = ""
    last_transition_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.TokenRequest"""

    audience: str = ""
    expiration_seconds: Int64 | None = None


class VolumeAttachmentSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.VolumeAttachmentSpec"""

    attacher: str = ""
    source: VolumeAttachmentSource | None = None
    node_name: str = ""


class VolumeAttachmentStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.VolumeAttachmentStatus"""

    attached: bool | None = None
    attachment_metadata: dict[str, str] = msgspec.field(default_factory=dict)
    attach_error: VolumeError | None = None
    detach_error: VolumeError | None = None


class VolumeAttachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.VolumeAttachment"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "VolumeAttachment")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()


class VolumeAttachmentList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.VolumeAttachmentList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "VolumeAttachmentList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[VolumeAttachment, ...] = ()


class VolumeAttachmentSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.VolumeAttachmentSource"""

    persistent_volume_name: str = ""
    inline_volume_spec: core_v1.PersistentVolumeSpec | None = None


class VolumeAttributesClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.VolumeAttributesClass"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "VolumeAttributesClass")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    driver_name: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)


class VolumeAttributesClassList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.VolumeAttributesClassList"""

    api_version: str = msgspec.field(default_factory=lambda: "storage.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "VolumeAttributesClassList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[VolumeAttributesClass, ...] = ()


class VolumeError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.storage.v1.VolumeError"""

    time: datetime.datetime | None = None
    message: str = ""
    error_code: Int32 | None = None

    def __post_init__(self) -> None:
        if self.time is not None:
            keep_seconds(self, "time", self.time)


class VolumeNodeResources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.storage.v1.VolumeNodeResources"""

    count: Int32 | None = None
