"""Values of k8s.io.apimachinery.pkg.apis.meta.v1.

Generated from knarr_proto/k8s/meta_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.time import keep_seconds


class APIGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.APIGroup"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIGroup")
    name: str = ""
    versions: tuple[GroupVersionForDiscovery, ...] = ()
    preferred_version: GroupVersionForDiscovery | None = None
    server_address_by_client_cidrs: tuple[ServerAddressByClientCIDR, ...] = msgspec.field(
        default=(), name="serverAddressByClientCIDRs"
    )


class APIGroupList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.APIGroupList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIGroupList")
    groups: tuple[APIGroup, ...] = ()


class APIResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.APIResource"""

    name: str = ""
    namespaced: bool | None = None
    kind: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    singular_name: str = ""
    categories: tuple[str, ...] = ()
    group: str = ""
    version: str = ""
    storage_version_hash: str = ""


class APIResourceList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.APIResourceList"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIResourceList")
    group_version: str = ""
    resources: tuple[APIResource, ...] = ()


class APIVersions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.APIVersions"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIVersions")
    versions: tuple[str, ...] = ()
    server_address_by_client_cidrs: tuple[ServerAddressByClientCIDR, ...] = msgspec.field(
        default=(), name="serverAddressByClientCIDRs"
    )


class ApplyOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.ApplyOptions"""

    dry_run: tuple[str, ...] = ()
    force: bool | None = None
    field_manager: str = ""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """One observed aspect of an object: type is its name, status is True, False or Unknown."""

    type: str = ""
    status: str = ""
    observed_generation: Int64 | None = None
    """metadata.generation that the condition was derived from."""
    last_transition_time: datetime.datetime | None = None
    """When status last changed; a new reason or message alone leaves it."""
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class CreateOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.CreateOptions"""

    dry_run: tuple[str, ...] = ()
    field_manager: str = ""
    field_validation: str = ""


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """How to delete."""

    api_version: str = ""
    kind: str = ""
    grace_period_seconds: Int64 | None = None
    """Seconds that pods get to end by themselves; 0 kills at once; absent: what the object says."""
    preconditions: Preconditions | None = None
    orphan_dependents: bool | None = None
    propagation_policy: str = ""
    """What becomes of dependants: Background (deleted after), Foreground (deleted before) or Orphan (kept)."""
    dry_run: tuple[str, ...] = ()
    """`All`: check everything, change nothing."""
    ignore_store_read_error_with_cluster_breaking_potential: bool | None = None


class FieldSelectorRequirement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement"""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class GetOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GetOptions"""

    resource_version: str = ""


