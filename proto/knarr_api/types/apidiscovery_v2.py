"""Values of k8s.io.api.apidiscovery.v2.

Generated from knarr_proto/k8s/apidiscovery_v2.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.types import meta_v1


class APIGroupDiscovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apidiscovery.v2.APIGroupDiscovery"""

    api_version: str = msgspec.field(default_factory=lambda: "apidiscovery.k8s.io/v2", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIGroupDiscovery")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    versions: tuple[APIVersionDiscovery, ...] = ()


class APIGroupDiscoveryList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apidiscovery.v2.APIGroupDiscoveryList"""

    api_version: str = msgspec.field(default_factory=lambda: "apidiscovery.k8s.io/v2", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "APIGroupDiscoveryList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[APIGroupDiscovery, ...] = ()


class APIResourceDiscovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apidiscovery.v2.APIResourceDiscovery"""

    resource: str = ""
    response_kind: meta_v1.GroupVersionKind | None = None
    scope: str = ""
    singular_resource: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[APISubresourceDiscovery, ...] = ()


class APISubresourceDiscovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.apidiscovery.v2.APISubresourceDiscovery"""

    subresource: str = ""
    response_kind: meta_v1.GroupVersionKind | None = None
    accepted_types: tuple[meta_v1.GroupVersionKind, ...] = ()
    verbs: tuple[str, ...] = ()


class APIVersionDiscovery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.apidiscovery.v2.APIVersionDiscovery"""

    version: str = ""
    resources: tuple[APIResourceDiscovery, ...] = ()
    freshness: str = ""
