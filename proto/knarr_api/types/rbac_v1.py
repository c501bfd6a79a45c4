"""Values of k8s.io.api.rbac.v1.

Generated from knarr_proto/k8s/rbac_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.types import meta_v1


class AggregationRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.AggregationRule"""

    cluster_role_selectors: tuple[meta_v1.LabelSelector, ...] = ()


class ClusterRole(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.ClusterRole"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterRole")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    rules: tuple[PolicyRule, ...] = ()
    aggregation_rule: AggregationRule | None = None


class ClusterRoleBinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.ClusterRoleBinding"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterRoleBinding")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    subjects: tuple[Subject, ...] = ()
    role_ref: RoleRef | None = None


class ClusterRoleBindingList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.rbac.v1.ClusterRoleBindingList"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterRoleBindingList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ClusterRoleBinding, ...] = ()


class ClusterRoleList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.rbac.v1.ClusterRoleList"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterRoleList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ClusterRole, ...] = ()


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Verbs on resources, or on plain URLs. Rules only add, none takes away."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")


class Role(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.rbac.v1.Role"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Role")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    rules: tuple[PolicyRule, ...] = ()


class RoleBinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.RoleBinding"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "RoleBinding")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    subjects: tuple[Subject, ...] = ()
    role_ref: RoleRef | None = None


class RoleBindingList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.rbac.v1.RoleBindingList"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "RoleBindingList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[RoleBinding, ...] = ()


class RoleList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.rbac.v1.RoleList"""

    api_version: str = msgspec.field(default_factory=lambda: "rbac.authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "RoleList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Role, ...] = ()


class RoleRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.RoleRef"""

    api_group: str = ""
    kind: str = ""
    name: str = ""


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.rbac.v1.Subject"""

    kind: str = ""
    api_group: str = ""
    name: str = ""
    namespace: str = ""