class GroupKind(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupKind"""

    group: str = ""
    kind: str = ""


class GroupResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupResource"""

    group: str = ""
    resource: str = ""


class GroupVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupVersion"""

    group: str = ""
    version: str = ""


class GroupVersionForDiscovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupVersionForDiscovery"""

    group_version: str = ""
    version: str = ""


class GroupVersionKind(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupVersionKind"""

    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.GroupVersionResource"""

    group: str = ""
    version: str = ""
    resource: str = ""


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Labels that an object must have: every entry of both lists. Empty selects everything, an absent selector
    nothing."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class LabelSelectorRequirement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement"""

    key: str = ""
    operator: str = ""
    """In, NotIn, Exists or DoesNotExist; values only for the first two."""
    values: tuple[str, ...] = ()


class ListMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What every list carries."""

    self_link: str = ""
    resource_version: str = ""
    """Revision that all items belong to: watching from here misses nothing."""
    continue_: str = ""
    """Opaque; hand it back to get the next page of the same revision."""
    remaining_item_count: Int64 | None = None
    shard_info: ShardInfo | None = None


class List(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.List"""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "List")
    metadata: ListMeta = ListMeta()
    items: tuple[Any, ...] = ()


class ListOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.ListOptions"""

    label_selector: str = ""
    field_selector: str = ""
    watch: bool | None = None
    resource_version: str = ""
    timeout_seconds: Int64 | None = None
    limit: Int64 | None = None
    continue_: str = ""
    allow_watch_bookmarks: bool | None = None
    resource_version_match: str = ""
    send_initial_events: bool | None = None
    shard_selector: str = ""


class ManagedFieldsEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Which fields one manager set last."""

    manager: str = ""
    operation: str = ""
    api_version: str = ""
    time: datetime.datetime | None = None
    fields_type: str = ""
    fields_v1: Any = None
    subresource: str = ""

    def __post_init__(self) -> None:
        if self.time is not None:
            keep_seconds(self, "time", self.time)


class ObjectMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Name, identity and lifetime of an object."""

    name: str = ""
    """Unique within namespace and resource; never changes."""
    generate_name: str = ""
    """Prefix of a generated name, used where name is empty."""
    namespace: str = ""
    self_link: str = ""
    uid: str = ""
    """Distinguishes objects that had the same name one after the other."""
    resource_version: str = ""
    """Changes with every write; an update that carries it fails when it is no longer current."""
    generation: Int64 | None = None
    """Counts changes of the spec, not of the status."""
    creation_timestamp: datetime.datetime | None = None
    deletion_timestamp: datetime.datetime | None = None
    """When set, the object is going: it disappears once its finalizers are gone."""
    deletion_grace_period_seconds: Int64 | None = None
    """Can only be shortened."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """What selectors match."""
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    """For people and programs; never matched."""
    owner_references: tuple[OwnerReference, ...] = ()
    """What this object was made for: it is deleted when the last of these is gone."""
    finalizers: tuple[str, ...] = ()
    """Who must do something before the object may disappear; each removes its own entry."""
    managed_fields: tuple[ManagedFieldsEntry, ...] = ()

    def __post_init__(self) -> None:
        if self.creation_timestamp is not None:
            keep_seconds(self, "creation_timestamp", self.creation_timestamp)
        if self.deletion_timestamp is not None:
            keep_seconds(self, "deletion_timestamp", self.deletion_timestamp)


class OwnerReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """An owner, in the same namespace or cluster scoped."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None
    """At most one owner is the managing controller."""
    block_owner_deletion: bool | None = None
    """Foreground deletion of the owner waits for this object."""


class PartialObjectMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata"""

    api_version: str = msgspec.field(default_factory=lambda: "meta.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PartialObjectMetadata")
    metadata: ObjectMeta = ObjectMeta()


class PartialObjectMetadataList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList"""

    api_version: str = msgspec.field(default_factory=lambda: "meta.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PartialObjectMetadataList")
    metadata: ListMeta = ListMeta()
    items: tuple[PartialObjectMetadata, ...] = ()


class PatchOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.PatchOptions"""

    dry_run: tuple[str, ...] = ()
    force: bool | None = None
    field_manager: str = ""
    field_validation: str = ""


class Preconditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What must still hold for a deletion to happen."""

    uid: str = ""
    resource_version: str = ""


class RootPaths(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.RootPaths"""

    paths: tuple[str, ...] = ()


class ServerAddressByClientCIDR(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apimachinery.pkg.apis.meta.v1.ServerAddressByClientCIDR"""

    client_cidr: str = msgspec.field(default="", name="clientCIDR")
    server_address: str = ""


class ShardInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.ShardInfo"""

    selector: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Outcome of a request that returns no object, above all an error."""

    api_version: str = msgspec.field(default_factory=lambda: "v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Status")
    metadata: ListMeta = ListMeta()
    status: str = ""
    message: str = ""
    reason: str = ""
    """One word that programs may rely on, such as NotFound, Conflict or Invalid."""
    details: StatusDetails | None = None
    code: Int32 | None = None
    """HTTP status code."""


class StatusCause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apimachinery.pkg.apis.meta.v1.StatusCause"""

    reason: str = ""
    message: str = ""
    field: str = ""
    """Path such as spec.containers[0].image."""


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.StatusDetails"""

    name: str = ""
    group: str = ""
    kind: str = ""
    causes: tuple[StatusCause, ...] = ()
    retry_after_seconds: Int32 | None = None
    uid: str = ""


class TableOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.TableOptions"""

    include_object: str = ""


class TypeMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.TypeMeta"""

    kind: str = ""
    api_version: str = ""


class UpdateOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.apis.meta.v1.UpdateOptions"""

    dry_run: tuple[str, ...] = ()
    field_manager: str = ""
    field_validation: str = ""


class WatchEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A change: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object after it (DELETED: before)."""

    type: str = ""
    object: Any = None
